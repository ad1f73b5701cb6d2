namespace Plip.Engine;

// C = op(A)·op(B), batched over leading axes, and Linear = x·Wᵀ + b.
//   forward   C = A·B
//   backward  dA = dC·Bᵀ,  dB = Aᵀ·dC     (with each transpose moved to where the operand stands)
//   linear    y = x·Wᵀ + b;  dx = dy·W,  dW = dyᵀ·x,  db = Σ_rows dy
//   saved     A, B (no copies)
// Cost: 2·M·N·K flops forward, twice that backward; the CPU device's product is engine/devices/cpu/Gemm.cs.
public static partial class Ops
{
    /// <summary>op(A)·op(B). A is (…, M, K) or, transposed, (…, K, M); B is (…, K, N) or (…, N, K); result (…, M, N). F32.</summary>
    /// <param name="a">Left operand, rank 2, or rank 3 with a batch axis.</param>
    /// <param name="b">Right operand with the same rank and batch.</param>
    /// <param name="transA">Use A's transpose.</param>
    /// <param name="transB">Use B's transpose.</param>
    /// <exception cref="ArgumentException">Ranks, batches or inner extents do not fit.</exception>
    public static Tensor MatMul(Tensor a, Tensor b, bool transA = false, bool transB = false)
    {
        Require.That(a.Shape.Rank is 2 or 3 && a.Shape.Rank == b.Shape.Rank, $"expected two matrices or two batches of them, got {a.Shape} and {b.Shape}");
        var batch = a.Shape.Rank == 3 ? a.Shape[0] : 1;
        Require.That(a.Shape.Rank == 2 || b.Shape[0] == batch, $"expected equal batches, got {a.Shape} and {b.Shape}");
        var (m, k) = transA ? (a.Shape[-1], a.Shape[-2]) : (a.Shape[-2], a.Shape[-1]);
        var (kb, n) = transB ? (b.Shape[-1], b.Shape[-2]) : (b.Shape[-2], b.Shape[-1]);
        Require.That(k == kb, $"inner extents differ: {a.Shape}{(transA ? "ᵀ" : "")} · {b.Shape}{(transB ? "ᵀ" : "")} has {k} against {kb}");
        var c = Tensor.Empty(a.Device, a.Shape.Rank == 3 ? new Shape(batch, m, n) : new Shape(m, n), a.DType);
        c.Device.Run(a.DType, new MatMulKernel(c, a, b, transA, transB, batch, m, n, k));
        return Tape.Record(c, [a, b], dc =>
        [
            !a.NeedsGrad ? null : transA ? MatMul(b, dc, transB, true) : MatMul(dc, b, false, !transB),
            !b.NeedsGrad ? null : transB ? MatMul(dc, a, true, transA) : MatMul(a, dc, !transA, false),
        ]);
    }

    /// <summary>x·Wᵀ + b over the last axis: x (…, In), W (Out, In) as PyTorch stores it, b (Out) or null; result (…, Out). F32.</summary>
    /// <exception cref="ArgumentException">The last axis of x is not In, or b is not Out long.</exception>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
    {
        Require.Rank(weight, 2, "a weight (out, in)");
        var (nOut, nIn) = (weight.Shape[0], weight.Shape[1]);
        Require.That(x.Cols == nIn, $"expected rows of {nIn} for weight {weight.Shape}, got {x.Shape}");
        Require.That(bias == null || bias.Count == nOut, $"expected a bias of {nOut}, got {bias?.Shape}");
        var y = Tensor.Empty(x.Device, x.Shape.WithCols(nOut), x.DType);
        y.Device.Run(x.DType, new LinearForward(y, x, weight, bias));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            Tensor? dx = null, dw = null, db = null;
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
            if (bias is { NeedsGrad: true }) db = SumRows(dy);
            return bias == null ? [dx, dw] : [dx, dw, db];
        });
    }
}

file readonly unsafe struct MatMulKernel(
    Tensor c, Tensor a, Tensor b, bool transA, bool transB, int batch, int m, int n, int k) : IKernel
{
    public Work Work => Work.On("mat_mul", 2.0 * k, c, a, b);

    public void Run(CudaDevice gpu, DType type) => gpu.Gemm.Run(c, a, b, transA, transB, m, n, k, batch);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pc = c.At<T>(), pa = a.At<T>(), pb = b.At<T>();
        for (var i = 0L; i < batch; i++)
            Gemm.Run<V, T, T, T>(
                cpu, transA, transB, m, n, k, pa + i * m * k, transA ? m : k, pb + i * k * n, transB ? k : n, pc + i * m * n, n);
    }
}

file readonly unsafe struct LinearForward(Tensor y, Tensor x, Tensor weight, Tensor? bias) : IKernel
{
    public Work Work => Work.On("linear", 2.0 * x.Cols, y, x, weight);

    public void Run(CudaDevice gpu, DType type)
    {
        // cuBLASLt adds a bias of the result's type alone; rounding it errs by no more than rounding the result does.
        var stored = bias == null || bias.DType == type ? bias : Tensor.Empty(gpu, bias.Shape, type);
        if (stored != bias) Ops.CastInto(stored!, bias!);
        gpu.Gemm.Run(y, x, weight, false, true, x.Rows, y.Cols, x.Cols, bias: stored);
        if (stored != bias) stored!.Release();
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Gemm.Run<V, T, T, T>(
            cpu, false, true, x.Rows, y.Cols, x.Cols, x.At<T>(), x.Cols, weight.At<T>(), x.Cols, y.At<T>(), y.Cols, bias: bias == null ? null : bias.F32);
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
