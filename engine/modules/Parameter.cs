namespace Plip.Engine;

/// <summary>
/// A named trainable tensor of a <see cref="Module"/>: a view of the store's flat buffers (DESIGN 4), so its value
/// exists only after <see cref="ParameterStore.Materialize"/>. To tie weights, register once and use the object twice.
/// </summary>
public sealed class Parameter
{
    private readonly Module _owner;
    private readonly string _localName;
    private Tensor? _value, _compute;

    internal Parameter(Module owner, string localName, Shape shape, Init init, ParameterLayout layout) =>
        (_owner, _localName, Shape, Init, Layout) = (owner, localName, shape, init, layout);

    /// <summary>PyTorch's name from the root of the model, such as "layer1.0.conv1.weight".</summary>
    public string Name => _owner.NameOf(_localName);

    /// <summary>The shape as stored; PyTorch's differs for <see cref="ParameterLayout.Conv"/>.</summary>
    public Shape Shape { get; }

    /// <summary>How the stored order relates to PyTorch's.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>The shape a checkpoint holds.</summary>
    public Shape PyTorchShape => Layout.ToPyTorch(Shape);

    /// <summary>How it starts.</summary>
    public Init Init { get; }

    /// <summary>True when it has no gradient and no optimiser touches it: its group is frozen, or the store is for inference.</summary>
    public bool Frozen { get; private set; }

    /// <summary>True between <see cref="ParameterStore.Materialize"/> and the store's disposal.</summary>
    public bool IsMaterialized => _value != null;

    /// <summary>The values, F32: a leaf of the tape.</summary>
    /// <exception cref="InvalidOperationException">No store has materialised it.</exception>
    public Tensor Value => _value ?? throw new InvalidOperationException(
        $"parameter {Name} {Shape} has no memory: call ParameterStore.Materialize(device, model, …) first, and use it while the store lives");

    /// <summary>
    /// What a pass computes with: the BF16 or F16 copy of a matrix where the store keeps one (DESIGN 5), otherwise <see cref="Value"/>.
    /// A leaf whose gradient is added to the same F32 <see cref="Grad"/>. Vectors (biases, γ, β) are always F32.
    /// </summary>
    /// <exception cref="InvalidOperationException">No store has materialised it.</exception>
    public Tensor Compute => _compute ?? Value;

    /// <summary>The gradient: a view of the store's flat gradient, which backward passes add to.</summary>
    /// <exception cref="InvalidOperationException">Not materialised, or frozen.</exception>
    public Tensor Grad => Value.Grad ?? throw new InvalidOperationException(
        $"parameter {Name} {Shape} has no gradient: it is frozen, or its store was made for inference");

    internal void Attach(Tensor value, Tensor? grad, Tensor? compute)
    {
        (_value, _compute) = (value, compute);
        Frozen = grad == null;
        if (grad == null) return;
        value.WithGrad().Grad = grad;
        if (compute != null) compute.WithGrad().Grad = grad;
    }

    internal void Detach()
    {
        _value?.Grad?.Release("its parameter store was disposed");
        _value?.Release("its parameter store was disposed");
        _compute?.Release("its parameter store was disposed");
        (_value, _compute) = (null, null);
    }

    /// <summary>Name, stored shape and layout.</summary>
    public override string ToString() => $"{Name} {Shape}{(Layout == ParameterLayout.Plain ? "" : $" ({Layout})")}";
}
