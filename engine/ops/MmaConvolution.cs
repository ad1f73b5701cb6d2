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

    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s, bool relu)
    {
        var tile = TileFor(x, s);
        Forward(gpu, type, y, x, w, bias, s, relu, tile, MmaKernels.For(gpu, type, tile, Packed(x, s.C), TmaConvolution.Takes(s)));
    }

    internal static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s, bool relu, MmaTile tile, MmaKernels by)
    {
        var grid = by.Over(tile, s.Pixels, s.K);
        if (by == MmaKernels.Maps)
        {
            TmaConvolution.Forward(gpu, type, y, x, w, bias, s, relu, grid);
            return;
        }
        gpu.Launch(
            by.File, by.Forward, [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", Packed(x, s.C))], grid,
            y, x, w, bias, relu ? 0f : float.NegativeInfinity, s.Pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
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

    /// <summary>Memory for the moments of a result.</summary>
    public static BlockMoments NewMoments(Tensor x, ConvShape s, int groups)
    {
        var rows = TileFor(x, s).M;
        return new(Tensor.Empty(x.Device, new Shape(groups, Launch.Blocks(s.Pixels / groups, rows), 2, s.K), DType.F32, nameof(Ops.Conv2d)), rows);
    }

    /// <summary>Forward, and the moments of its result.</summary>
    public static void Moments(CudaDevice gpu, DType type, Tensor y, BlockMoments moments, Tensor x, Tensor w, ConvShape s)
    {
        var tile = TileFor(x, s);
        Moments(gpu, type, y, moments.Partial, x, w, s, tile, MmaKernels.For(gpu, type, tile, Packed(x, s.C), TmaConvolution.Takes(s)));
    }

    internal static void Moments(CudaDevice gpu, DType type, Tensor y, Tensor moments, Tensor x, Tensor w, ConvShape s, MmaTile tile, MmaKernels by)
    {
        int groups = moments.Shape[0], pixels = s.Pixels / groups;
        var grid = by.Over(tile, pixels, s.K) with { GridZ = groups };
        if (by == MmaKernels.Maps)
        {
            TmaConvolution.Moments(gpu, type, y, moments, x, w, s, pixels, grid);
            return;
        }
        gpu.Launch(
            by.File, by.Moments, [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", Packed(x, s.C))], grid,
            y, moments, x, w, pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    public static void DataGradient(CudaDevice gpu, DType type, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s, bool relu)
    {
        var tile = MmaTile.For(PhasePixels(s), s.C, false);
        DataGradient(gpu, type, dx, dy, w, bias, s, relu, tile, MmaKernels.For(gpu, type, tile, Group, TmaConvolution.TakesData(s)));
    }

    internal static void DataGradient(CudaDevice gpu, DType type, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s, bool relu, MmaTile tile, MmaKernels by)
    {
        var grid = by.Over(tile, PhasePixels(s), s.C) with { GridZ = checked(s.Stride * s.Stride) };
        if (by == MmaKernels.Maps)
        {
            TmaConvolution.DataGradient(gpu, type, dx, dy, w, bias, s, relu, grid);
            return;
        }
        gpu.Launch(
            by.File, by.Data, [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", Group)], grid,
            dx, dy, w, bias, relu ? 0f : float.NegativeInfinity, s.N, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    public static void WeightGradient(CudaDevice gpu, DType type, Tensor dw, Tensor x, Tensor dy, ConvShape s)
    {
        int pack = Packed(x, s.C), rows = s.R * s.S * s.C;
        var tile = pack == 1 || rows < 128 ? new MmaTile(64, 64) : s.K < 128 ? new MmaTile(128, 64) : MmaTile.Large;
        WeightGradient(gpu, type, dw, x, dy, s, tile, MmaKernels.For(gpu, type, tile, pack, TmaConvolution.Takes(s)));
    }

    internal static void WeightGradient(CudaDevice gpu, DType type, Tensor dw, Tensor x, Tensor dy, ConvShape s, MmaTile tile, MmaKernels by)
    {
        const int Busy = 512, Least = 256; // blocks that keep a large GPU busy; pixels that are worth a part's sum
        var blocks = by.Over(tile, s.R * s.S * s.C, s.K);
        var wanted = Math.Clamp(Busy / Math.Max(1, blocks.GridX), 1, Math.Max(1, s.Pixels / Least));
        var perPart = Math.Max(1, Launch.Blocks(s.Pixels, wanted));
        if (by == MmaKernels.Maps) perPart = TmaConvolution.PartOf(perPart);
        var parts = Math.Max(1, Launch.Blocks(s.Pixels, perPart));
        using var partial = gpu.Scratch(parts == 1 ? 0 : parts * dw.Count);
        KernelArgument to = dw;
        if (parts > 1) to = partial;
        if (by == MmaKernels.Maps) TmaConvolution.WeightGradient(gpu, type, to, x, dy, s, perPart, blocks with { GridZ = parts });
        else gpu.Launch(
            by.WeightFile, by.Weight, [("TYPE", type), ("TILE_M", tile.M), ("TILE_N", tile.N), ("PACK_A", Packed(x, s.C))], blocks with { GridZ = parts },
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

    private static MmaTile TileFor(Tensor x, ConvShape s) => MmaTile.For(s.Pixels, s.K, Packed(x, s.C) == 1);

    /// <summary>Pixels of the data gradient's first phase, which has most.</summary>
    private static int PhasePixels(ConvShape s) => checked(s.N * Launch.Blocks(s.H, s.Stride) * Launch.Blocks(s.W, s.Stride));

    /// <summary>Offsets within a picture are 32-bit numbers.</summary>
    private static bool Takes(DType type, ConvShape s) =>
        type is DType.BF16 or DType.F16 && (long)s.H * s.W * s.C < 1 << 30 && (long)s.Ho * s.Wo * s.K < 1 << 30;

    private static bool Lies(Tensor x) => x.Address % 16 == 0;

    private static int Packed(Tensor x, int channels) => channels % Group == 0 && Lies(x) ? Group : 1;
}
