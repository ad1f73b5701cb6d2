namespace Plip.Engine;

// Normalise each channel over all leading axes.            Ioffe and Szegedy, arXiv:1502.03167
//   forward   x̂ = (x−μ)·r,  r = 1/√(σ²+ε),  y = [relu](γ⊙x̂ + β [+ residual]);  μ, σ² over the R rows, or the running ones
//   backward  dz = dy where y > 0 (or dy);  dβ = Σ dz;  dγ = Σ dz⊙x̂;  dresidual = dz
//             dx = γr·(dz − dβ/R − x̂·dγ/R) with batch statistics, γr·dz with running ones
//   saved     x, μ, r; y only with relu and a residual. Without one the sign of y is recomputed from x, bit for bit.
//   running   ← (1−m)·running + m·(μ, M₂/(R−1)): the variance unbiased, as PyTorch keeps it
//   care      blocks are centred in cache before they are squared and merged in F64 (Chan); E[x²]−E[x]² never appears
// Cost: memory-bound. Forward 2 reads and 1 write of x (running statistics: 1 and 1), backward 2 reads of x and of dy and
// 1 write. A residual adds a read forward; with relu, backward also reads y and writes dz, which is the residual's gradient.
public static partial class Ops
{
    /// <summary>Batch normalisation of x (…, C), optionally followed by + residual and relu in the same pass. F32.</summary>
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
    /// <exception cref="ArgumentException">A vector is not C long, the residual's shape differs, or training on fewer than two rows.</exception>
    public static Tensor BatchNorm(
        Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, bool training,
        bool updateRunning = true, float momentum = 0.1f, float eps = 1e-5f, bool relu = false, Tensor? residual = null)
    {
        Require.LastDim(x, gamma, beta);
        Require.LastDim(x, runningMean, runningVar);
        if (residual != null) Require.SameShape(x, residual);
        Require.That(!training || x.Rows > 1, $"training needs two rows or more for a variance, got {x.Shape}");
        var y = Tensor.Like(x);
        var (mean, rstd) = (Tensor.Like(gamma), Tensor.Like(gamma));
        x.Device.Run(cpu: cpu =>
        {
            if (training) BatchNormCpu.Statistics(cpu, mean, rstd, x, eps, updateRunning ? momentum : 0f, runningMean, runningVar);
            else BatchNormCpu.FromRunning(mean, rstd, runningMean, runningVar, eps);
            BatchNormCpu.Forward(cpu, y, x, mean, rstd, gamma, beta, relu, residual);
        });
        return Tape.Record(y, residual == null ? [x, gamma, beta] : [x, gamma, beta, residual], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x), Tensor.Like(gamma), Tensor.Like(beta));
            var masked = relu && residual != null ? Tensor.Like(x) : null;
            x.Device.Run(cpu: cpu => BatchNormCpu.Backward(cpu, dx, dgamma, dbeta, masked, dy, x, y, mean, rstd, gamma, beta, training, relu));
            return residual == null ? [dx, dgamma, dbeta] : [dx, dgamma, dbeta, masked ?? dy];
        }, [mean, rstd]);
    }
}

file static unsafe class BatchNormCpu
{
    public static void Statistics(
        CpuDevice cpu, Tensor mean, Tensor rstd, Tensor x, float eps, float momentum, Tensor runningMean, Tensor runningVar)
    {
        var fold = new ChannelFold(x.Rows, x.Cols);
        float* px = x.F32, pm = mean.F32, pr = rstd.F32, rm = runningMean.F32, rv = runningVar.F32;
        int cols = x.Cols, width = fold.Width, rows = x.Rows;
        var scratch = Tensor.Empty(x.Device, new Shape(fold.Blocks, 3, width));
        var partial = scratch.F32;
        cpu.For(fold.Blocks, b =>
        {
            var (start, count) = fold.Block(b);
            BatchNormKernels.Moments(partial + (nint)b * 3 * width, px + start, count, fold, cols);
        });
        cpu.ForRange(cols, 64, (from, to) =>
        {
            double* mu = stackalloc double[16], m2 = stackalloc double[16];
            for (var c = (int)from; c < to; c++)
            {
                var k = (c - (int)from) % 16;
                if (k == 0) BatchNormKernels.MergeMoments(mu, m2, partial + c, fold, rows);
                pm[c] = (float)mu[k];
                pr[c] = (float)(1 / Math.Sqrt(m2[k] / rows + eps));
                if (momentum == 0) continue;
                rm[c] = (float)((1 - momentum) * rm[c] + momentum * mu[k]);
                rv[c] = (float)((1 - momentum) * rv[c] + momentum * (m2[k] / (rows - 1)));
            }
        });
        scratch.Release();
    }

    public static void FromRunning(Tensor mean, Tensor rstd, Tensor runningMean, Tensor runningVar, float eps)
    {
        // Copied: another pass may update the running statistics before this one's backward.
        float* pm = mean.F32, pr = rstd.F32, rm = runningMean.F32, rv = runningVar.F32;
        for (var c = 0; c < mean.Count; c++)
        {
            pm[c] = rm[c];
            pr[c] = (float)(1 / Math.Sqrt((double)rv[c] + eps));
        }
    }

    public static void Forward(
        CpuDevice cpu, Tensor y, Tensor x, Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool relu, Tensor? residual)
    {
        var fold = new ChannelFold(x.Rows, x.Cols);
        var scratch = Channels(fold, x, mean, rstd, gamma, beta);
        var width = fold.Width;
        float* py = y.F32, px = x.F32, pr = residual == null ? null : residual.F32;
        float* center = scratch.F32, scale = center + width, shift = scale + width;
        var floor = relu ? 0f : float.NegativeInfinity;
        cpu.For(fold.Blocks, b =>
        {
            var (start, count) = fold.Block(b);
            float* o = py + start, at = px + start;
            if (pr == null) BatchNormKernels.Normalize(o, at, center, scale, shift, floor, count, width);
            else BatchNormKernels.NormalizeAdd(o, at, pr + start, center, scale, shift, floor, count, width);
        });
        scratch.Release();
    }

    public static void Backward(
        CpuDevice cpu, Tensor dx, Tensor dgamma, Tensor dbeta, Tensor? masked, Tensor dy, Tensor x, Tensor y,
        Tensor mean, Tensor rstd, Tensor gamma, Tensor beta, bool training, bool relu)
    {
        var fold = new ChannelFold(x.Rows, x.Cols);
        var scratch = Channels(fold, x, mean, rstd, gamma, beta);
        var sums = Tensor.Empty(x.Device, new Shape(fold.Blocks, 2, fold.Width));
        int cols = x.Cols, width = fold.Width, rows = x.Rows;
        float* pdx = dx.F32, pdy = dy.F32, px = x.F32, py = y.F32, pz = masked == null ? null : masked.F32, partial = sums.F32;
        float* center = scratch.F32, scale = center + width, shift = scale + width, a = shift + width, b = a + width;
        var recompute = relu && masked == null;
        cpu.For(fold.Blocks, k =>
        {
            var (start, count) = fold.Block(k);
            float* sum = partial + (nint)k * 2 * width, sumX = sum + width;
            new Span<float>(sum, 2 * width).Clear();
            float* g = pdy + start, at = px + start;
            if (pz != null) BatchNormKernels.SumMasked(sum, sumX, pz + start, g, py + start, at, center, count, width);
            else if (recompute) BatchNormKernels.SumRelu(sum, sumX, g, at, center, scale, shift, count, width);
            else BatchNormKernels.Sum(sum, sumX, g, at, center, count, width);
            fold.Gather(sum);
            fold.Gather(sumX);
        });
        float* pg = dgamma.F32, pb = dbeta.F32, r = rstd.F32;
        cpu.ForRange(cols, 64, (from, to) =>
        {
            double* s = stackalloc double[16], sx = stackalloc double[16];
            for (var c = (int)from; c < to; c++)
            {
                var k = (c - (int)from) % 16;
                if (k == 0) BatchNormKernels.MergeSums(s, sx, partial + c, fold);
                pb[c] = (float)s[k];
                pg[c] = (float)(sx[k] * r[c]);
                // dx = scale·dz − a − b·(x−μ)
                a[c] = training ? (float)(scale[c] * s[k] / rows) : 0f;
                b[c] = training ? (float)(scale[c] * sx[k] * r[c] * r[c] / rows) : 0f;
            }
        });
        fold.Repeat(a, a);
        fold.Repeat(b, b);
        if (pz != null) pdy = pz;
        cpu.For(fold.Blocks, k =>
        {
            var (start, count) = fold.Block(k);
            float* o = pdx + start, g = pdy + start, at = px + start;
            if (recompute) BatchNormKernels.InputRelu(o, g, at, center, scale, shift, a, b, count, width);
            else BatchNormKernels.Input(o, g, at, center, scale, a, b, count, width);
        });
        sums.Release();
        scratch.Release();
    }

    /// <summary>Five rows as wide as the fold: μ, γr, β, and two for the backward.</summary>
    private static Tensor Channels(ChannelFold fold, Tensor x, Tensor mean, Tensor rstd, Tensor gamma, Tensor beta)
    {
        var scratch = Tensor.Empty(x.Device, new Shape(5, fold.Width));
        float* center = scratch.F32, scale = center + fold.Width, r = rstd.F32, g = gamma.F32;
        for (var c = 0; c < x.Cols; c++) scale[c] = g[c] * r[c];
        fold.Repeat(mean.F32, center);
        fold.Repeat(scale, scale);
        fold.Repeat(beta.F32, scale + fold.Width);
        return scratch;
    }
}
