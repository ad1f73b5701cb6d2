namespace Plip.Engine;

/// <summary>A tensor of a module that is saved with it but not trained: running statistics (F32), a counter or constant numbers (I64).</summary>
public sealed class StateBuffer
{
    private readonly Module _owner;
    private readonly string _localName;
    private readonly float _start;
    private readonly long[]? _constant;
    private Tensor? _value;

    internal StateBuffer(Module owner, string localName, Shape shape, DType dtype, float start) =>
        (_owner, _localName, Shape, DType, _start) = (owner, localName, shape, dtype, start);

    internal StateBuffer(Module owner, string localName, long[] constant) : this(owner, localName, new Shape(constant.Length), DType.I64, 0) => _constant = constant;

    /// <summary>PyTorch's name from the root of the model, such as "bn1.running_mean".</summary>
    public string Name => _owner.NameOf(_localName);

    /// <summary>The shape; the same in checkpoints.</summary>
    public Shape Shape { get; }

    /// <summary>F32 for statistics, I64 for counters and constants.</summary>
    public DType DType { get; }

    /// <summary>The numbers it holds always, or null: a state that has others is refused, for they follow from the model's shape.</summary>
    internal long[]? Constant => _constant;

    /// <summary>The values.</summary>
    /// <exception cref="InvalidOperationException">No store has materialised it.</exception>
    public Tensor Value => _value ?? throw new InvalidOperationException(
        $"buffer {Name} {Shape} has no memory: call ParameterStore.Materialize(device, model, …) first, and use it while the store lives");

    internal void Materialize(Device device)
    {
        if (_value != null) throw new InvalidOperationException($"buffer {Name} belongs to a parameter store already");
        _value = Tensor.Zeros(device, Shape, DType, "Materialize");
        if (_constant != null) _value.CopyFrom<long>(_constant);
        if (_start == 0) return;
        var values = new float[Shape.Count];
        Array.Fill(values, _start);
        _value.CopyFrom<float>(values);
    }

    internal void Detach()
    {
        _value?.Release("its parameter store was disposed");
        _value = null;
    }
}
