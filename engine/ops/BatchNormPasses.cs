namespace Plip.Engine;

/// <summary>The groups of rows of a batch norm, each with statistics of its own.</summary>
/// <param name="Count">How many.</param>
/// <param name="Rows">Rows of each.</param>
/// <param name="Cols">Channels.</param>
internal readonly record struct RowGroups(int Count, int Rows, int Cols)
{
    /// <summary>Of x, with as many rows of statistics as groups.</summary>
    public static RowGroups Of(Tensor x, Tensor mean) => new(mean.Rows, mean.Rows == 0 ? 0 : x.Rows / mean.Rows, x.Cols);

    /// <summary>First element of a group.</summary>
    public nint Start(int g) => (nint)g * Rows * Cols;
}

/// <summary>Means and Σ of squared deviations that a kernel left of the rows it wrote, a block after the other: (groups, blocks, 2, channels).</summary>
/// <param name="Partial">The sums, F32.</param>
/// <param name="PerBlock">Rows of a block; a group's last may have fewer.</param>
internal readonly record struct BlockMoments(Tensor Partial, int PerBlock);

/// <summary>Mean and 1/√(σ²+ε) of each group's channels, and what they make of the running ones.</summary>
/// <param name="mean">(G, C).</param>
/// <param name="rstd">(G, C).</param>
/// <param name="x">The rows.</param>
/// <param name="eps">Added to the variance.</param>
/// <param name="momentum">Weight of this batch in the running statistics; 0 leaves them.</param>
/// <param name="running">Of each group.</param>
/// <param name="known">On a GPU: the moments of x's blocks, which then is not read; null for none.</param>
internal readonly unsafe struct BatchNormStatistics(
    Tensor mean, Tensor rstd, Tensor x, float eps, float momentum, RunningStatistics[] running, BlockMoments? known = null) : IKernel
{
    public Work Work => Work.On("batch_norm_statistics", 4, known?.Partial ?? x);

    public void Run(CudaDevice gpu, DType type)
    {
        if (known is { } moments)
        {
            Merge(gpu, type, moments.Partial, moments.PerBlock);
            return;
        }
        var tiles = new ColumnTiles(type, x.Cols, x);
        var (groups, rows, cols) = RowGroups.Of(x, mean);
        int perBlock = BatchNormLaunch.PerBlock(rows), blocks = Launch.Blocks(rows, perBlock);
        using var partial = gpu.Scratch(2L * groups * blocks * cols);
        gpu.Launch(
            "batch_norm", "batch_norm_moments", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", false), ("MASKED", false)],
            BatchNormLaunch.Each(groups, tiles.Over(blocks)), partial, x, rows, cols, perBlock);
        Merge(gpu, type, partial, perBlock);
    }

    private void Merge(CudaDevice gpu, DType type, KernelArgument partial, int perBlock)
    {
        const int Many = 256, Gathered = 32; // blocks that a warp would add for too long; what batch_norm_gather makes one of
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", 1), ("LANES", 32), ("RELU", false), ("MASKED", false)];
        var (groups, rows, cols) = RowGroups.Of(x, mean);
        int blocks = Launch.Blocks(rows, perBlock), left = blocks > Many ? Launch.Blocks(blocks, Gathered) : 0;
        using var fewer = gpu.Scratch(2L * groups * left * cols);
        if (left > 0)
        {
            gpu.Launch(
                "batch_norm", "batch_norm_gather", constants, Launch.Grid(left, Launch.Blocks(cols, 32), groups).Of(32, 8), fewer, partial, rows, cols, perBlock);
            (partial, perBlock) = (fewer, perBlock * Gathered);
        }
        for (var g = 0; g < groups; g++)
            gpu.Launch(
                "batch_norm", "batch_norm_merge", constants, BatchNormLaunch.Merge(cols),
                mean, rstd, running[g].Mean, running[g].Variance, running[g].Batches, partial, g, rows, cols, perBlock, eps, momentum);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var all = RowGroups.Of(x, mean);
        for (var g = 0; g < all.Count; g++)
            Group<V, T>(cpu, x.At<T>() + all.Start(g), mean.F32 + (nint)g * all.Cols, rstd.F32 + (nint)g * all.Cols, running[g], all.Rows, all.Cols);
    }

    private void Group<V, T>(CpuDevice cpu, T* px, float* pm, float* pr, RunningStatistics kept, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (kept.Batches != null) ++*(long*)kept.Batches.Address;
        var fold = new ChannelFold(rows, cols);
        float* rm = kept.Mean.F32, rv = kept.Variance.F32;
        var (e, m) = (eps, (double)momentum);
        using var scratch = cpu.Scratch(2L * fold.Blocks * cols);
        var partial = scratch.At; // each block's means, then its Σ of squared deviations
        cpu.For(fold.Blocks, b => BatchNormKernels.Moments<V, T>(partial, px, fold.Block(b)));
        cpu.ForRange(cols, BatchNormKernels.MergeCols, (from, to) =>
        {
            double* mu = stackalloc double[BatchNormKernels.MergeCols], m2 = stackalloc double[BatchNormKernels.MergeCols];
            BatchNormKernels.MergeMoments(mu, m2, partial + from, (int)(to - from), cols, fold, rows);
            for (var c = from; c < to; c++, mu++, m2++)
            {
                pm[c] = (float)*mu;
                pr[c] = (float)(1 / Math.Sqrt(*m2 / rows + e));
                if (m == 0) continue;
                rm[c] = (float)((1 - m) * rm[c] + m * *mu);
                rv[c] = (float)((1 - m) * rv[c] + m * (*m2 / (rows - 1)));
            }
        });
    }
}

/// <summary>The running statistics in place of the batch's. Copies: another pass may update them before this one's backward.</summary>
internal readonly unsafe struct BatchNormRunning(Tensor mean, Tensor rstd, RunningStatistics[] running, float eps) : IKernel
{
    public Work Work => Work.On("batch_norm_running", 3, mean, rstd, mean, rstd);

    public void Run(CudaDevice gpu, DType type)
    {
        for (var g = 0; g < running.Length; g++)
            gpu.Launch(
                "batch_norm", "batch_norm_running", [("TYPE", type), ("PACK", 1), ("LANES", 32), ("RELU", false), ("MASKED", false)],
                Launch.PerElement(mean.Cols), mean, rstd, running[g].Mean, running[g].Variance, g, mean.Cols, eps);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        float* pm = mean.F32, pr = rstd.F32;
        foreach (var kept in running)
        {
            float* rm = kept.Mean.F32, rv = kept.Variance.F32;
            for (var c = 0; c < mean.Cols; c++) (*pm++, *pr++) = (rm[c], (float)(1 / Math.Sqrt((double)rv[c] + eps)));
        }
    }
}

/// <summary>y = [relu](γr·(x−μ) + β [+ residual]).</summary>
internal readonly unsafe struct BatchNormForward(
    Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool relu, Tensor? residual) : IKernel
{
    public Work Work => Work.On("batch_norm_forward", residual == null ? 4 : 5, y, x, residual);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, y, x, gamma, beta, residual);
        var (groups, rows, cols) = RowGroups.Of(x, mean);
        gpu.Launch(
            "batch_norm", "batch_norm_forward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", relu), ("MASKED", false)],
            BatchNormLaunch.Each(groups, tiles.OverRows(rows)), y, x, mean, rstd, gamma, beta, residual, rows, cols);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var all = RowGroups.Of(x, mean);
        var fold = new ChannelFold(all.Rows, all.Cols);
        using var scratch = cpu.Scratch(3L * fold.Width);
        for (var g = 0; g < all.Count; g++)
        {
            var affine = BatchNormKernels.Affine(scratch.At, fold, all.Cols, mean.F32 + (nint)g * all.Cols, rstd.F32 + (nint)g * all.Cols, gamma.F32, beta.F32);
            T* px = x.At<T>() + all.Start(g), pr = residual == null ? null : residual.At<T>() + all.Start(g);
            var to = Target<T>.Of(y, fold.Width) + all.Start(g);
            var floor = relu ? 0f : float.NegativeInfinity;
            cpu.For(fold.Passes, b =>
            {
                var (start, count) = fold.Pass(b);
                if (pr == null) BatchNormKernels.Normalize<V, T>(to + start, px + start, affine, floor, count, fold.Width);
                else BatchNormKernels.NormalizeAdd<V, T>(to + start, px + start, pr + start, affine, floor, count, fold.Width);
            });
        }
    }
}

/// <summary>dx, dγ, dβ, and in <c>masked</c> the residual's gradient where there is a relu before it.</summary>
internal readonly unsafe struct BatchNormBackward(
    Tensor dx, Tensor dgamma, Tensor dbeta, Tensor? masked, Tensor dy, Tensor x, Tensor y,
    Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool training, bool relu) : IKernel
{
    public Work Work => new("batch_norm_backward", dx.Bytes + dy.Bytes + x.Bytes + (masked == null ? 0 : y.Bytes + masked.Bytes), 11.0 * x.Count);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, dx, masked, dy, x, y, gamma, beta);
        var (groups, rows, cols) = RowGroups.Of(x, mean);
        int perBlock = BatchNormLaunch.PerBlock(rows), blocks = Launch.Blocks(rows, perBlock);
        using var partial = gpu.Scratch(2L * groups * blocks * cols);
        using var slope = gpu.Scratch(2L * groups * cols);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", relu), ("MASKED", masked != null)];
        gpu.Launch(
            "batch_norm", "batch_norm_sums", constants, BatchNormLaunch.Each(groups, tiles.Over(blocks)),
            partial, masked, dy, x, y, mean, rstd, gamma, beta, rows, cols, perBlock);
        gpu.Launch(
            "batch_norm", "batch_norm_parameters", constants, BatchNormLaunch.Merge(cols),
            dgamma, dbeta, slope, partial, rstd, gamma, rows, cols, blocks, groups, training ? 1 : 0);
        gpu.Launch(
            "batch_norm", "batch_norm_backward", constants, BatchNormLaunch.Each(groups, tiles.OverRows(rows)),
            dx, masked ?? dy, x, mean, rstd, gamma, beta, slope, rows, cols);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var all = RowGroups.Of(x, mean);
        for (var g = 0; g < all.Count; g++) Group<V, T>(cpu, all, g);
    }

    private void Group<V, T>(CpuDevice cpu, RowGroups all, int g)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (_, rows, cols) = all;
        var (fold, first) = (new ChannelFold(rows, cols), all.Start(g));
        var width = fold.Width;
        using var channels = cpu.Scratch(5L * width);
        using var scratch = cpu.Scratch(2L * fold.Blocks * cols);
        var r = rstd.F32 + (nint)g * cols;
        var affine = BatchNormKernels.Affine(channels.At, fold, cols, mean.F32 + (nint)g * cols, r, gamma.F32, beta.F32);
        float* a = affine.Shift + width, b = a + width, partial = scratch.At;
        T* pdy = dy.At<T>() + first, px = x.At<T>() + first, py = y.At<T>() + first;
        Target<T> to = Target<T>.Of(dx, width) + first, kept = masked == null ? default : Target<T>.Of(masked, width) + first;
        var (recompute, batch, more) = (relu && masked == null, training, g > 0);
        cpu.For(fold.Blocks, k =>
        {
            var block = fold.Block(k);
            if (kept.At != null) BatchNormKernels.Sums<V, SumMasked<T>>(partial, new(kept, pdy, py, px, affine), block);
            else if (recompute) BatchNormKernels.Sums<V, SumRelu<T>>(partial, new(pdy, px, affine), block);
            else BatchNormKernels.Sums<V, SumPlain<T>>(partial, new(pdy, px, affine), block);
        });
        float* pg = dgamma.F32, pb = dbeta.F32;
        var scale = affine.Scale;
        cpu.ForRange(cols, BatchNormKernels.MergeCols, (from, to) =>
        {
            double* s = stackalloc double[BatchNormKernels.MergeCols], sx = stackalloc double[BatchNormKernels.MergeCols];
            BatchNormKernels.MergeSums(s, sx, partial + from, (int)(to - from), cols, fold.Blocks);
            for (var c = from; c < to; c++, s++, sx++)
            {
                // Rounded before they are added up, as the gradients of calls of their own are.
                pb[c] = (more ? pb[c] : 0f) + (float)*s;
                pg[c] = (more ? pg[c] : 0f) + (float)(*sx * r[c]);
                // dx = scale·dz − a − b·(x−μ)
                a[c] = batch ? (float)(scale[c] * *s / rows) : 0f;
                b[c] = batch ? (float)(scale[c] * *sx * r[c] * r[c] / rows) : 0f;
            }
        });
        fold.Repeat(a, a);
        fold.Repeat(b, b);
        if (kept.At != null) pdy = kept.At;
        cpu.For(fold.Passes, k =>
        {
            var (start, count) = fold.Pass(k);
            if (recompute) BatchNormKernels.InputRelu<V, T>(to + start, pdy + start, px + start, affine, a, b, count, width);
            else BatchNormKernels.Input<V, T>(to + start, pdy + start, px + start, affine, a, b, count, width);
        });
    }
}

/// <summary>What the launches of kernels/batch_norm.cu share.</summary>
internal static class BatchNormLaunch
{
    private const int MostBlocks = 1024; // of rows, whose sums one block adds

    /// <summary>Rows that one block sums.</summary>
    public static int PerBlock(int rows) => ColumnTiles.RowsPerBlock(rows, MostBlocks);

    /// <summary>The same grid for each group: grid.z counts them.</summary>
    public static Launch Each(int groups, Launch one) => one with { GridZ = groups };

    /// <summary>Eight warps for 32 channels.</summary>
    public static Launch Merge(int cols) => Launch.Grid(Launch.Blocks(cols, 32)).Of(32, 8);
}
