using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Linear = x·Wᵀ + b, and GELU of it, as a transformer's inner layer has it.
//   forward   y = x·Wᵀ + b;                    with GELU  h = x·Wᵀ + b,  y = h·Φ(h)
//   backward  dx = dy·W,  dW = dyᵀ·x,  db = Σ_rows dy;    with GELU the same of  dh = dy·(Φ(h) + h·φ(h))
//   saved     x, W; with GELU h as well, and dh is written over it. Nothing is kept where no gradient is needed.
// Cost: 2·M·N·K flops forward, twice that backward (engine/devices/cpu/Gemm.cs). GELU is taken of a tile of h while it is in
// L1: h is written once and read by the backward alone, which sums db in the same pass as dh. On a GPU cuBLASLt adds the bias as it
// writes h, so GELU is the one pass more: its own GELU is the form with tanh.
public static partial class Ops
{
    /// <summary>x·Wᵀ + b over the last axis: x (…, In), W (Out, In) as PyTorch stores it, b (Out) or null; result (…, Out). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">The last axis of x is not In, or b is not Out long.</exception>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
    {
        RequireLinear(x, weight, bias);
        var y = Tensor.Empty(x.Device, x.Shape.WithCols(weight.Shape[0]), x.DType);
        y.Device.Run(x.DType, new LinearForward(y, x, weight, bias));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            var (dx, dw) = LinearGradients(x, weight, dy);
            return bias == null ? [dx, dw] : [dx, dw, bias.NeedsGrad ? SumRows(dy) : null];
        });
    }

    /// <summary>
    /// <c>Gelu(Linear(x, weight, bias))</c> in one pass, with the exact Φ: shapes, types and errors are <see cref="Linear"/>'s.
    /// </summary>
    /// <exception cref="ArgumentException">The last axis of x is not In, or b is not Out long.</exception>
    public static Tensor LinearGelu(Tensor x, Tensor weight, Tensor? bias = null)
    {
        RequireLinear(x, weight, bias);
        var y = Tensor.Empty(x.Device, x.Shape.WithCols(weight.Shape[0]), x.DType);
        var needed = x.Device.Recording && (x.NeedsGrad || weight.NeedsGrad || bias is { NeedsGrad: true });
        var h = needed ? Tensor.Like(y) : null;
        y.Device.Run(x.DType, new LinearGeluForward(y, h, x, weight, bias));
        if (h == null) return y;
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            var db = bias is { NeedsGrad: true } ? Tensor.Empty(bias.Device, bias.Shape) : null;
            h.Device.Run(h.DType, new LinearGeluBackward(h, db, dy));
            var (dx, dw) = LinearGradients(x, weight, h);
            return bias == null ? [dx, dw] : [dx, dw, db];
        }, [h]);
    }

    private static void RequireLinear(Tensor x, Tensor weight, Tensor? bias, [CallerMemberName] string op = "")
    {
        Require.Rank(weight, 2, "a weight (out, in)", op);
        var (nOut, nIn) = (weight.Shape[0], weight.Shape[1]);
        Require.That(x.Cols == nIn, $"expected rows of {nIn} for weight {weight.Shape}, got {x.Shape}", op);
        Require.That(bias == null || bias.Count == nOut, $"expected a bias of {nOut}, got {bias?.Shape}", op);
    }

    private static (Tensor? X, Tensor? Weight) LinearGradients(Tensor x, Tensor weight, Tensor dy)
    {
        Tensor? dx = null, dw = null;
        if (x.NeedsGrad)
        {
            dx = Tensor.Like(x);
            dx.Device.Run(x.DType, new LinearInputGradient(dx, dy, weight));
        }
        if (weight.NeedsGrad)
        {
            dw = Tensor.Empty(weight.Device, weight.Shape);
            dw.Device.Run(x.DType, new LinearWeightGradient(dw, dy, x));
        }
        return (dx, dw);
    }
}

file static class CudaLinear
{
    /// <summary>y = x·Wᵀ + b. cuBLASLt adds a bias of the result's type alone; rounding it errs by no more than rounding the result does.</summary>
    public static void Forward(CudaDevice gpu, Tensor y, Tensor x, Tensor weight, Tensor? bias)
    {
        var stored = bias == null || bias.DType == y.DType ? bias : Tensor.Empty(gpu, bias.Shape, y.DType);
        if (stored != bias) Ops.CastInto(stored!, bias!);
        gpu.Gemm.Run(y, x, weight, false, true, x.Rows, y.Cols, x.Cols, bias: stored);
        if (stored != bias) stored!.Release();
    }
}

file readonly unsafe struct LinearForward(Tensor y, Tensor x, Tensor weight, Tensor? bias) : IKernel
{
    public Work Work => Work.On("linear", 2.0 * x.Cols, y, x, weight);

    public void Run(CudaDevice gpu, DType type) => CudaLinear.Forward(gpu, y, x, weight, bias);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Gemm.Run<V, T, T, T>(
            cpu, false, true, x.Rows, y.Cols, x.Cols, x.At<T>(), x.Cols, weight.At<T>(), x.Cols, y.At<T>(), y.Cols, bias: bias == null ? null : bias.F32);
}

file readonly unsafe struct LinearGeluForward(Tensor y, Tensor? h, Tensor x, Tensor weight, Tensor? bias) : IKernel
{
    private const double GeluFlops = 44;

    public Work Work => h == null ? Work.On("linear_gelu", 2.0 * x.Cols + GeluFlops, y, x, weight) : Work.On("linear_gelu", 2.0 * x.Cols + GeluFlops, y, h, x, weight);

    /// <summary>A pass of its own: cuBLASLt's GELU is the form with tanh.</summary>
    public void Run(CudaDevice gpu, DType type)
    {
        CudaLinear.Forward(gpu, h ?? y, x, weight, bias);
        var pack = Pack.Of(type, y, h);
        gpu.Launch("activations", "activation_forward", [("TYPE", type), ("PACK", pack), ("FUNCTION", "gelu")], Launch.PerElement(y.Count, pack), y, h ?? y, y.Count);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Gemm.Run<V, T, T, T>(
            cpu, false, true, x.Rows, y.Cols, x.Cols, x.At<T>(), x.Cols, weight.At<T>(), x.Cols, (h ?? y).At<T>(), y.Cols,
            bias: bias == null ? null : bias.F32, gelu: y.At<T>());
}

/// <summary>h becomes dh; db, where it is wanted, is summed over blocks of rows, which are then added in order.</summary>
file readonly unsafe struct LinearGeluBackward(Tensor h, Tensor? db, Tensor dy) : IKernel
{
    private const int RowsPerBlock = 16;

    public Work Work
    {
        get
        {
            var pass = Work.On("linear_gelu_backward", db == null ? 47 : 48, h, dy);
            return pass with { Bytes = pass.Bytes + h.Bytes }; // h is read, and dh written
        }
    }

    public void Run(CudaDevice gpu, DType type)
    {
        if (db == null)
        {
            var pack = Pack.Of(type, h, dy);
            gpu.Launch(
                "activations", "activation_backward", [("TYPE", type), ("PACK", pack), ("FUNCTION", "gelu")], Launch.PerElement(h.Count, pack), h, dy, h, h.Count);
            return;
        }
        const int RowsPerBlock = 64; // as in the kernel
        int cols = h.Cols, columns = Pack.Of(type, cols, h, dy), blocks = Launch.Blocks(h.Rows, RowsPerBlock);
        using var partial = gpu.Scratch((long)blocks * cols);
        gpu.Launch(
            "activations", "activation_backward_sums", [("TYPE", type), ("PACK", columns), ("FUNCTION", "gelu")],
            Launch.Grid(Launch.Blocks(cols, 32 * columns), blocks).Of(32, 8), h, partial, dy, h, h.Rows, cols);
        RowBlocks.Add(gpu, db, partial, blocks);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (db == null)
        {
            cpu.Loop<V, Slope<T>>(h.Count, new(h.At<T>(), dy.At<T>()));
            return;
        }
        int rows = h.Rows, cols = h.Cols, blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        T* ph = h.At<T>(), pdy = dy.At<T>();
        using var partial = cpu.Scratch((long)blocks * cols);
        var sums = partial.At;
        cpu.For(blocks, block =>
        {
            var sum = sums + (long)block * cols;
            new Span<float>(sum, cols).Clear();
            for (var i = block * RowsPerBlock; i < Math.Min(rows, (block + 1) * RowsPerBlock); i++)
                Loop.Run<V, SummedSlope<T>>(new(ph + (long)i * cols, pdy + (long)i * cols, sum), 0, cols);
        });
        cpu.AddRows<V>(db.F32, sums, cols, blocks, cols);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Gradient<V, T>(T* h, T* dy)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => T.Load<V>(dy) * VectorMath.GeluSlope(T.Load<V>(h));

    private readonly struct Slope<T>(T* h, T* dy) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(Gradient<V, T>(h + i, dy + i), h + i);
    }

    private readonly struct SummedSlope<T>(T* h, T* dy, float* sum) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var g = Gradient<V, T>(h + i, dy + i);
            T.Store(g, h + i);
            (V.Load(sum + i) + g).Store(sum + i);
        }
    }
}

file readonly unsafe struct LinearInputGradient(Tensor dx, Tensor dy, Tensor weight) : IKernel
{
    public Work Work => Work.On("linear_input_gradient", 2.0 * dy.Cols, dx, dy, weight);

    public void Run(CudaDevice gpu, DType type) => gpu.Gemm.Run(dx, dy, weight, false, false, dx.Rows, dx.Cols, dy.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Gemm.Run<V, T, T, T>(
            cpu, false, false, dx.Rows, dx.Cols, dy.Cols, dy.At<T>(), dy.Cols, weight.At<T>(), dx.Cols, dx.At<T>(), dx.Cols);
}

file readonly unsafe struct LinearWeightGradient(Tensor dw, Tensor dy, Tensor x) : IKernel
{
    public Work Work => Work.On("linear_weight_gradient", 2.0 * x.Rows, dw, dy, x);

    public void Run(CudaDevice gpu, DType type) => gpu.Gemm.Run(dw, dy, x, true, false, dy.Cols, x.Cols, x.Rows);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Gemm.Run<V, T, T, F32>(
            cpu, true, false, dy.Cols, x.Cols, x.Rows, dy.At<T>(), dy.Cols, x.At<T>(), x.Cols, dw.At<F32>(), x.Cols);
}
