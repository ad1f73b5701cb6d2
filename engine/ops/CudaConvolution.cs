namespace Plip.Engine;

/// <summary>
/// Which kernel a convolution takes on a GPU: tensor cores (<see cref="MmaConvolution"/>) where they can; else kernels/conv2d.cu, whose tiles and
/// parts of a weight gradient's sum are chosen here. By the shape alone.
/// </summary>
internal static class CudaConvolution
{
    private const int Quad = 4; // neighbours a thread moves at once, of any type: all are multiplied as F32

    /// <summary>1×1 filters at stride 1: y (pixels × n) = x·w or x·wᵀ, plus a bias, which cuBLASLt takes as the result is stored.</summary>
    public static void Product(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, bool turned, Tensor? bias, int pixels, int n, int k)
    {
        var stored = bias == null || bias.DType == type ? bias : Tensor.Empty(gpu, bias.Shape, type);
        if (stored != bias) Ops.CastInto(stored!, bias!);
        gpu.Gemm.Run(y, x, w, false, turned, pixels, n, k, bias: stored);
        if (stored != bias) stored!.Release();
    }

    /// <summary>y = x∗w + bias; a relu on tensor cores alone, which the op asks for only there.</summary>
    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s, bool relu)
    {
        if (MmaConvolution.TakesForward(type, x, w, s))
        {
            MmaConvolution.Forward(gpu, type, y, x, w, bias, s, relu);
            return;
        }
        Plain(gpu, type, y, x, w, bias, s);
    }

    /// <summary>The same on the plain units.</summary>
    public static void Plain(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s)
    {
        int packA = Packed(x, s.C), packB = Packed(w, s.K), tile = Tile(s.Pixels, s.K, packA, packB);
        gpu.Launch(
            "conv2d", "conv2d_forward", [("TYPE", type), ("TILE", tile), ("PACK_A", packA), ("PACK_B", packB), ("PACK_Y", Packed(y, s.K))],
            Launch.Grid(Launch.Blocks(s.Pixels, tile), Launch.Blocks(s.K, tile)).Of(256),
            y, x, w, bias, s.Pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    /// <summary>The transposed convolution of dy; relu as for forward.</summary>
    public static void DataGradient(CudaDevice gpu, DType type, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s, bool relu)
    {
        if (MmaConvolution.TakesData(type, dy, w, s))
        {
            MmaConvolution.DataGradient(gpu, type, dx, dy, w, bias, s, relu);
            return;
        }
        var pixels = checked(s.N * Launch.Blocks(s.H, s.Stride) * Launch.Blocks(s.W, s.Stride)); // of the first phase, which has most
        int packA = Packed(dy, s.K), packB = Packed(w, s.K), tile = Tile(pixels, s.C, packA, packB);
        gpu.Launch(
            "conv2d", "conv2d_data", [("TYPE", type), ("TILE", tile), ("PACK_A", packA), ("PACK_B", packB), ("PACK_Y", Packed(dx, s.C))],
            Launch.Grid(Launch.Blocks(pixels, tile), Launch.Blocks(s.C, tile), checked(s.Stride * s.Stride)).Of(256),
            dx, dy, w, bias, s.N, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
    }

    public static void WeightGradient(CudaDevice gpu, DType type, Tensor dw, Tensor x, Tensor dy, ConvShape s)
    {
        if (MmaConvolution.TakesWeight(type, dy, s))
        {
            MmaConvolution.WeightGradient(gpu, type, dw, x, dy, s);
            return;
        }
        const int Busy = 512, Least = 256; // blocks that keep a large GPU busy; pixels that are worth a part's sum
        int packA = Packed(x, s.C), packB = Packed(dy, s.K), rows = s.R * s.S * s.C;
        var tile = rows >= 128 && s.K >= 128 && packA + packB == 2 * Quad ? 128 : 64;
        int across = Launch.Blocks(rows, tile), down = Launch.Blocks(s.K, tile);
        var wanted = Math.Clamp(Busy / Math.Max(1, (long)across * down), 1, Math.Max(1, s.Pixels / Least));
        var perPart = Math.Max(1, Launch.Blocks(s.Pixels, wanted));
        var parts = Math.Max(1, Launch.Blocks(s.Pixels, perPart));
        using var partial = gpu.Scratch(parts == 1 ? 0 : parts * dw.Count);
        KernelArgument to = dw;
        if (parts > 1) to = partial;
        gpu.Launch(
            "conv2d", "conv2d_weight", [("TYPE", type), ("TILE", tile), ("PACK_A", packA), ("PACK_B", packB), ("PACK_Y", Packed(dw, s.K))],
            Launch.Grid(across, down, parts).Of(256),
            to, x, dy, s.Pixels, perPart, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
        if (parts > 1) AddParts(gpu, type, dw, partial, parts);
    }

    /// <summary>The parts of a sum, added in order.</summary>
    public static void AddParts(CudaDevice gpu, DType type, Tensor dw, CudaScratch partial, int parts)
    {
        var count = checked((int)dw.Count);
        gpu.Launch("sum_rows", "add_rows", [("TYPE", type), ("VECTOR", DType.F32)], Launch.Grid(Launch.Blocks(count, 32)).Of(32, 8), dw, partial, parts, count);
    }

    /// <summary>Four at once where every row of so many channels begins at a multiple of them.</summary>
    private static int Packed(Tensor x, int channels) => channels % Quad == 0 && x.Address % (Quad * x.DType.Size()) == 0 ? Quad : 1;

    /// <summary>Large tiles read less, but only 64 of them or more keep a GPU busy.</summary>
    private static int Tile(int rows, int columns, int packA, int packB) =>
        columns >= 128 && (long)rows * columns >= 64L * 128 * 128 && packA + packB == 2 * Quad ? 128 : 64;
}
