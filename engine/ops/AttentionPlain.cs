namespace Plip.Engine;

/// <summary>
/// Attention on a GPU's plain units, with F32 arithmetic whatever is stored: kernels/attention.cu. F32 has no other way; of BF16 and F16 only heads that
/// <see cref="AttentionMma"/> does not take come here.
/// </summary>
internal static class AttentionPlain
{
    private const string File = "attention";

    public static void Forward(CudaDevice gpu, DType type, Tensor y, KernelArgument lse, in AttentionInputs x)
    {
        var tiles = new Tiles(x.Width);
        gpu.Launch(
            File, "attention_forward", [("TYPE", type), ("HEAD", x.Width), ("PACK", Pack.Of(type, x.Width, x.Q, x.K, x.V))],
            tiles.Grid(x.Q, x.CuQuery, x.Heads).Shared(tiles.ForwardBytes),
            y, lse, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols, x.Scale);
    }

    public static void Backward(CudaDevice gpu, DType type, Tensor? dq, Tensor? dk, Tensor? dv, Tensor dy, Tensor y, Tensor lse, in AttentionInputs x)
    {
        var tiles = new Tiles(x.Width);
        using var delta = gpu.Scratch((long)x.Heads * x.Q.Rows);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("HEAD", x.Width), ("PACK", Pack.Of(type, x.Width, x.Q, x.K, x.V, dy))];
        gpu.Launch(File, "attention_delta", constants, Launch.WarpPerRow((long)x.Q.Rows * x.Heads), delta, dy, y, (long)x.Q.Rows, x.Heads);
        if (dq != null)
            gpu.Launch(
                File, "attention_backward_queries", constants, tiles.Grid(x.Q, x.CuQuery, x.Heads).Shared(tiles.BackwardBytes(1)),
                dq, dy, lse, delta, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols, x.Scale);
        if (dk != null || dv != null)
            gpu.Launch(
                File, "attention_backward_keys", constants, tiles.Grid(x.K, x.CuKey, x.Heads).Shared(tiles.BackwardBytes(2)),
                dk, dv, dy, lse, delta, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols, x.Scale);
    }

    /// <summary>How the kernels cut a head of this width, and the shared memory they take.</summary>
    private readonly struct Tiles(int width)
    {
        private int Rows => width <= 64 ? 64 : width <= 128 ? 32 : 16;

        private int Walked => width <= 64 ? 32 : 16;

        private int Stride => (width + 15) / 16 * 16 + 4;

        public int ForwardBytes => (2 * Rows * Stride + Rows * (Rows + 4)) * sizeof(float);

        public int BackwardBytes(int scores) => (2 * (Rows + Walked) * Stride + scores * Rows * (Walked + 4)) * sizeof(float);

        /// <summary>⌊T/Rows⌋ + B tiles are enough for sequences of any lengths.</summary>
        public Launch Grid(Tensor x, Tensor offsets, int heads) => Launch.Grid(x.Rows / Rows + offsets.Count - 1, heads).Of(16, 16);
    }
}
