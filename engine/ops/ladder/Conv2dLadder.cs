namespace Plip.Engine;

/// <summary>
/// The rungs below the tensor-core kernel of <see cref="Ops.Conv2d"/>, forward alone. The third is kernels/conv2d.cu, the best without tensor cores, by
/// which F32 still goes.
/// </summary>
internal static class Conv2dLadder
{
    private const int Side = 16;

    /// <summary>From the first to the last.</summary>
    public static IReadOnlyList<Rung> Rungs { get; } =
    [
        new("conv2d", 1, "conv2d_1", "a thread a result"),
        new("conv2d", 2, "conv2d_2", "tiles of a product in shared memory"),
        new("conv2d", 3, "conv2d", "64 results a thread in registers, the next terms on their way", Ships: true),
    ];

    /// <summary>A rung's result for pictures (N, H, W, C) and filters (R, S, C, K) on a GPU; on the CPU the op's, to compare with.</summary>
    public static Tensor Run(Rung rung, Tensor x, Tensor weight, int stride = 1, int padding = 0)
    {
        if (x.Device is not CudaDevice gpu) return Ops.Conv2d(x, weight, null, stride, padding);
        var s = Ops.Geometry(x, weight, null, stride, padding, rung.Name);
        var y = Tensor.Empty(gpu, new Shape(s.N, s.Ho, s.Wo, s.K), x.DType);
        switch (rung.Number)
        {
            case 1:
                gpu.Launch(
                    rung.Source, "conv2d_1", [("TYPE", x.DType)], Launch.PerElement(y.Count),
                    y, x, weight, y.Count, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
                break;
            case 2:
                gpu.Launch(
                    rung.Source, "conv2d_2", [("TYPE", x.DType)], Launch.Grid(Launch.Blocks(s.Pixels, Side), Launch.Blocks(s.K, Side)).Of(Side, Side),
                    y, x, weight, s.Pixels, s.H, s.W, s.C, s.R, s.S, s.K, s.Stride, s.Padding, s.Ho, s.Wo);
                break;
            default:
                CudaConvolution.Plain(gpu, x.DType, y, x, weight, null, s);
                break;
        }
        return y;
    }

    /// <summary>
    /// The op by kernels of one's choice in tiles of 128 × 128, BF16 or F16, with their gradients: to compare and to profile them where the shape would take others. On a
    /// GPU that has not their instructions by mma.sync, on the CPU the op's.
    /// </summary>
    /// <param name="by">Which.</param>
    /// <param name="x">(N, H, W, C).</param>
    /// <param name="weight">(R, S, C, K).</param>
    /// <param name="stride">Of both axes.</param>
    /// <param name="padding">Of both axes.</param>
    /// <param name="withMoments">Forward by the kernel that leaves moments too.</param>
    public static Tensor By(MmaKernels by, Tensor x, Tensor weight, int stride = 1, int padding = 0, bool withMoments = false)
    {
        if (x.Device is not CudaDevice gpu) return Ops.Conv2d(x, weight, null, stride, padding);
        if (gpu.Description.Capability != 90 && !CudaLibraries.Current.IsEmulator) by = MmaKernels.Warps;
        var s = Ops.Geometry(x, weight, null, stride, padding, by.Forward);
        var (y, tile) = (Tensor.Empty(gpu, new Shape(s.N, s.Ho, s.Wo, s.K), x.DType), MmaTile.Large);
        if (withMoments)
        {
            var moments = Tensor.Empty(gpu, new Shape(1, Launch.Blocks(s.Pixels, tile.M), 2, s.K), DType.F32);
            MmaConvolution.Moments(gpu, x.DType, y, moments, x, weight, s, tile, by);
            moments.Release();
        }
        else MmaConvolution.Forward(gpu, x.DType, y, x, weight, null, s, false, tile, by);
        return Tape.Record(y, [x, weight], dy =>
        {
            var (dx, dw) = (Tensor.Empty(gpu, x.Shape, x.DType), Tensor.Empty(gpu, weight.Shape, DType.F32));
            MmaConvolution.DataGradient(gpu, x.DType, dx, dy, weight, null, s, false, tile, by);
            MmaConvolution.WeightGradient(gpu, x.DType, dw, x, dy, s, tile, by);
            return [dx, dw];
        }, op: by.Forward);
    }
}
