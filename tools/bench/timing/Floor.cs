namespace Plip.Bench;

/// <summary>Arithmetic of the report: medians, and the least time that work can take.</summary>
internal static class Floor
{
    /// <summary>The middle value; the mean of the middle two for an even number.</summary>
    /// <exception cref="ArgumentException">There are no values.</exception>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        if (sorted.Length == 0) throw new ArgumentException("Median: expected at least one value");
        var middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /// <summary>Milliseconds below which this work cannot fall: its operations at the peak or its bytes at the bandwidth, whichever is longer.</summary>
    public static double Milliseconds(double flops, double bytes, double peakGflops, double bandwidthGbs) =>
        Math.Max(flops / peakGflops, bytes / bandwidthGbs) / 1e6;
}
