namespace Plip.Engine;

/// <summary>
/// A part of a model: it registers its parameters, buffers and children by the names PyTorch gives them, and computes
/// with ops. Nothing has memory until <see cref="ParameterStore.Materialize"/> has run on the root.
/// </summary>
/// <remarks>Order of registration is the order in checkpoints: own parameters, own buffers, then children, as in PyTorch.</remarks>
public abstract class Module
{
    private readonly List<(string Name, Parameter Parameter)> _parameters = [];
    private readonly List<(string Name, StateBuffer Buffer)> _buffers = [];
    private readonly List<(string Name, Module Module)> _children = [];
    private Module? _parent;
    private string _name = "";

    /// <summary>The dotted name from the root, "" for the root itself.</summary>
    public string Path => _parent == null ? "" : _parent.NameOf(_name);

    /// <summary>True (the default, as in PyTorch) while training: dropout drops, batch norm uses the batch.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>The direct children with their local names, in order of registration.</summary>
    public IReadOnlyList<(string Name, Module Module)> Children => _children;

    /// <summary>Switches this module and all below it to training or, with false, to evaluation.</summary>
    public void Train(bool training = true)
    {
        Training = training;
        OnTrain(training);
        foreach (var (_, child) in _children) child.Train(training);
    }

    /// <summary>Switches this module and all below it to evaluation.</summary>
    public void Eval() => Train(false);

    /// <summary>All parameters from here down with their names relative to this module, in checkpoint order.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters()
    {
        foreach (var entry in _parameters) yield return entry;
        foreach (var (name, child) in _children)
            foreach (var (inner, parameter) in child.NamedParameters()) yield return ($"{name}.{inner}", parameter);
    }

    /// <summary>All buffers from here down with their names relative to this module, in checkpoint order.</summary>
    public IEnumerable<(string Name, StateBuffer Buffer)> NamedBuffers()
    {
        foreach (var entry in _buffers) yield return entry;
        foreach (var (name, child) in _children)
            foreach (var (inner, buffer) in child.NamedBuffers()) yield return ($"{name}.{inner}", buffer);
    }

    /// <summary>Registers a part. The name may hold dots ("downsample.0") where PyTorch has levels that need no class here.</summary>
    /// <exception cref="ArgumentException">The name is taken or malformed, or the module has a parent already.</exception>
    protected T Child<T>(string name, T module) where T : Module
    {
        RequireFree(name);
        if (module._parent != null) throw new ArgumentException($"Child \"{name}\": the {module.GetType().Name} is {module.Path} of another module already; register it once and keep a reference");
        (module._parent, module._name) = (this, name);
        _children.Add((name, module));
        return module;
    }

    /// <summary>Registers a parameter.</summary>
    /// <param name="shape">As stored: (R, S, C, K) for <see cref="ParameterLayout.Conv"/>.</param>
    /// <exception cref="ArgumentException">The name is taken or malformed, or the shape does not fit the layout.</exception>
    protected Parameter Param(string name, Shape shape, Init init, ParameterLayout layout = ParameterLayout.Plain)
    {
        RequireFree(name);
        if (layout == ParameterLayout.Conv && shape.Rank != 4)
            throw new ArgumentException($"parameter {NameOf(name)}: a convolution's weight is (R, S, C, K), got {shape}");
        var parameter = new Parameter(this, name, shape, init, layout);
        _parameters.Add((name, parameter));
        return parameter;
    }

    /// <summary>Registers an F32 buffer that starts with <paramref name="value"/> everywhere.</summary>
    protected StateBuffer Buffer(string name, Shape shape, float value) => Add(new StateBuffer(this, name, shape, DType.F32, value), name);

    /// <summary>Registers a scalar I64 buffer that starts at 0, such as PyTorch's num_batches_tracked; checkpoints may lack it.</summary>
    protected StateBuffer Counter(string name) => Add(new StateBuffer(this, name, new Shape(), DType.I64, 0), name);

    /// <summary>
    /// Registers a vector of I64 numbers that follow from the model's shape and that PyTorch saves all the same, such as Swin's
    /// relative_position_index. Checkpoints may lack it; one with other numbers is refused.
    /// </summary>
    protected StateBuffer Constant(string name, long[] values) => Add(new StateBuffer(this, name, values), name);

    /// <summary>Called when the training flag of this module has been set.</summary>
    protected virtual void OnTrain(bool training)
    {
    }

    internal IReadOnlyList<(string Name, Parameter Parameter)> OwnParameters => _parameters;

    internal IReadOnlyList<(string Name, StateBuffer Buffer)> OwnBuffers => _buffers;

    internal string NameOf(string local)
    {
        var path = Path;
        return path.Length == 0 ? local : $"{path}.{local}";
    }

    private StateBuffer Add(StateBuffer buffer, string name)
    {
        RequireFree(name);
        _buffers.Add((name, buffer));
        return buffer;
    }

    private void RequireFree(string name)
    {
        if (name.Length == 0 || name[0] == '.' || name[^1] == '.' || name.Contains("..", StringComparison.Ordinal))
            throw new ArgumentException($"\"{name}\" is no name for a part of {GetType().Name}: expected words joined by single dots");
        if (_parameters.Exists(p => p.Name == name) || _buffers.Exists(b => b.Name == name) || _children.Exists(c => c.Name == name))
            throw new ArgumentException($"{GetType().Name} has a \"{name}\" already");
    }
}
