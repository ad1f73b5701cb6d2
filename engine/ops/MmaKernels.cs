namespace Plip.Engine;

/// <summary>One of the ways to multiply tiles on tensor cores: the same kernels and grids under other names; the same arguments but where maps take pointers' place.</summary>
/// <param name="File">Forward, moments and data gradient.</param>
/// <param name="WeightFile">The filters' gradient.</param>
/// <param name="Forward">Kernel in the first file.</param>
/// <param name="Moments">Kernel in the first file.</param>
/// <param name="Data">Kernel in the first file.</param>
/// <param name="Weight">Kernel in the second file.</param>
/// <param name="LineBytes">Shared memory for each row and each column of a tile.</param>
/// <param name="SpareBytes">Shared memory to align the rest.</param>
internal sealed record MmaKernels(
    string File, string WeightFile, string Forward, string Moments, string Data, string Weight, int LineBytes, int SpareBytes)
{
    /// <summary>By mma.sync, everywhere: 4 stages of 32 terms.</summary>
    public static readonly MmaKernels Warps = new(
        "conv2d_mma", "conv2d_mma_weight", "conv2d_mma_forward", "conv2d_mma_moments", "conv2d_mma_data", "conv2d_mma_weight", 4 * 32 * 2, 0);

    /// <summary>By Hopper's wgmma, tiles of 128 × 128: 3 stages of 64 terms.</summary>
    public static readonly MmaKernels Warpgroups = new(
        "conv2d_sm90", "conv2d_sm90", "conv2d_sm90_forward", "conv2d_sm90_moments", "conv2d_sm90_data", "conv2d_sm90_weight", 3 * 64 * 2, 1024);

    /// <summary>The same with tiles brought by the tensor memory unit (<see cref="TmaConvolution"/>).</summary>
    public static readonly MmaKernels Maps = new(
        "conv2d_tma", "conv2d_tma", "conv2d_tma_forward", "conv2d_tma_moments", "conv2d_tma_data", "conv2d_tma_weight", 3 * 64 * 2, 1024);

    /// <summary>For a tile, of pixels fetched so many elements at once; with maps where the shape allows it.</summary>
    public static MmaKernels For(CudaDevice gpu, DType type, MmaTile tile, int pack, bool maps)
    {
        if (tile != MmaTile.Large || pack == 1) return Warps;
        var choice = HopperConvolution.For(gpu, type);
        return maps && choice.Maps ? Maps : choice.Warpgroups ? Warpgroups : Warps;
    }

    /// <summary>Tiles of one row side by side, so that they find its pixels in L2.</summary>
    public Launch Over(MmaTile tile, long rows, int columns) =>
        Launch.Grid(tile.Count(rows, columns)).Of(tile.Threads).Shared(LineBytes * (tile.M + tile.N) + SpareBytes);
}

/// <summary>The results that a block of kernels/common/staged_product.cuh has.</summary>
internal readonly record struct MmaTile(int M, int N)
{
    private const int Busy = 128; // blocks, about the multiprocessors of a large GPU

    /// <summary>128 × 128.</summary>
    public static readonly MmaTile Large = new(128, 128);

    /// <summary>Of a block.</summary>
    public int Threads => this == Large || (M == 128 && N == 64) ? 256 : 128;

    /// <summary>Large tiles read less for each product, but only where there are enough of them, and columns to fill them.</summary>
    /// <param name="rows">Pixels of the result.</param>
    /// <param name="columns">Its channels.</param>
    /// <param name="gathered">Pixels are read one element at a time.</param>
    public static MmaTile For(long rows, int columns, bool gathered)
    {
        if (columns <= 32) return new(128, 32);
        if (gathered) return new(128, 64);
        if (columns > 64 && Large.Count(rows, columns) >= Busy) return Large;
        return new MmaTile(128, 64).Count(rows, columns) >= Busy ? new(128, 64) : new(64, 64);
    }

    /// <summary>How many for a result.</summary>
    public long Count(long rows, int columns) => (long)Launch.Blocks(rows, M) * Launch.Blocks(columns, N);
}
