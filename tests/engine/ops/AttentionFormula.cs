namespace Plip.Tests.Engine;

/// <summary>Attention over packed sequences in float64, as its definition reads: (T, heads·width), offsets as the op takes them.</summary>
internal static class AttentionFormula
{
    /// <summary>Of sequences of these lengths.</summary>
    public static int[] Offsets(int[] lengths)
    {
        var at = new int[lengths.Length + 1];
        for (var i = 0; i < lengths.Length; i++) at[i + 1] = at[i] + lengths[i];
        return at;
    }

    private static double[] Probabilities(double[] q, double[] k, int i, int from, int to, int c, int at, int width, double scale)
    {
        var p = new double[to - from];
        for (var j = from; j < to; j++)
            for (var e = 0; e < width; e++) p[j - from] += scale * q[i * c + at + e] * k[j * c + at + e];
        var max = p.Max();
        var sum = p.Sum(v => Math.Exp(v - max));
        return Array.ConvertAll(p, v => Math.Exp(v - max) / sum);
    }

    /// <summary>Softmax of scale·q·k over a sequence's keys, times v.</summary>
    public static double[] Forward(double[] q, double[] k, double[] v, int[] queries, int[] keys, int heads, int width, double scale)
    {
        var y = new double[q.Length];
        var c = heads * width;
        Visit(queries, heads, (b, h, i) =>
        {
            var p = Probabilities(q, k, i, keys[b], keys[b + 1], c, h * width, width, scale);
            for (var j = 0; j < p.Length; j++)
                for (var e = 0; e < width; e++) y[i * c + h * width + e] += p[j] * v[(keys[b] + j) * c + h * width + e];
        });
        return y;
    }

    /// <summary>Of q, k and v, as the calculus gives them.</summary>
    public static double[][] Gradients(double[] q, double[] k, double[] v, double[] dy, int[] queries, int[] keys, int heads, int width, double scale)
    {
        var (dq, dk, dv) = (new double[q.Length], new double[k.Length], new double[v.Length]);
        var c = heads * width;
        Visit(queries, heads, (b, h, i) =>
        {
            var p = Probabilities(q, k, i, keys[b], keys[b + 1], c, h * width, width, scale);
            var at = i * c + h * width;
            var dp = new double[p.Length];
            for (var j = 0; j < p.Length; j++)
                for (var e = 0; e < width; e++)
                {
                    var other = (keys[b] + j) * c + h * width + e;
                    dp[j] += dy[at + e] * v[other];
                    dv[other] += p[j] * dy[at + e];
                }
            var mean = p.Zip(dp, (x, g) => x * g).Sum();
            for (var j = 0; j < p.Length; j++)
                for (var e = 0; e < width; e++)
                {
                    var other = (keys[b] + j) * c + h * width + e;
                    var ds = p[j] * (dp[j] - mean) * scale;
                    dq[at + e] += ds * k[other];
                    dk[other] += ds * q[at + e];
                }
        });
        return [dq, dk, dv];
    }

    private static void Visit(int[] queries, int heads, Action<int, int, int> row)
    {
        for (var b = 0; b + 1 < queries.Length; b++)
            for (var h = 0; h < heads; h++)
                for (var i = queries[b]; i < queries[b + 1]; i++) row(b, h, i);
    }
}
