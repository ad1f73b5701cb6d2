namespace Plip.Evaluation;

/// <summary>
/// The metrics of one query, from the 1-based ranks r_1 &lt; … &lt; r_N of its N relevant gallery items.
/// Every method throws <see cref="ArgumentException"/> where there are none: such a query has no metric.
/// </summary>
public static class RankMetrics
{
    /// <summary>CMC at k: 1 if the best relevant item is among the first <paramref name="k"/>, else 0.</summary>
    public static double RecallAt(ReadOnlySpan<int> ranks, int k) => NotEmpty(ranks)[0] <= k ? 1 : 0;

    /// <summary>AP_std = (1/N)·Σ_j j/r_j, as IRRA, torchreid and fast-reid compute it.</summary>
    public static double AveragePrecision(ReadOnlySpan<int> ranks)
    {
        double sum = 0;
        for (var j = 1; j <= NotEmpty(ranks).Length; j++) sum += (double)j / ranks[j - 1];
        return sum / ranks.Length;
    }

    /// <summary>
    /// AP_trap = (1/N)·Σ_j ½[(j−1)/(r_j−1) + j/r_j], the first term being 1 where r_j = 1: the area under the
    /// precision–recall curve by trapezia, as PLIP's own script computes it. Never above AP_std.
    /// </summary>
    public static double TrapezoidalAveragePrecision(ReadOnlySpan<int> ranks)
    {
        double sum = 0;
        for (var j = 1; j <= NotEmpty(ranks).Length; j++)
        {
            var rank = ranks[j - 1];
            var before = rank == 1 ? 1 : (double)(j - 1) / (rank - 1);
            sum += 0.5 * (before + (double)j / rank);
        }
        return sum / ranks.Length;
    }

    /// <summary>INP = N/r_N: how much of the ranking must be read to find the hardest relevant item.</summary>
    public static double InverseNegativePenalty(ReadOnlySpan<int> ranks) => (double)NotEmpty(ranks).Length / ranks[^1];

    private static ReadOnlySpan<int> NotEmpty(ReadOnlySpan<int> ranks) =>
        ranks.IsEmpty ? throw new ArgumentException("A query without a relevant item has no metric; skip and count it.", nameof(ranks)) : ranks;
}
