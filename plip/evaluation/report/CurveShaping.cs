namespace Plip.Evaluation;

/// <summary>From the points of a run to what a chart can show: smoothed, and thinned without hiding a spike.</summary>
internal static class CurveShaping
{
    /// <summary>
    /// The mean of the points around each one, at the ends of those there are. It is centred, so it does not lag behind a
    /// falling loss as a running average does; the whole run is known when a report is drawn.
    /// </summary>
    /// <param name="points">By rising x.</param>
    /// <param name="span">Points averaged.</param>
    public static CurvePoint[] Smooth(IReadOnlyList<CurvePoint> points, int span)
    {
        var sums = new double[points.Count + 1];
        for (var i = 0; i < points.Count; i++) sums[i + 1] = sums[i] + points[i].Y;
        var smooth = new CurvePoint[points.Count];
        for (var i = 0; i < smooth.Length; i++)
        {
            int start = Math.Max(0, i - span / 2), end = Math.Min(points.Count, i + span / 2 + 1);
            smooth[i] = new CurvePoint(points[i].X, (sums[end] - sums[start]) / (end - start));
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
