namespace Plip.Engine;

// Normalise each channel over all leading axes.            Ioffe and Szegedy, arXiv:1502.03167
//   forward   x̂ = (x−μ)·r,  r = 1/√(σ²+ε),  y = [relu](γ⊙x̂ + β [+ residual]);  μ, σ² over the R rows, or the running ones
//   backward  dz = dy where y > 0 (or dy);  dβ = Σ dz;  dγ = Σ dz⊙x̂;  dresidual = dz
//             dx = γr·(dz − dβ/R − x̂·dγ/R) with batch statistics, γr·dz with running ones
//   saved     x, μ, r; y only with relu and a residual. Without one the sign of y is recomputed from x, bit for bit.
//   running   ← (1−m)·running + m·(μ, M₂/(R−1)): the variance unbiased, as PyTorch keeps it
//   care      a block's deviations are taken from the mean K of its first eighth: (μ−K)² ≤ 7σ², so Σ(x−K)² − n(μ−K)² loses
//             3 bits at the worst where E[x²]−E[x]² can lose all, and x is read once. Blocks are merged in F64 (Chan).
// Cost: memory-bound. Forward 2 reads and 1 write of x (running statistics: 1 and 1), backward 2 reads of x and of dy and
// 1 write. A residual adds a read forward; with relu, backward also reads y and writes dz, which is the residual's gradient.
// Every pass goes through memory in its order, which counts for more than the arithmetic.
public static partial class Ops
{
    /// <summary>Batch normalisation of x (…, C), optionally followed by + residual and relu in the same pass. F32 or BF16; the vectors are F32.</summary>
    /// <param name="x">Rows of C channels; pictures are (N, H, W, C).</param>
    /// <param name="gamma">Scale (C).</param>
    /// <param name="beta">Shift (C).</param>
    /// <param name="runningMean">Running mean (C): read when not training, otherwise updated in place.</param>
    /// <param name="runningVar">Running variance (C), likewise.</param>
    /// <param name="training">Use the batch's statistics; false uses the running ones.</param>
    /// <param name="updateRunning">False, in training, leaves the running statistics as they are: for a second kind of input.</param>
    /// <param name="momentum">Weight of this batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="relu">Apply max(·, 0) last.</param>
    /// <param name="residual">Added before relu, the shape of x; null for none.</param>
    /// <param name="batches">The number of batches so far, an I64 scalar on x's device, which training increases; null for none.</param>
    /// <exception cref="ArgumentException">A vector is not C long, the residual's shape differs, or training on fewer than two rows.</exception>
    public static Tensor BatchNorm(
        Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, bool training,
        bool updateRunning = true, float momentum = 0.1f, float eps = 1e-5f, bool relu = false, Tensor? residual = null, Tensor? batches = null)
    {
        Require.LastDim(x, gamma, beta);
        Require.LastDim(x, runningMean, runningVar);
        if (residual != null) Require.SameShape(x, residual);
        Require.That(!training || x.Rows > 1, $"training needs two rows or more for a variance, got {x.Shape}");
        if (residual != null) Require.Type(residual, x.DType);
        if (batches != null) Require.Type(batches, DType.I64);
        var y = Tensor.Like(x);
        var (mean, rstd) = (Tensor.Like(gamma), Tensor.Like(gamma));
        if (training)
            x.Device.Run(x.DType, new BatchNormStatistics(mean, rstd, x, eps, updateRunning ? momentum : 0f, runningMean, runningVar, batches));
        else
            x.Device.Run(x.DType, new BatchNormRunning(mean, rstd, runningMean, runningVar, eps));
        x.Device.Run(x.DType, new BatchNormForward(y, x, mean, rstd, gamma, beta, relu, residual));
        return Tape.Record(y, residual == null ? [x, gamma, beta] : [x, gamma, beta, residual], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x), Tensor.Like(gamma), Tensor.Like(beta));
            var masked = relu && residual != null ? Tensor.Like(x) : null;
            x.Device.Run(x.DType, new BatchNormBackward(dx, dgamma, dbeta, masked, dy, x, y, mean, rstd, gamma, beta, training, relu));
            return residual == null ? [dx, dgamma, dbeta] : [dx, dgamma, dbeta, masked ?? dy];
        }, [mean, rstd]);
    }
}

file readonly unsafe struct BatchNormStatistics(
    Tensor mean, Tensor rstd, Tensor x, float eps, float momentum, Tensor runningMean, Tensor runningVar, Tensor? batches) : IKernel
{
    public Work Work => Work.On("batch_norm_statistics", 4, x);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, x);
        int rows = x.Rows, cols = x.Cols, perBlock = BatchNormLaunch.PerBlock(rows), blocks = Launch.Blocks(rows, perBlock);
        using var partial = gpu.Scratch(2L * blocks * cols);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", false), ("MASKED", false)];
        gpu.Launch("batch_norm", "batch_norm_moments", constants, tiles.Over(blocks), partial, x, rows, cols, perBlock);
        gpu.Launch(
            "batch_norm", "batch_norm_merge", constants, BatchNormLaunch.Merge(cols),
            mean, rstd, runningMean, runningVar, batches, partial, rows, cols, perBlock, eps, momentum);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (batches != null) ++*(long*)batches.Address;
        var fold = new ChannelFold(x.Rows, x.Cols);
        var px = x.At<T>();
        float* pm = mean.F32, pr = rstd.F32, rm = runningMean.F32, rv = runningVar.F32;
        var (cols, rows, e, m) = (x.Cols, x.Rows, eps, (double)momentum);
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

/// <summary>Copies: another pass may update the running statistics before this one's backward.</summary>
file readonly unsafe struct BatchNormRunning(Tensor mean, Tensor rstd, Tensor runningMean, Tensor runningVar, float eps) : IKernel
{
    public Work Work => Work.On("batch_norm_running", 3, mean, rstd, runningMean, runningVar);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "batch_norm", "batch_norm_running", [("TYPE", type), ("PACK", 1), ("LANES", 32), ("RELU", false), ("MASKED", false)],
        Launch.PerElement(mean.Count), mean, rstd, runningMean, runningVar, mean.Cols, eps);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        float* pm = mean.F32, pr = rstd.F32, rm = runningMean.F32, rv = runningVar.F32;
        for (var c = 0; c < mean.Count; c++) (pm[c], pr[c]) = (rm[c], (float)(1 / Math.Sqrt((double)rv[c] + eps)));
    }
}

file readonly unsafe struct BatchNormForward(
    Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool relu, Tensor? residual) : IKernel
{
    public Work Work => Work.On("batch_norm_forward", residual == null ? 4 : 5, y, x, residual);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, y, x, gamma, beta, residual);
        gpu.Launch(
            "batch_norm", "batch_norm_forward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", relu), ("MASKED", false)],
            tiles.OverRows(x.Rows), y, x, mean, rstd, gamma, beta, residual, x.Rows, x.Cols);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var fold = new ChannelFold(x.Rows, x.Cols);
        using var scratch = cpu.Scratch(3L * fold.Width);
        var affine = BatchNormKernels.Affine(scratch.At, fold, mean, rstd, gamma, beta);
        T* px = x.At<T>(), pr = residual == null ? null : residual.At<T>();
        var to = Target<T>.Of(y, fold.Width);
        var floor = relu ? 0f : float.NegativeInfinity;
        cpu.For(fold.Passes, b =>
        {
            var (start, count) = fold.Pass(b);
            if (pr == null) BatchNormKernels.Normalize<V, T>(to + start, px + start, affine, floor, count, fold.Width);
            else BatchNormKernels.NormalizeAdd<V, T>(to + start, px + start, pr + start, affine, floor, count, fold.Width);
        });
    }
}

file readonly unsafe struct BatchNormBackward(
    Tensor dx, Tensor dgamma, Tensor dbeta, Tensor? masked, Tensor dy, Tensor x, Tensor y,
    Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool training, bool relu) : IKernel
{
    public Work Work => new("batch_norm_backward", dx.Bytes + dy.Bytes + x.Bytes + (masked == null ? 0 : y.Bytes + masked.Bytes), 11.0 * x.Count);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, dx, masked, dy, x, y, gamma, beta);
        int rows = x.Rows, cols = x.Cols, perBlock = BatchNormLaunch.PerBlock(rows), blocks = Launch.Blocks(rows, perBlock);
        using var partial = gpu.Scratch(2L * blocks * cols);
        using var slope = gpu.Scratch(2L * cols);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes), ("RELU", relu), ("MASKED", masked != null)];
        gpu.Launch(
            "batch_norm", "batch_norm_sums", constants, tiles.Over(blocks),
            partial, masked, dy, x, y, mean, rstd, gamma, beta, rows, cols, perBlock);
        gpu.Launch(
            "batch_norm", "batch_norm_parameters", constants, BatchNormLaunch.Merge(cols),
            dgamma, dbeta, slope, partial, rstd, gamma, rows, cols, blocks, training ? 1 : 0);
        gpu.Launch(
            "batch_norm", "batch_norm_backward", constants, tiles.OverRows(rows),
            dx, masked ?? dy, x, mean, rstd, gamma, beta, slope, rows, cols);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var fold = new ChannelFold(x.Rows, x.Cols);
        int cols = x.Cols, width = fold.Width, rows = x.Rows;
        using var channels = cpu.Scratch(5L * width);
        using var scratch = cpu.Scratch(2L * fold.Blocks * cols);
        var affine = BatchNormKernels.Affine(channels.At, fold, mean, rstd, gamma, beta);
        float* a = affine.Shift + width, b = a + width, partial = scratch.At;
        T* pdy = dy.At<T>(), px = x.At<T>(), py = y.At<T>();
        Target<T> to = Target<T>.Of(dx, width), kept = masked == null ? default : Target<T>.Of(masked, width);
        var (recompute, batch) = (relu && masked == null, training);
        cpu.For(fold.Blocks, k =>
        {
            var block = fold.Block(k);
            if (kept.At != null) BatchNormKernels.Sums<V, SumMasked<T>>(partial, new(kept, pdy, py, px, affine), block);
            else if (recompute) BatchNormKernels.Sums<V, SumRelu<T>>(partial, new(pdy, px, affine), block);
            else BatchNormKernels.Sums<V, SumPlain<T>>(partial, new(pdy, px, affine), block);
        });
        float* pg = dgamma.F32, pb = dbeta.F32, r = rstd.F32;
        var scale = affine.Scale;
        cpu.ForRange(cols, BatchNormKernels.MergeCols, (from, to) =>
        {
            double* s = stackalloc double[BatchNormKernels.MergeCols], sx = stackalloc double[BatchNormKernels.MergeCols];
            BatchNormKernels.MergeSums(s, sx, partial + from, (int)(to - from), cols, fold.Blocks);
            for (var c = from; c < to; c++, s++, sx++)
            {
                pb[c] = (float)*s;
                pg[c] = (float)(*sx * r[c]);
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
file static class BatchNormLaunch
{
    private const int MostBlocks = 1024; // of rows, whose sums one block adds

    public static int PerBlock(int rows) => ColumnTiles.RowsPerBlock(rows, MostBlocks);

    /// <summary>Eight warps for 32 channels.</summary>
    public static Launch Merge(int cols) => Launch.Grid(Launch.Blocks(cols, 32)).Of(32, 8);
}
