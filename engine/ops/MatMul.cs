namespace Plip.Engine;

// C = op(A)·op(B), batched over leading axes.
//   forward   C = A·B
//   backward  dA = dC·Bᵀ,  dB = Aᵀ·dC     (with each transpose moved to where the operand stands)
//   saved     A, B (no copies)
// Cost: 2·M·N·K flops forward, twice that backward; the CPU device's product is engine/devices/cpu/Gemm.cs.
public static partial class Ops
{
    /// <summary>op(A)·op(B). A is (…, M, K) or, transposed, (…, K, M); B is (…, K, N) or (…, N, K); result (…, M, N). F32 or BF16.</summary>
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
