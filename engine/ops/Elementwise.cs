using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Sums, products and scalings of tensors of one shape.
//   y = a + b      da = dy,     db = dy
//   y = a ⊙ b      da = dy⊙b,   db = dy⊙a        saved a, b
//   y = s·x + t    dx = s·dy
// Cost: one pass; 12 bytes an element for two inputs, 8 for one. They are bound by memory on every device.
/// <summary>The tensor operations. Each op is one page: its maths, what it saves, its forward, its backward, every device.</summary>
public static partial class Ops
{
    /// <summary>a + b, element by element. Any shape, F32 or BF16.</summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static Tensor Add(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(y.DType, new AddKernel(y, a, b));
        return Tape.Record(y, [a, b], dy => [dy, dy]);
    }

    /// <summary>a − b, element by element. Any shape, F32 or BF16.</summary>
    public static Tensor Subtract(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(y.DType, new SubtractKernel(y, a, b));
        return Tape.Record(y, [a, b], dy => [dy, b.NeedsGrad ? Affine(dy, -1f) : null]);
    }

    /// <summary>a ⊙ b, element by element. Any shape, F32 or BF16.</summary>
    public static Tensor Multiply(Tensor a, Tensor b)
    {
        Require.SameShape(a, b);
        var y = Tensor.Like(a);
        y.Device.Run(y.DType, new MultiplyKernel(y, a, b));
        return Tape.Record(y, [a, b], dy => [a.NeedsGrad ? Multiply(dy, b) : null, b.NeedsGrad ? Multiply(dy, a) : null]);
    }

    /// <summary>scale·x + shift, element by element. Any shape, F32 or BF16.</summary>
    public static Tensor Affine(Tensor x, float scale, float shift = 0f)
    {
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, new AffineKernel(y, x, scale, shift));
        return Tape.Record(y, [x], dy => [Affine(dy, scale)]);
    }

    /// <summary>Σ weightᵢ·lossᵢ over scalars: the total of a multi-task loss.</summary>
    /// <exception cref="ArgumentException">No term, or one that is not a scalar.</exception>
    public static Tensor WeightedSum(IReadOnlyList<(Tensor Loss, float Weight)> terms)
    {
        Require.That(terms.Count > 0, "expected at least one term");
        Tensor? sum = null;
        foreach (var (loss, weight) in terms)
        {
            Require.That(loss.Count == 1, $"expected scalars, got {loss.Shape}");
            var term = Affine(loss, weight);
            sum = sum == null ? term : Add(sum, term);
        }
        return sum!;
    }

    /// <summary>x += g in place, outside the tape: accumulation of gradients. Both of one type, or x F32 and g BF16.</summary>
    internal static void AddInto(Tensor x, Tensor g)
    {
        Require.SameShape(x, g);
        if (x.DType == g.DType) x.Device.Run(x.DType, new AddKernel(x, x, g));
        else x.Device.Run(g.DType, new AccumulateKernel(x, g));
    }

    /// <summary>A constant tensor.</summary>
    public static Tensor Full(Device device, Shape shape, float value)
    {
        var y = Tensor.Empty(device, shape);
        device.Run(y.DType, new FillKernel(y, value));
        return y;
    }
}

file readonly unsafe struct AddKernel(Tensor y, Tensor a, Tensor b) : IKernel
{
    public Work Work => Work.On("add", 1, y, a, b);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, y, a, b);
        gpu.Launch("elementwise", "add", [("TYPE", type), ("PACK", pack)], Launch.PerElement(y.Count, pack), y, a, b, y.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), a.At<T>(), b.At<T>()));

    private readonly struct Body<T>(Target<T> y, T* a, T* b) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(T.Load<V>(a + i) + T.Load<V>(b + i), i);
    }
}

file readonly unsafe struct AccumulateKernel(Tensor sum, Tensor x) : IKernel
{
    public Work Work => Work.On("accumulate", 1, sum, sum, x);

    public void Run(CudaDevice gpu, DType type) =>
        gpu.Launch("elementwise", "accumulate", [("TYPE", type), ("PACK", 1)], Launch.PerElement(sum.Count), sum, x, sum.Count);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(sum.Count, new(sum.F32, x.At<T>()));

    private readonly struct Body<T>(float* sum, T* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => (V.Load(sum + i) + T.Load<V>(x + i)).Store(sum + i);
    }
}

file readonly unsafe struct SubtractKernel(Tensor y, Tensor a, Tensor b) : IKernel
{
    public Work Work => Work.On("subtract", 1, y, a, b);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, y, a, b);
        gpu.Launch("elementwise", "subtract", [("TYPE", type), ("PACK", pack)], Launch.PerElement(y.Count, pack), y, a, b, y.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), a.At<T>(), b.At<T>()));

    private readonly struct Body<T>(Target<T> y, T* a, T* b) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(T.Load<V>(a + i) - T.Load<V>(b + i), i);
    }
}

file readonly unsafe struct MultiplyKernel(Tensor y, Tensor a, Tensor b) : IKernel
{
    public Work Work => Work.On("multiply", 1, y, a, b);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, y, a, b);
        gpu.Launch("elementwise", "multiply", [("TYPE", type), ("PACK", pack)], Launch.PerElement(y.Count, pack), y, a, b, y.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), a.At<T>(), b.At<T>()));

    private readonly struct Body<T>(Target<T> y, T* a, T* b) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(T.Load<V>(a + i) * T.Load<V>(b + i), i);
    }
}

file readonly unsafe struct AffineKernel(Tensor y, Tensor x, float scale, float shift) : IKernel
{
    public Work Work => Work.On("affine", 2, y, x);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, y, x);
        gpu.Launch("elementwise", "affine", [("TYPE", type), ("PACK", pack)], Launch.PerElement(y.Count, pack), y, x, y.Count, scale, shift);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), x.At<T>(), scale, shift));

    private readonly struct Body<T>(Target<T> y, T* x, float scale, float shift) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(V.Fma(T.Load<V>(x + i), V.Create(scale), V.Create(shift)), i);
    }
}

file readonly unsafe struct FillKernel(Tensor y, float value) : IKernel
{
    public Work Work => Work.On("fill", 0, y);

    public void Run(CudaDevice gpu, DType type) =>
        gpu.Launch("elementwise", "fill", [("TYPE", type), ("PACK", 1)], Launch.PerElement(y.Count), y, y.Count, value);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(Target<T>.Of(y), value));

    private readonly struct Body<T>(Target<T> y, float value) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(V.Create(value), i);
    }
}
