namespace Plip.Engine;

/// <summary>
/// Attention on a GPU's tensor cores, BF16 or F16 in, F32 sums: kernels/attention_mma.cu and attention_mma_backward.cu. The grid covers sequences of
/// any lengths, and each block finds by itself whether its sequence is short enough for the cheaper backward: nothing is read back, and a
/// captured graph is right for whatever lengths it is replayed with.
/// </summary>
internal static class AttentionMma
{
    private const string ForwardFile = "attention_mma", BackwardFile = "attention_mma_backward";
    private const int WidestHead = 256, DeltaThreads = 128;

    /// <summary>BF16 and F16 heads of up to 256 columns, where a block may have the shared memory: 110 KB for the backward of 256.</summary>
    public static bool Takes(CudaDevice gpu, DType type, int width) =>
        type is DType.BF16 or DType.F16 && width <= WidestHead && Math.Max(new ForwardTiles(width).Bytes, new BackwardTiles(width).Bytes) <= gpu.Description.SharedBytes;

    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor lse, in AttentionInputs x)
    {
        var tiles = new ForwardTiles(x.Width);
        gpu.Launch(
            ForwardFile, "attention_mma_forward", [("TYPE", type), ("HEAD", x.Width), ("PACK", Pack.Of(type, x.Width, x.Q, x.K, x.V, y))],
            Launch.Grid(Tiles(x.Q, x, ForwardTiles.Rows), x.Heads).Of(ForwardTiles.Threads).Shared(tiles.Bytes),
            y, lse, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols, x.Scale);
    }

    public static void Backward(CudaDevice gpu, DType type, Tensor? dq, Tensor? dk, Tensor? dv, Tensor dy, Tensor y, Tensor lse, in AttentionInputs x)
    {
        if (dq == null && dk == null && dv == null) return;
        var tiles = new BackwardTiles(x.Width);
        using var delta = gpu.Scratch((long)x.Heads * x.Q.Rows);
        var pack = Math.Min(Pack.Of(type, x.Width, x.Q, x.K, x.V, dy), Pack.Of(type, x.Width, y, dq, dk, dv));
        ReadOnlySpan<Define> constants = [("TYPE", type), ("HEAD", x.Width), ("PACK", pack)];
        long ofQueries = Tiles(x.Q, x, tiles.Rows), ofKeys = Tiles(x.K, x, tiles.Rows);
        gpu.Launch(
            BackwardFile, "attention_mma_delta", constants, Launch.Grid(ofQueries, x.Heads).Of(DeltaThreads),
            delta, dy, y, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols);
        gpu.Launch(
            BackwardFile, "attention_mma_backward", constants,
            Launch.Grid(Math.Max(ofQueries, ofKeys), x.Heads, x.PackedAlike ? 1 : 2).Of(tiles.Threads).Shared(tiles.Bytes),
            dq, dk, dv, dy, lse, delta, x.Q, x.K, x.V, x.CuQuery, x.CuKey, x.Sequences, x.Q.Rows, x.Q.Cols, x.Scale);
    }

    /// <summary>⌊T/rows⌋ + B tiles are enough for sequences of any lengths (kernels/common/packed.cuh).</summary>
    private static long Tiles(Tensor rows, in AttentionInputs x, int height) => rows.Rows / height + x.Sequences;

    private static int RoundUp(int n, int to) => (n + to - 1) / to * to;

    /// <summary>Bytes of rows of two-byte elements in shared memory, eight elements further apart than they are wide.</summary>
    private static int TileBytes(int rows, int columns) => rows * (columns + 8) * sizeof(ushort);

    private readonly struct ForwardTiles(int width)
    {
        public const int Rows = 64, Threads = 128;

        private int Columns => RoundUp(width, 16);

        private int Keys => Columns <= 128 ? 64 : 32;

        /// <summary>Queries; keys and values, twice.</summary>
        public int Bytes => TileBytes(Rows + 4 * Keys, Columns);
    }

    private readonly struct BackwardTiles(int width)
    {
        private bool IsWide => width > 128;

        /// <summary>Of a tile, and the longest sequence that a block keeps for itself.</summary>
        public int Rows => IsWide ? 48 : 64;

        private int Walked => IsWide ? 16 : 32;

        private int Split => IsWide ? 2 : 1;

        private int Columns => RoundUp(width, 16 * Split);

        public int Threads => Rows / 16 * Split * 32;

        /// <summary>A short sequence's q, dO, k, v, P and dS; or a long one's own tiles, the other side's twice, and lse and δ beside them.</summary>
        public int Bytes => Math.Max(
            TileBytes(4 * Rows, Columns) + 2 * TileBytes(Rows, Rows),
            TileBytes(2 * Rows + 4 * Walked, Columns) + 4 * Walked * sizeof(float));
    }
}
