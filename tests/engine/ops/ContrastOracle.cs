using Plip.Engine;

namespace Plip.Tests.Engine;

/// <summary>The contrastive losses written plainly in float64, for the tests of all four.</summary>
internal static class ContrastOracle
{
    /// <summary>n identities out of <paramref name="kinds"/>, so that several are repeated.</summary>
    public static int[] Identities(int n, int kinds)
    {
        var random = new Philox(5, 1);
        var ids = new int[n];
        for (var i = 0; i < n; i++) ids[i] = 100 + (int)(MathF.Abs(random.Normal((ulong)i)) * 1000) % kinds;
        return ids;
    }

    /// <summary>Scores of each row of a against all rows of b: scale·a·b/|b|, or scale·cos(a, b).</summary>
    public static double[,] Scores(double[] a, double[] b, int d, bool normalizeBoth, double scale)
    {
        var n = a.Length / d;
        var s = new double[n, n];
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++)
            {
                double dot = 0, aa = 0, bb = 0;
                for (var k = 0; k < d; k++)
                {
                    dot += a[i * d + k] * b[j * d + k];
                    aa += a[i * d + k] * a[i * d + k];
                    bb += b[j * d + k] * b[j * d + k];
                }
                s[i, j] = scale * dot / Math.Sqrt(bb) / (normalizeBoth ? Math.Sqrt(aa) : 1);
            }
        return s;
    }

    /// <summary>Log softmax of row i.</summary>
    public static double[] LogSoftmax(double[,] scores, int i)
    {
        var row = Enumerable.Range(0, scores.GetLength(1)).Select(j => scores[i, j]).ToArray();
        var top = row.Max();
        var log = top + Math.Log(row.Sum(v => Math.Exp(v - top)));
        return Array.ConvertAll(row, v => v - log);
    }

    public static double Matching(double[] v, double[] t, int[] ids, int d, bool normalizeBoth, double scale, MatchNormalization form) =>
        OneWay(Scores(v, t, d, normalizeBoth, scale), ids, form) + OneWay(Scores(t, v, d, normalizeBoth, scale), ids, form);

    private static double OneWay(double[,] scores, int[] ids, MatchNormalization form)
    {
        double loss = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            var logP = LogSoftmax(scores, i);
            var same = ids.Count(k => k == ids[i]);
            for (var j = 0; j < ids.Length; j++)
            {
                var q = ids[i] != ids[j] ? 0 : form == MatchNormalization.Sum ? 1.0 / same : 1 / Math.Sqrt(same);
                loss += Math.Exp(logP[j]) * (logP[j] - Math.Log(q + 1e-8f));
            }
        }
        return loss / ids.Length;
    }

    /// <summary>A row's loss and its gradient by the scores.</summary>
    public delegate double RowLoss(double[] scores, int row, double[] gradient);

    public static RowLoss MatchingRow(int[] ids, MatchNormalization form) => (scores, i, gradient) =>
    {
        var log = LogSumExp(scores);
        var same = ids.Count(k => k == ids[i]);
        var q = form == MatchNormalization.Sum ? 1.0 / same : 1 / Math.Sqrt(same);
        double loss = 0;
        for (var j = 0; j < scores.Length; j++)
        {
            gradient[j] = scores[j] - log - Math.Log((ids[i] == ids[j] ? q : 0) + 1e-8f);
            loss += Math.Exp(scores[j] - log) * gradient[j];
        }
        for (var j = 0; j < scores.Length; j++) gradient[j] = Math.Exp(scores[j] - log) * (gradient[j] - loss);
        return loss;
    };

    public static RowLoss InstanceRow => (scores, i, gradient) =>
    {
        var log = LogSumExp(scores);
        for (var j = 0; j < scores.Length; j++) gradient[j] = 0.5 * (Math.Exp(scores[j] - log) - (j == i ? 1 : 0));
        return 0.5 * (log - scores[i]);
    };

    public static RowLoss AlignmentRow(int[] ids, double positive = 10, double negative = 40) => (scores, i, gradient) =>
    {
        double loss = 0;
        for (var j = 0; j < scores.Length; j++)
        {
            var slope = ids[i] == ids[j] ? -positive : negative;
            var z = slope * (scores[j] - (ids[i] == ids[j] ? 0.6f : 0.4f));
            loss += Math.Max(z, 0) + Math.Log(1 + Math.Exp(-Math.Abs(z)));
            gradient[j] = slope / (1 + Math.Exp(-z));
        }
        return loss;
    };

    /// <summary>Loss and gradients from the formula over all pairs. An embedding without direction gets none.</summary>
    public static (double Loss, double[] Dv, double[] Dt) Gradients(double[] v, double[] t, int d, bool normalizeBoth, double scale, RowLoss row, bool bothWays)
    {
        var (dv, dt) = (new double[v.Length], new double[t.Length]);
        var loss = OneWay(v, t, dv, dt, d, normalizeBoth, scale, row);
        if (bothWays) loss += OneWay(t, v, dt, dv, d, normalizeBoth, scale, row);
        foreach (var (x, dx) in new[] { (v, dv), (t, dt) })
            for (var i = 0; i < x.Length; i += d)
                if (!x.AsSpan(i, d).ContainsAnyExcept(0.0)) dx.AsSpan(i, d).Clear();
        return (loss, dv, dt);
    }

    private static double OneWay(double[] a, double[] b, double[] da, double[] db, int d, bool normalizeBoth, double scale, RowLoss row)
    {
        var n = a.Length / d;
        var (byA, byB) = (Inverses(a, d), Inverses(b, d));
        var (scores, g, dots) = (new double[n], new double[n], new double[n]);
        double loss = 0;
        for (var i = 0; i < n; i++)
        {
            var own = normalizeBoth ? byA[i] : 1;
            for (var j = 0; j < n; j++)
            {
                dots[j] = 0;
                for (var k = 0; k < d; k++) dots[j] += a[i * d + k] * b[j * d + k];
                scores[j] = scale * dots[j] * byB[j] * own;
            }
            loss += row(scores, i, g) / n;
            for (var j = 0; j < n; j++)
            {
                var by = g[j] * scale * byB[j] * own / n;
                var (alongA, alongB) = (normalizeBoth ? dots[j] * own * own : 0, dots[j] * byB[j] * byB[j]);
                for (var k = 0; k < d; k++)
                {
                    da[i * d + k] += by * (b[j * d + k] - alongA * a[i * d + k]);
                    db[j * d + k] += by * (a[i * d + k] - alongB * b[j * d + k]);
                }
            }
        }
        return loss;
    }

    private static double[] Inverses(double[] x, int d) =>
        [.. Enumerable.Range(0, x.Length / d).Select(i => Math.Sqrt(x.AsSpan(i * d, d).ToArray().Sum(e => e * e))).Select(length => length > 0 ? 1 / length : 0)];

    private static double LogSumExp(double[] x)
    {
        var top = x.Max();
        return top + Math.Log(x.Sum(v => Math.Exp(v - top)));
    }
}
