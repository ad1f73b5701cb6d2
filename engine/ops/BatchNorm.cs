namespace Plip.Engine;

// Normalise each channel over all leading axes.            Ioffe and Szegedy, arXiv:1502.03167
//   forward   x̂ = (x−μ)·r,  r = 1/√(σ²+ε),  y = [relu](γ⊙x̂ + β [+ residual]);  μ, σ² over the R rows of a group, or the running ones
//   backward  dz = dy where y > 0 (or dy);  dβ = Σ dz;  dγ = Σ dz⊙x̂;  dresidual = dz
//             dx = γr·(dz − dβ/R − x̂·dγ/R) with batch statistics, γr·dz with running ones
//   saved     x, μ, r; y only with relu and a residual. Without one the sign of y is recomputed from x, bit for bit.
//   groups    G runs of rows with statistics of their own, as if G calls: μ, r are (G, C); dγ and dβ are added up in order
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
        bool updateRunning = true, float momentum = 0.1f, float eps = 1e-5f, bool relu = false, Tensor? residual = null, Tensor? batches = null) =>
        BatchNorm(x, gamma, beta, [new RunningStatistics(runningMean, runningVar, batches)], training, updateRunning, momentum, eps, relu, residual);

    /// <summary>
    /// The same of several kinds of input at once: the rows are as many groups of equal length, one behind the other, as there are
    /// <paramref name="groups"/>, each with statistics of its own; gamma and beta are shared. Each group's results and gradients are, bit for
    /// bit, those of a call of its own.
    /// </summary>
    /// <param name="x">Rows of C channels; pictures are (N, H, W, C), of which the first N/G are the first group.</param>
    /// <param name="gamma">Scale (C).</param>
    /// <param name="beta">Shift (C).</param>
    /// <param name="groups">The running statistics of each group: read when not training, otherwise updated in place.</param>
    /// <param name="training">Use the batch's statistics; false uses the running ones.</param>
    /// <param name="updateRunning">False, in training, leaves the running statistics as they are.</param>
    /// <param name="momentum">Weight of this batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="relu">Apply max(·, 0) last.</param>
    /// <param name="residual">Added before relu, the shape of x; null for none.</param>
    /// <exception cref="ArgumentException">A vector is not C long, the residual's shape differs, the groups do not divide the rows (and, of pictures,
    /// the pictures), or training on fewer than two rows of a group.</exception>
    public static Tensor BatchNorm(
        Tensor x, Tensor gamma, Tensor beta, RunningStatistics[] groups, bool training,
        bool updateRunning = true, float momentum = 0.1f, float eps = 1e-5f, bool relu = false, Tensor? residual = null) =>
        Normalize(x, null, gamma, beta, groups, training, updateRunning, momentum, eps, relu, residual, nameof(BatchNorm));

    /// <summary>Batch norm of x, whose moments may be known already; they are given up.</summary>
    private static Tensor Normalize(
        Tensor x, BlockMoments? known, Tensor gamma, Tensor beta, RunningStatistics[] groups, bool training,
        bool updateRunning, float momentum, float eps, bool relu, Tensor? residual, string op)
    {
        Require.LastDim(x, gamma, beta, op);
        var (count, leading) = (groups.Length, x.Shape.Rank > 1 ? x.Shape[0] : x.Rows);
        Require.That(count > 0 && leading % count == 0, $"{count} groups do not divide {x.Shape}", op);
        var rows = x.Rows / count;
        Require.That(!training || rows > 1, $"training needs two rows or more of each group for a variance, got {x.Shape} in {count}", op);
        foreach (var g in groups)
        {
            Require.LastDim(x, g.Mean, g.Variance, op);
            if (g.Batches != null) Require.Type(g.Batches, DType.I64, op);
        }
        if (residual != null) Require.SameShape(x, residual, op);
        if (residual != null) Require.Type(residual, x.DType, op);
        if (x.Device.IsRecomputing) (updateRunning, groups) = (false, Array.ConvertAll(groups, g => g with { Batches = null })); // they were, the first time
        var y = Tensor.Like(x, op);
        var mean = Tensor.Empty(x.Device, new Shape(count, x.Cols), DType.F32, op);
        var rstd = Tensor.Like(mean, op);
        if (training)
            x.Device.Run(x.DType, new BatchNormStatistics(mean, rstd, x, eps, updateRunning ? momentum : 0f, groups, known));
        else
            x.Device.Run(x.DType, new BatchNormRunning(mean, rstd, groups, eps));
        known?.Partial.Release();
        x.Device.Run(x.DType, new BatchNormForward(y, x, mean, rstd, gamma, beta, relu, residual));
        return Tape.Record(y, residual == null ? [x, gamma, beta] : [x, gamma, beta, residual], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x, op), Tensor.Like(gamma, op), Tensor.Like(beta, op));
            var masked = relu && residual != null ? Tensor.Like(x, op) : null;
            x.Device.Run(x.DType, new BatchNormBackward(dx, dgamma, dbeta, masked, dy, x, y, mean, rstd, gamma, beta, training, relu));
            return residual == null ? [dx, dgamma, dbeta] : [dx, dgamma, dbeta, masked ?? dy];
        }, [mean, rstd], op);
    }
}

/// <summary>What batch norm keeps of a kind of input for evaluation.</summary>
/// <param name="Mean">Running mean (C), F32.</param>
/// <param name="Variance">Running variance (C), F32.</param>
/// <param name="Batches">The number of batches so far, an I64 scalar on the input's device, which training increases; null for none.</param>
public readonly record struct RunningStatistics(Tensor Mean, Tensor Variance, Tensor? Batches = null);
