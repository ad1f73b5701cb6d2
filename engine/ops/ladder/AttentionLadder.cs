namespace Plip.Engine;

/// <summary>
/// The rungs below the tensor-core kernel of <see cref="Ops.Attention(Tensor, Tensor, Tensor, Tensor, Tensor, int, float?)"/>, forward alone. The third is
/// kernels/attention.cu, the best without tensor cores, by which F32 still goes.
/// </summary>
internal static class AttentionLadder
{
    /// <summary>From the first to the last.</summary>
    public static IReadOnlyList<Rung> Rungs { get; } =
    [
        new("attention", 1, "attention_1", "scores in memory: product, softmax, product"),
        new("attention", 2, "attention_2", "a warp a query, the softmax online, no score stored"),
        new("attention", 3, "attention", "tiles of queries and keys in shared memory", Ships: true),
    ];

    /// <summary>Does by a rung what the op does: q (Tq, C), k and v (Tk, C), offsets I32 (B+1) each → (Tq, C).</summary>
    /// <exception cref="ArgumentException">The tensors are not on a GPU.</exception>
    public static Tensor Run(Rung rung, Tensor q, Tensor k, Tensor v, Tensor cuQuery, Tensor cuKey, int heads)
    {
        if (q.Device is not CudaDevice gpu) throw new ArgumentException($"{rung.Name} is a GPU's; the tensors are on {q.Device}");
        var x = new AttentionInputs(q, k, v, cuQuery, cuKey, heads, 1f / MathF.Sqrt(q.Cols / heads));
        var y = Tensor.Like(q);
        switch (rung.Number)
        {
            case 1: gpu.Launch(q.DType, new Stored(rung.Source, y, x)); break;
            case 2: gpu.Launch(q.DType, new Online(rung.Source, y, x)); break;
            default: gpu.Launch(q.DType, new Tiled(y, x)); break;
        }
        return y;
    }

    private static Work Work(string name, Tensor y, in AttentionInputs x) => new(name, y.Bytes + x.Q.Bytes + x.K.Bytes + x.V.Bytes, 4 * x.Products);

    private readonly struct Stored(string file, Tensor y, AttentionInputs x) : ICudaKernel
    {
        private const int Threads = 128;

        public Work Work => Work("attention_1", y, x);

        public void Run(CudaDevice gpu, DType type)
        {
            ReadOnlySpan<int> keys = Packed.OnHost(x.CuKey); // waits for the GPU: the price of a place for every score
            var longest = 0;
            for (var b = 0; b + 1 < keys.Length; b++) longest = Math.Max(longest, keys[b + 1] - keys[b]);
            using var scores = gpu.Scratch((long)x.Heads * x.Q.Rows * longest);
            ReadOnlySpan<Define> constants = [("TYPE", type), ("HEAD", x.Width)];
            var each = Launch.Grid(x.Q.Rows, x.Heads).Of(Threads);
            gpu.Launch(file, "attention_1_scores", constants, each, scores, x.Q, x.K, x.CuQuery, x.CuKey, x.Sequences, longest, x.Q.Cols, x.Scale);
            gpu.Launch(file, "attention_1_softmax", constants, each, scores, x.CuQuery, x.CuKey, x.Sequences, longest);
            gpu.Launch(file, "attention_1_output", constants, each, y, scores, x.V, x.CuQuery, x.CuKey, x.Sequences, longest, x.Q.Cols);
        }
    }

    private readonly struct Online(string file, Tensor y, AttentionInputs x) : ICudaKernel
    {
        public Work Work => Work("attention_2", y, x);

        public void Run(CudaDevice gpu, DType type) => gpu.Launch(
            file, "attention_2", [("TYPE", type), ("HEAD", x.Width)], Launch.WarpPerRow((long)x.Q.Rows * x.Heads),
            y, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Heads, x.Q.Cols, x.Scale);
    }

    private readonly struct Tiled(Tensor y, AttentionInputs x) : ICudaKernel
    {
        public Work Work => Work("attention_3", y, x);

        public void Run(CudaDevice gpu, DType type)
        {
            using var lse = gpu.Scratch((long)x.Heads * x.Q.Rows);
            AttentionPlain.Forward(gpu, type, y, lse, x);
        }
    }
}
