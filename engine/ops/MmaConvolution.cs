namespace Plip.Engine;

/// <summary>How kernels/conv2d_mma*.cu are launched: for pictures stored in two bytes, whose products tensor cores can take. By the shape alone.</summary>
internal static class MmaConvolution
{
    private const int Group = 8; // elements of 16 bytes

    /// <summary>Whether forward can: rows of filters are copied 16 bytes at a time, pixels singly where their channels do not allow it.</summary>
    public static bool TakesForward(DType type, Tensor x, Tensor w, ConvShape s) => Takes(type, s) && s.K % Group == 0 && Lies(w);

    /// <summary>Whether the data gradient can: pixels of dy and rows of filters are copied 16 bytes at a time. Any C.</summary>
    public static bool TakesData(DType type, Tensor dy, Tensor w, ConvShape s) => Takes(type, s) && s.K % Group == 0 && Lies(dy) && Lies(w);

    /// <summary>Whether the filters' gradient can: pixels of dy are copied 16 bytes at a time. Any C.</summary>
    public static bool TakesWeight(DType type, Tensor dy, ConvShape s) => Takes(type, s) && s.K % Group == 0 && Lies(dy);

    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s)
    {
        var pack = Packed(x, s.C);
        var tile = TileFor(x, s, s.Pixels);
        gpu.Launch(
            "conv2d_mma", "conv2d_mma_forward", [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", pack)], tile.Over(s.Pixels, s.K),
            y, x, w, bias, float.NegativeInfinity, s.Pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    /// <summary>
    /// Whether a convolution should leave the moments of its result for batch norm, over groups of pictures. Always where it comes here
    /// anyway. 1×1 filters at stride 1 are cuBLASLt's, which leaves none: those come here where that is reckoned to be the faster.
    /// </summary>
    public static bool LeavesMoments(Tensor x, Tensor w, ConvShape s, int groups)
    {
        if (x.Device is not CudaDevice || groups == 0 || s.N % groups != 0 || s.Pixels == 0) return false;
        return w.DType == x.DType && TakesForward(x.DType, x, w, s) && (!s.IsPointwise || MomentsPay(s));
    }

    /// <summary>Memory for <see cref="Moments"/>.</summary>
    public static BlockMoments NewMoments(Tensor x, ConvShape s, int groups)
    {
        var tile = TileFor(x, s, s.Pixels);
        return new(Tensor.Empty(x.Device, new Shape(groups, Launch.Blocks(s.Pixels / groups, tile.M), 2, s.K), DType.F32, nameof(Ops.Conv2d)), tile.M);
    }

    /// <summary>Forward, and the moments of its result.</summary>
    public static void Moments(CudaDevice gpu, DType type, Tensor y, BlockMoments moments, Tensor x, Tensor w, ConvShape s)
    {
        int pack = Packed(x, s.C), groups = moments.Partial.Shape[0], pixels = s.Pixels / groups;
        var tile = TileFor(x, s, s.Pixels);
        gpu.Launch(
            "conv2d_mma", "conv2d_mma_moments", [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", pack)],
            tile.Over(pixels, s.K) with { GridZ = groups },
            y, moments.Partial, x, w, pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    public static void DataGradient(CudaDevice gpu, DType type, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s)
    {
        var pixels = checked(s.N * Launch.Blocks(s.H, s.Stride) * Launch.Blocks(s.W, s.Stride)); // of the first phase, which has most
        var tile = MmaTile.For(pixels, s.C, false);
        gpu.Launch(
            "conv2d_mma", "conv2d_mma_data", [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", Group)], tile.Over(pixels, s.C) with { GridZ = checked(s.Stride * s.Stride) },
            dx, dy, w, bias, float.NegativeInfinity, s.N, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    public static void WeightGradient(CudaDevice gpu, DType type, Tensor dw, Tensor x, Tensor dy, ConvShape s)
    {
        const int Busy = 512, Least = 256; // blocks that keep a large GPU busy; pixels that are worth a part's sum
        int pack = Packed(x, s.C), rows = s.R * s.S * s.C;
        var tile = pack == 1 || rows < 128 ? new MmaTile(64, 64) : new MmaTile(128, s.K < 128 ? 64 : 128);
        var blocks = tile.Over(rows, s.K);
        var wanted = Math.Clamp(Busy / Math.Max(1, blocks.GridX), 1, Math.Max(1, s.Pixels / Least));
        var perPart = Math.Max(1, Launch.Blocks(s.Pixels, wanted));
        var parts = Math.Max(1, Launch.Blocks(s.Pixels, perPart));
        using var partial = gpu.Scratch(parts == 1 ? 0 : parts * dw.Count);
        KernelArgument to = dw;
        if (parts > 1) to = partial;
        gpu.Launch(
            "conv2d_mma_weight", "conv2d_mma_weight", [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", pack)], blocks with { GridZ = parts },
            to, x, dy, s.Pixels, perPart, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
        if (parts > 1) CudaConvolution.AddParts(gpu, type, dw, partial, parts);
    }

    /// <summary>
    /// On an H200, whose device moves 4.3 TB/s and multiplies 750 TFLOP/s of BF16 by cuBLASLt, both measured; mma.sync is reckoned at 400, which is not. A
    /// pass of batch norm reads the result once more. At the pixels of plip-rn50 it pays up to 128 channels on the smaller side.
    /// </summary>
    private static bool MomentsPay(ConvShape s)
    {
        const double Bytes = 4.3e12, Ours = 400e12, Theirs = 750e12;
        double result = 2.0 * s.Pixels * s.K / Bytes, moved = 2.0 * s.Pixels * s.C / Bytes + result;
        return Math.Max(s.Flops / Ours, moved) <= Math.Max(s.Flops / Theirs, moved) + result;
    }

    private static MmaTile TileFor(Tensor x, ConvShape s, long pixels) => MmaTile.For(pixels, s.K, Packed(x, s.C) == 1);

    /// <summary>Offsets within a picture are 32-bit numbers.</summary>
    private static bool Takes(DType type, ConvShape s) =>
        type is DType.BF16 or DType.F16 && (long)s.H * s.W * s.C < 1 << 30 && (long)s.Ho * s.Wo * s.K < 1 << 30;

    private static bool Lies(Tensor x) => x.Address % 16 == 0;

    private static int Packed(Tensor x, int channels) => channels % Group == 0 && Lies(x) ? Group : 1;
}

/// <summary>The results that a block of kernels/common/staged_product.cuh has.</summary>
internal readonly record struct MmaTile(int M, int N)
{
    private const int Stages = 4, Terms = 32, Busy = 128; // blocks, about the multiprocessors of a large GPU

    private int Threads => M * N == 128 * 128 || N == 64 && M == 128 ? 256 : 128;

    /// <summary>Large tiles read less for each product, but only where there are enough of them, and columns to fill them.</summary>
    /// <param name="rows">Pixels of the result.</param>
    /// <param name="columns">Its channels.</param>
    /// <param name="gathered">Pixels are read one element at a time.</param>
    public static MmaTile For(long rows, int columns, bool gathered)
    {
        if (columns <= 32) return new(128, 32);
        if (gathered) return new(128, 64);
        if (columns > 64 && new MmaTile(128, 128).Count(rows, columns) >= Busy) return new(128, 128);
        return new MmaTile(128, 64).Count(rows, columns) >= Busy ? new(128, 64) : new(64, 64);
    }

    /// <summary>Tiles of one row side by side, so that they find its pixels in L2.</summary>
    public Launch Over(long rows, int columns) => Launch.Grid(Count(rows, columns)).Of(Threads).Shared(Stages * (M + N) * Terms * 2);

    private long Count(long rows, int columns) => (long)Launch.Blocks(rows, M) * Launch.Blocks(columns, N);
}
