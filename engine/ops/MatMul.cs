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
        var c = Tensor.Empty(a.Device, a.Shape.Rank == 3 ? new Shape(batch, m, n) : new Shape(m, n));
        c.Device.Run(cpu: cpu => MatMulCpu.Batched(cpu, transA, transB, batch, m, n, k, a, b, c));
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
        var y = Tensor.Empty(x.Device, x.Shape.WithCols(nOut));
        y.Device.Run(cpu: cpu => MatMulCpu.Linear(cpu, y, x, weight, bias));
        return Tape.Record(y, bias == null ? [x, weight] : [x, weight, bias], dy =>
        {
            Tensor? dx = null, dw = null, db = null;
            if (x.NeedsGrad)
            {
                dx = Tensor.Like(x);
                dx.Device.Run(cpu: cpu => MatMulCpu.LinearInput(cpu, dx, dy, weight));
            }
            if (weight.NeedsGrad)
            {
                dw = Tensor.Like(weight);
                dw.Device.Run(cpu: cpu => MatMulCpu.LinearWeight(cpu, dw, dy, x));
            }
            if (bias is { NeedsGrad: true }) db = SumRows(dy);
            return bias == null ? [dx, dw] : [dx, dw, db];
        });
    }
}

file static unsafe class MatMulCpu
{
    public static void Batched(CpuDevice cpu, bool ta, bool tb, int batch, int m, int n, int k, Tensor a, Tensor b, Tensor c)
    {
        for (var i = 0L; i < batch; i++)
            Gemm.Run(cpu, ta, tb, m, n, k, a.F32 + i * m * k, ta ? m : k, b.F32 + i * k * n, tb ? k : n, c.F32 + i * m * n, n);
    }

    public static void Linear(CpuDevice cpu, Tensor y, Tensor x, Tensor w, Tensor? bias) =>
        Gemm.Run(cpu, false, true, x.Rows, w.Shape[0], w.Shape[1], x.F32, x.Cols, w.F32, x.Cols, y.F32, y.Cols, bias: bias == null ? null : bias.F32);

    public static void LinearInput(CpuDevice cpu, Tensor dx, Tensor dy, Tensor w) =>
        Gemm.Run(cpu, false, false, dx.Rows, dx.Cols, dy.Cols, dy.F32, dy.Cols, w.F32, dx.Cols, dx.F32, dx.Cols);

    public static void LinearWeight(CpuDevice cpu, Tensor dw, Tensor dy, Tensor x) =>
        Gemm.Run(cpu, true, false, dy.Cols, x.Cols, x.Rows, dy.F32, dy.Cols, x.F32, x.Cols, dw.F32, x.Cols);
}
