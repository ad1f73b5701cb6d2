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
}
