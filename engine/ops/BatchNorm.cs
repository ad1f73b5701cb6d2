using System.Runtime.Intrinsics;

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
            float* center = partial + (nint)b * 3 * width, d1 = center + width, d2 = d1 + width, at = px + start;
            new Span<float>(center, 3 * width).Clear();
            for (nint o = 0; o < count; o += width) AddRow(center, at + o, (int)Math.Min(width, count - o));
            fold.Gather(center);
            var n = count / cols;
            for (var c = 0; c < cols; c++) center[c] /= n;
            fold.Repeat(center, center);
            for (nint o = 0; o < count; o += width) MomentsRow(d1, d2, at + o, center, (int)Math.Min(width, count - o));
            fold.Gather(d1);
            fold.Gather(d2);
            // The rounding of the centre is taken out again, so a block's mean and M₂ are as good as its deviations.
            for (var c = 0; c < cols; c++)
            {
                center[c] += d1[c] / n;
                d2[c] -= d1[c] * d1[c] / n;
            }
        });
        cpu.ForRange(cols, 64, (from, to) =>
        {
            for (var c = from; c < to; c++)
            {
                double sum = 0, m2 = 0;
                for (var b = 0; b < fold.Blocks; b++) sum += (double)partial[(nint)b * 3 * width + c] * fold.RowsOf(b);
                var mu = sum / rows;
                for (var b = 0; b < fold.Blocks; b++)
                {
                    var delta = partial[(nint)b * 3 * width + c] - mu;
                    m2 += partial[((nint)b * 3 + 2) * width + c] + delta * delta * fold.RowsOf(b);
                }
                pm[c] = (float)mu;
                pr[c] = (float)(1 / Math.Sqrt(m2 / rows + eps));
                if (momentum == 0) continue;
                rm[c] = (float)((1 - momentum) * rm[c] + momentum * mu);
                rv[c] = (float)((1 - momentum) * rv[c] + momentum * (m2 / (rows - 1)));
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
            for (nint o = start; o < start + count; o += width)
            {
                var n = (int)Math.Min(width, start + count - o);
                if (pr == null) NormalizeRow(py + o, px + o, center, scale, shift, floor, n);
                else NormalizeAddRow(py + o, px + o, pr + o, center, scale, shift, floor, n);
            }
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
            for (nint o = start; o < start + count; o += width)
            {
                var n = (int)Math.Min(width, start + count - o);
                if (pz != null) SumMaskedRow(sum, sumX, pz + o, pdy + o, py + o, px + o, center, n);
                else if (recompute) SumReluRow(sum, sumX, pdy + o, px + o, center, scale, shift, n);
                else SumRow(sum, sumX, pdy + o, px + o, center, n);
            }
            fold.Gather(sum);
            fold.Gather(sumX);
        });
        float* pg = dgamma.F32, pb = dbeta.F32, r = rstd.F32;
        cpu.ForRange(cols, 64, (from, to) =>
        {
            for (var c = from; c < to; c++)
            {
                double s = 0, sx = 0;
                for (var k = 0; k < fold.Blocks; k++)
                {
                    s += partial[(nint)k * 2 * width + c];
                    sx += partial[((nint)k * 2 + 1) * width + c];
                }
                pb[c] = (float)s;
                pg[c] = (float)(sx * r[c]);
                // dx = scale·dz − a − b·(x−μ)
                a[c] = training ? (float)(scale[c] * s / rows) : 0f;
                b[c] = training ? (float)(scale[c] * sx * r[c] * r[c] / rows) : 0f;
            }
        });
        fold.Repeat(a, a);
        fold.Repeat(b, b);
        if (pz != null) pdy = pz;
        cpu.For(fold.Blocks, k =>
        {
            var (start, count) = fold.Block(k);
            for (nint o = start; o < start + count; o += width)
            {
                var n = (int)Math.Min(width, start + count - o);
                if (recompute) InputReluRow(pdx + o, pdy + o, px + o, center, scale, shift, a, b, n);
                else InputRow(pdx + o, pdy + o, px + o, center, scale, a, b, n);
            }
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

    private static void AddRow(float* sum, float* x, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) (Vector512.Load(sum + i) + Vector512.Load(x + i)).Store(sum + i);
        for (; i < n; i++) sum[i] += x[i];
    }

    private static void MomentsRow(float* d1, float* d2, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            (Vector512.Load(d1 + i) + d).Store(d1 + i);
            Vector512.FusedMultiplyAdd(d, d, Vector512.Load(d2 + i)).Store(d2 + i);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            d1[i] += d;
            d2[i] += d * d;
        }
    }

    // x−μ first: γr·x + (β−μγr) would cancel where |μ| ≫ σ, and the subtraction is free in a loop that waits for memory.
    private static void NormalizeRow(float* y, float* x, float* center, float* scale, float* shift, float floor, int n)
    {
        var low = Vector512.Create(floor);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var v = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Vector512.Max(v, low).Store(y + i);
        }
        for (; i < n; i++) y[i] = MathF.Max(MathF.FusedMultiplyAdd(x[i] - center[i], scale[i], shift[i]), floor);
    }

    private static void NormalizeAddRow(float* y, float* x, float* residual, float* center, float* scale, float* shift, float floor, int n)
    {
        var low = Vector512.Create(floor);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var v = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i)) + Vector512.Load(residual + i);
            Vector512.Max(v, low).Store(y + i);
        }
        for (; i < n; i++) y[i] = MathF.Max(MathF.FusedMultiplyAdd(x[i] - center[i], scale[i], shift[i]) + residual[i], floor);
    }

    private static void SumRow(float* sum, float* sumX, float* dy, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) Accumulate(sum + i, sumX + i, Vector512.Load(dy + i), Vector512.Load(x + i) - Vector512.Load(center + i));
        for (; i < n; i++)
        {
            sum[i] += dy[i];
            sumX[i] += dy[i] * (x[i] - center[i]);
        }
    }

    private static void SumReluRow(float* sum, float* sumX, float* dy, float* x, float* center, float* scale, float* shift, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var y = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Accumulate(sum + i, sumX + i, Positive(y, Vector512.Load(dy + i)), d);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            if (!(MathF.FusedMultiplyAdd(d, scale[i], shift[i]) > 0)) continue;
            sum[i] += dy[i];
            sumX[i] += dy[i] * d;
        }
    }

    private static void SumMaskedRow(float* sum, float* sumX, float* dz, float* dy, float* y, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var z = Positive(Vector512.Load(y + i), Vector512.Load(dy + i));
            z.Store(dz + i);
            Accumulate(sum + i, sumX + i, z, Vector512.Load(x + i) - Vector512.Load(center + i));
        }
        for (; i < n; i++)
        {
            dz[i] = y[i] > 0 ? dy[i] : 0f;
            sum[i] += dz[i];
            sumX[i] += dz[i] * (x[i] - center[i]);
        }
    }

    private static void InputRow(float* dx, float* dz, float* x, float* center, float* scale, float* a, float* b, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            Input(Vector512.Load(dz + i), d, scale + i, a + i, b + i).Store(dx + i);
        }
        for (; i < n; i++) dx[i] = scale[i] * dz[i] - a[i] - b[i] * (x[i] - center[i]);
    }

    private static void InputReluRow(
        float* dx, float* dy, float* x, float* center, float* scale, float* shift, float* a, float* b, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var y = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Input(Positive(y, Vector512.Load(dy + i)), d, scale + i, a + i, b + i).Store(dx + i);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            var dz = MathF.FusedMultiplyAdd(d, scale[i], shift[i]) > 0 ? dy[i] : 0f;
            dx[i] = scale[i] * dz - a[i] - b[i] * d;
        }
    }

    private static Vector512<float> Positive(Vector512<float> y, Vector512<float> dy) =>
        Vector512.ConditionalSelect(Vector512.GreaterThan(y, Vector512<float>.Zero), dy, Vector512<float>.Zero);

    private static Vector512<float> Input(Vector512<float> dz, Vector512<float> d, float* scale, float* a, float* b) =>
        Vector512.FusedMultiplyAdd(-Vector512.Load(b), d, Vector512.FusedMultiplyAdd(Vector512.Load(scale), dz, -Vector512.Load(a)));

    private static void Accumulate(float* sum, float* sumX, Vector512<float> dz, Vector512<float> d)
    {
        (Vector512.Load(sum) + dz).Store(sum);
        Vector512.FusedMultiplyAdd(dz, d, Vector512.Load(sumX)).Store(sumX);
    }
}
