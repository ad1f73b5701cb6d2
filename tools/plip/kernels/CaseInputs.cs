using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// What a case's op works on: values from fixed streams of numbers, in the order in which they are asked for. Activations are stored in the
/// type under test, rounded to it on every device; vectors and statistics are F32, as ops want them.
/// </summary>
internal sealed class CaseInputs(Device device, DType type) : IDisposable
{
    private const ulong Seed = 20261123;
    private const uint GradientStream = 1000;

    private readonly List<(string Name, Tensor Tensor)> _leaves = [], _watched = [];
    private readonly List<IDisposable> _owned = [];
    private uint _stream;

    /// <summary>Where the case runs.</summary>
    public Device Device { get; } = device;

    /// <summary>How activations are stored here: the type under test, but F32 for F16 on the CPU.</summary>
    public DType Stored => Device is CpuDevice && type == DType.F16 ? DType.F32 : type;

    /// <summary>Inputs that take a gradient.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Leaves => _leaves;

    /// <summary>Tensors to be compared besides.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Watched => _watched;

    /// <summary>Activations with a gradient.</summary>
    public Tensor Data(params int[] shape) => Leaf(Upload(new Shape(shape), Normal(new Shape(shape), ++_stream), type));

    /// <summary>Activations without a gradient.</summary>
    public Tensor Fixed(params int[] shape) => Upload(new Shape(shape), Normal(new Shape(shape), ++_stream), type);

    /// <summary>F32 with a gradient, about <paramref name="shift"/>: scales, shifts and biases.</summary>
    public Tensor Vector(int count, float shift = 0, float scale = 0.5f) => Leaf(Statistics(count, shift, scale));

    /// <summary>F32 without a gradient: running statistics.</summary>
    public Tensor Statistics(int count, float shift = 0, float scale = 0.5f) =>
        Tensor.From(Device, Array.ConvertAll(Normal(new Shape(count), ++_stream), v => shift + scale * v), new Shape(count));

    /// <summary>F32 with a gradient, of any shape and whatever the type under test: embeddings, losses' inputs, tables.</summary>
    public Tensor Wide(params int[] shape) => Leaf(Tensor.From(Device, Normal(new Shape(shape), ++_stream), new Shape(shape)));

    /// <summary>I32 numbers.</summary>
    public Tensor Integers(params int[] values) => Tensor.From(Device, values, new Shape(values.Length));

    /// <summary>I32 numbers below a bound.</summary>
    public Tensor Indices(int count, int bound)
    {
        var random = new Philox(Seed, ++_stream);
        return Integers([.. Enumerable.Range(0, count).Select(i => random.Next((ulong)i, bound))]);
    }

    /// <summary>Offsets of packed sequences of these lengths.</summary>
    public Tensor Offsets(params int[] lengths)
    {
        var at = new int[lengths.Length + 1];
        for (var i = 0; i < lengths.Length; i++) at[i + 1] = at[i] + lengths[i];
        return Integers(at);
    }

    /// <summary>Numbers for what is not a tensor.</summary>
    public float[] Numbers(int count) => Normal(new Shape(count), ++_stream);

    /// <summary>Has a tensor compared when all is done, such as one the op changes in place.</summary>
    public Tensor Watch(Tensor x, string name)
    {
        _watched.Add((name, x));
        return x;
    }

    /// <summary>Disposes it when all is compared.</summary>
    public T Own<T>(T owned) where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }

    /// <summary>The gradient that a result gets: in eighths, which every type holds exactly.</summary>
    public Tensor Gradient(Tensor y)
    {
        var values = Array.ConvertAll(Normal(y.Shape, GradientStream), v => MathF.Round(v * 8) / 8);
        return y.DType == DType.F32 ? Tensor.From(Device, values, y.Shape) : Upload(y.Shape, values, y.DType);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var i = _owned.Count - 1; i >= 0; i--) _owned[i].Dispose();
    }

    private Tensor Leaf(Tensor x)
    {
        _leaves.Add(($"input {_leaves.Count}", x.WithGrad()));
        return x;
    }

    private Tensor Upload(Shape shape, float[] values, DType to)
    {
        if (to == DType.BF16) return Tensor.From(Device, Array.ConvertAll(values, ToBF16), shape);
        if (to != DType.F16) return Tensor.From(Device, values, shape);
        var halves = Array.ConvertAll(values, v => (Half)v);
        return Stored == DType.F16 ? Tensor.From(Device, halves, shape) : Tensor.From(Device, Array.ConvertAll(halves, h => (float)h), shape);
    }

    private static float[] Normal(Shape shape, uint stream)
    {
        var random = new Philox(Seed, stream);
        var values = new float[shape.Count];
        for (var i = 0; i < values.Length; i++) values[i] = random.Normal((ulong)i);
        return values;
    }

    /// <summary>To nearest, ties to even; the values are finite.</summary>
    private static ushort ToBF16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}
