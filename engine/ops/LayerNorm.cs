using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Normalise the last axis.                                  Ba et al., arXiv:1607.06450
//   forward   x̂ = (x−μ)·r,  r = 1/√(σ²+ε),  y = γ⊙x̂ + β
//   backward  g = γ⊙dy;  dx = r·(g − mean g − x̂·mean(g⊙x̂));  dγ = Σ dy⊙x̂;  dβ = Σ dy
//   saved     x, μ, r.  x̂ is recomputed: two floats a row instead of a second copy of x.
//   care      centre, then square: E[x²]−E[x]² cancels when |μ| ≫ σ
// Cost: a row stays in L1 between its three reads, so x is read once and y written once: 8 bytes an element.
public static partial class Ops
{
    /// <summary>Layer normalisation over the last axis: x (…, C), γ and β (C). F32.</summary>
    /// <exception cref="ArgumentException">γ or β is not C long.</exception>
    public static Tensor LayerNorm(Tensor x, Tensor gamma, Tensor beta, float eps = 1e-5f)
    {
        Require.LastDim(x, gamma, beta);
        var y = Tensor.Like(x);
        var mean = Tensor.PerRow(x);
        var rstd = Tensor.PerRow(x);
        x.Device.Run(cpu: cpu => LayerNormCpu.Forward(cpu, y, mean, rstd, x, gamma, beta, eps));
        return Tape.Record(y, [x, gamma, beta], dy =>
        {
            var (dx, dgamma, dbeta) = (Tensor.Like(x), Tensor.Like(gamma), Tensor.Like(beta));
            x.Device.Run(cpu: cpu => LayerNormCpu.Backward(cpu, dx, dgamma, dbeta, dy, x, mean, rstd, gamma));
            return [dx, dgamma, dbeta];
        }, [mean, rstd]);
    }
}

file static unsafe class LayerNormCpu
{
    private const int RowsPerTask = 64; // also the block of rows whose γ and β gradients are summed before the blocks are

    public static void Forward(CpuDevice cpu, Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor gamma, Tensor beta, float eps)
    {
        float* py = y.F32, pm = mean.F32, pr = rstd.F32, px = x.F32, pg = gamma.F32, pb = beta.F32;
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowsPerTask, (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* row = px + r * cols, o = py + r * cols;
                var mu = Simd.Sum(row, cols) / cols;
                var s = 1f / MathF.Sqrt(Simd.SumSquares(row, cols, mu) / cols + eps);
                pm[r] = mu;
                pr[r] = s;
                var i = 0;
                for (; i <= cols - 16; i += 16)
                {
                    var hat = (Vector512.Load(row + i) - Vector512.Create(mu)) * s;
                    Vector512.FusedMultiplyAdd(hat, Vector512.Load(pg + i), Vector512.Load(pb + i)).Store(o + i);
                }
                for (; i < cols; i++) o[i] = (row[i] - mu) * s * pg[i] + pb[i];
            }
        });
    }

    public static void Backward(
        CpuDevice cpu, Tensor dx, Tensor dgamma, Tensor dbeta, Tensor dy, Tensor x, Tensor mean, Tensor rstd, Tensor gamma)
    {
        float* pdx = dx.F32, pdy = dy.F32, px = x.F32, pm = mean.F32, pr = rstd.F32, pg = gamma.F32;
        int cols = x.Cols, rows = x.Rows, blocks = (rows + RowsPerTask - 1) / RowsPerTask;
        var partial = new float[(long)blocks * 2 * cols];
        cpu.For(blocks, b =>
        {
            fixed (float* dg = &partial[(long)b * 2 * cols])
            {
                var db = dg + cols;
                for (int r = b * RowsPerTask, end = Math.Min(rows, r + RowsPerTask); r < end; r++)
                    BackwardRow(pdx + (long)r * cols, pdy + (long)r * cols, px + (long)r * cols, pg, dg, db, cols, pm[r], pr[r]);
            }
        });
        var sg = new Span<float>(dgamma.F32, cols);
        var sb = new Span<float>(dbeta.F32, cols);
        sg.Clear();
        sb.Clear();
        for (var b = 0; b < blocks; b++)
        {
            Simd.AddTo(sg, partial.AsSpan(b * 2 * cols, cols));
            Simd.AddTo(sb, partial.AsSpan(b * 2 * cols + cols, cols));
        }
    }

    private static void BackwardRow(float* dx, float* dy, float* x, float* gamma, float* dgamma, float* dbeta, int cols, float mean, float rstd)
    {
        Vector512<float> vg = default, vgx = default;
        var i = 0;
        for (; i <= cols - 16; i += 16)
        {
            var d = Vector512.Load(dy + i);
            var hat = (Vector512.Load(x + i) - Vector512.Create(mean)) * rstd;
            var g = d * Vector512.Load(gamma + i);
            vg += g;
            vgx = Vector512.FusedMultiplyAdd(g, hat, vgx);
            Vector512.FusedMultiplyAdd(d, hat, Vector512.Load(dgamma + i)).Store(dgamma + i);
            (Vector512.Load(dbeta + i) + d).Store(dbeta + i);
        }
        float sum = Vector512.Sum(vg), sumX = Vector512.Sum(vgx);
        for (; i < cols; i++)
        {
            var hat = (x[i] - mean) * rstd;
            sum += dy[i] * gamma[i];
            sumX += dy[i] * gamma[i] * hat;
            dgamma[i] += dy[i] * hat;
            dbeta[i] += dy[i];
        }
        sum /= cols;
        sumX /= cols;
        for (i = 0; i <= cols - 16; i += 16)
        {
            var hat = (Vector512.Load(x + i) - Vector512.Create(mean)) * rstd;
            var g = Vector512.Load(dy + i) * Vector512.Load(gamma + i);
            ((g - Vector512.Create(sum) - hat * sumX) * rstd).Store(dx + i);
        }
        for (; i < cols; i++) dx[i] = rstd * (dy[i] * gamma[i] - sum - (x[i] - mean) * rstd * sumX);
    }
}
