namespace Plip.Evaluation;

/// <summary>From the points of a run to what a chart can show: smoothed, and thinned without hiding a spike.</summary>
internal static class CurveShaping
{
    /// <summary>
    /// Exponential moving average with the bias of its start removed (as Adam does): s_t = Σ βᵗ⁻ⁱ y_i / Σ βᵗ⁻ⁱ, so that
    /// the first values are means of few points instead of leaning toward zero.
    /// </summary>
    /// <param name="points">By rising x.</param>
    /// <param name="span">About how many points are averaged; β = 1 − 2/(span+1).</param>
    public static CurvePoint[] Smooth(IReadOnlyList<CurvePoint> points, double span)
    {
        var beta = 1 - 2 / (Math.Max(1, span) + 1);
        double sum = 0, weight = 0;
        var smooth = new CurvePoint[points.Count];
        for (var i = 0; i < smooth.Length; i++)
        {
            sum = beta * sum + points[i].Y;
            weight = beta * weight + 1;
            smooth[i] = new CurvePoint(points[i].X, sum / weight);
        }
        return smooth;
    }

    /// <summary>At most about 2 × <paramref name="buckets"/> points: the lowest and the highest of each run, in order.</summary>
    public static IReadOnlyList<CurvePoint> Thin(IReadOnlyList<CurvePoint> points, int buckets)
    {
        if (points.Count <= 2 * buckets) return points;
        var thin = new List<CurvePoint>(2 * buckets + 1);
        for (var b = 0; b < buckets; b++)
        {
            int start = (int)((long)b * points.Count / buckets), end = (int)((long)(b + 1) * points.Count / buckets);
            int low = start, high = start;
            for (var i = start; i < end; i++)
            {
                if (points[i].Y < points[low].Y) low = i;
                if (points[i].Y > points[high].Y) high = i;
            }
            thin.Add(points[Math.Min(low, high)]);
            if (low != high) thin.Add(points[Math.Max(low, high)]);
        }
        if (thin[^1] != points[^1]) thin.Add(points[^1]); // the end of a run is what one reads off
        return thin;
    }
}
