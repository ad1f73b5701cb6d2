namespace Plip.Engine;

/// <summary>How kernels/conv2d_tma.cu is launched: tiles of 128 × 128 whose copies Hopper's tensor memory unit makes. By the shape alone.</summary>
internal static class TmaConvolution
{
    private const int Chunk = TensorMaps.Line;

    /// <summary>Whether forward and the filters' gradient can: 64 channels of one tap at a time.</summary>
    public static bool Takes(ConvShape s) => s.C % Chunk == 0 && Walk(s).Fits;

    /// <summary>Whether the data gradient can: each phase of the strides has a map.</summary>
    public static bool TakesData(ConvShape s)
    {
        if (s.Stride * s.Stride > TensorMaps.Count) return false;
        for (var phase = 0; phase < s.Stride * s.Stride; phase++)
            if (Phase(s, phase) is { } walk && !walk.Fits) return false;
        return true;
    }

    public static void Forward(CudaDevice gpu, DType type, Tensor y, Tensor x, Tensor w, Tensor? bias, ConvShape s, bool relu, in Launch grid) => gpu.Launch(
        "conv2d_tma", "conv2d_tma_forward", Defines(type), grid,
        y, Pixels(gpu, type, x, s, MmaTile.Large.M), Matrix(gpu, type, w, s.R * s.S * s.C, s.K), bias, relu ? 0f : float.NegativeInfinity,
        s.Pixels, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);

    public static void Moments(CudaDevice gpu, DType type, Tensor y, Tensor moments, Tensor x, Tensor w, ConvShape s, int pixels, in Launch grid) => gpu.Launch(
        "conv2d_tma", "conv2d_tma_moments", Defines(type), grid,
        y, moments, Pixels(gpu, type, x, s, MmaTile.Large.M), Matrix(gpu, type, w, s.R * s.S * s.C, s.K), pixels, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);

    public static void DataGradient(CudaDevice gpu, DType type, Tensor dx, Tensor dy, Tensor w, Tensor? bias, ConvShape s, bool relu, in Launch grid) => gpu.Launch(
        "conv2d_tma", "conv2d_tma_data", Defines(type), grid,
        dx, Phases(gpu, type, dy, s), Matrix(gpu, type, w, s.R * s.S * s.C, s.K), bias, relu ? 0f : float.NegativeInfinity,
        s.N, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding);

    /// <param name="perPart">Pixels of a part, a multiple of <see cref="PartOf"/>'s.</param>
    public static void WeightGradient(CudaDevice gpu, DType type, KernelArgument to, Tensor x, Tensor dy, ConvShape s, int perPart, in Launch grid) => gpu.Launch(
        "conv2d_tma", "conv2d_tma_weight", Defines(type), grid,
        to, Pixels(gpu, type, x, s, Chunk), Matrix(gpu, type, dy, s.Pixels, s.K), s.Pixels, perPart, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);

    /// <summary>Parts of the filters' gradient end where a stage does.</summary>
    public static int PartOf(int pixels) => Launch.Blocks(pixels, Chunk) * Chunk;

    private static Define[] Defines(DType type) => type == DType.BF16 ? BF16 : F16;

    private static readonly Define[] BF16 = [("TYPE", DType.BF16), ("TILE_M", MmaTile.Large.M), ("TILE_N", MmaTile.Large.N)];
    private static readonly Define[] F16 = [("TYPE", DType.F16), ("TILE_M", MmaTile.Large.M), ("TILE_N", MmaTile.Large.N)];

    private static KernelArgument Matrix(CudaDevice gpu, DType type, Tensor x, int rows, int columns) => KernelArgument.Of(gpu.TensorMaps.Get(
        x.Address, type, new PixelWalk(rows, 1, 1, columns, 0, 0, 1, 1, 1), 0, (x.Address, type, rows, columns), static m => TensorMaps.Matrix(m.Address, m.type, m.rows, m.columns)));

    /// <summary>What forward's first tap sees; the others are added to it.</summary>
    private static KernelArgument Pixels(CudaDevice gpu, DType type, Tensor x, ConvShape s, int box) => KernelArgument.Of(gpu.TensorMaps.Get(
        x.Address, type, Walk(s), box, (x.Address, type, Walk: Walk(s), box), static m => new TensorMaps().With(0, m.Address, m.type, m.Walk, m.box)));

    private static KernelArgument Phases(CudaDevice gpu, DType type, Tensor dy, ConvShape s) =>
        KernelArgument.Of(gpu.TensorMaps.Get(dy.Address, type, new PixelWalk(s.N, s.H, s.W, s.K, s.R, s.S, -1, s.Padding, s.Stride), MmaTile.Large.M, (dy.Address, type, s), static m =>
        {
            var maps = new TensorMaps();
            for (var phase = 0; phase < m.s.Stride * m.s.Stride; phase++)
                if (Phase(m.s, phase) is { } walk) maps.With(phase, m.Address, m.type, walk, MmaTile.Large.M);
            return maps;
        }));

    private static PixelWalk Walk(ConvShape s) => new(s.N, s.H, s.W, s.C, -s.Padding, -s.Padding, s.Ho, s.Wo, s.Stride);

    /// <summary>
    /// The pixels of dy that phase (a, b) of dx sees with its last tap: pixel i of the phase meets dy at (a + padding − first tap)/t + i − r′ for its taps r′ = 0, 1, …; null
    /// where it has no pixels or no taps.
    /// </summary>
    private static PixelWalk? Phase(ConvShape s, int phase)
    {
        var (top, rows, high) = Axis(phase / s.Stride, s.H, s.R);
        var (left, columns, wide) = Axis(phase % s.Stride, s.W, s.S);
        return rows <= 0 || columns <= 0 || high <= 0 || wide <= 0 ? null : new(s.N, s.Ho, s.Wo, s.K, top, left, rows, columns, 1);

        (int First, int Count, int Taps) Axis(int phaseOf, int size, int filter)
        {
            var firstTap = (phaseOf + s.Padding) % s.Stride;
            var taps = firstTap < filter ? Launch.Blocks(filter - firstTap, s.Stride) : 0;
            return (((phaseOf + s.Padding - firstTap) / s.Stride) - (taps - 1), size > phaseOf ? Launch.Blocks(size - phaseOf, s.Stride) : 0, taps);
        }
    }
}
