namespace Plip.Evaluation;

/// <summary>What a uniformly random ranking is expected to reach; fractions in [0, 1], means over the queries.</summary>
/// <param name="R1">Expected R@1.</param>
/// <param name="R5">Expected R@5.</param>
/// <param name="R10">Expected R@10.</param>
/// <param name="Map">Expected mean of AP_std.</param>
/// <param name="MapTrap">Expected mean of AP_trap.</param>
/// <param name="Minp">Expected mean of INP.</param>
public sealed record ChanceLevel(double R1, double R5, double R10, double Map, double MapTrap, double Minp);

/// <summary>
/// Exact expectations under a random ranking of G gallery items of which N are relevant. No simulation is involved:
/// <code>
/// R@k      1 − C(G−N, k)/C(G, k)                        none of the first k is relevant, complemented
/// AP_std   (1/G)·[H_G + (N−1)/(G−1)·(G − H_G)]          H_G = Σ_{r≤G} 1/r
/// AP_trap  ½·[AP_std + N/G]
/// INP      Σ_r N/r · C(r−1, N−1)/C(G, N)                the last relevant item stands at r
/// </code>
/// AP_std: position r is relevant with probability N/G, and then r−1 places before it hold (r−1)(N−1)/(G−1) others
/// on average, so E = (1/N)·Σ_r N/G · (1/r)·[1 + (r−1)(N−1)/(G−1)]. AP_trap's first term is (N−1)/(G−1) on average
/// for every r > 1 and 1 for r = 1, which sums to N/G.
/// </summary>
public static class Chance
{
    /// <summary>The expected figures over queries with the given numbers of relevant items.</summary>
    /// <param name="relevant">Relevant gallery items of each query; queries with 0 are skipped, as in the metrics.</param>
    /// <param name="gallery">G, the number of gallery items.</param>
    /// <exception cref="ArgumentException">A number of relevant items is negative or above <paramref name="gallery"/>.</exception>
    /// <returns>All zero where no query has a relevant item.</returns>
    public static ChanceLevel Expected(ReadOnlySpan<int> relevant, int gallery)
    {
        var sorted = relevant.ToArray();
        Array.Sort(sorted);
        if (sorted.Length > 0 && (sorted[0] < 0 || sorted[^1] > gallery))
            throw new ArgumentException($"Between 0 and {gallery} gallery items can be relevant, not {(sorted[0] < 0 ? sorted[0] : sorted[^1])}.", nameof(relevant));

        double r1 = 0, r5 = 0, r10 = 0, map = 0, trap = 0, inp = 0;
        var harmonic = Harmonic(gallery);
        var queries = 0;
        for (int start = 0, end; start < sorted.Length; start = end) // one evaluation per distinct N
        {
            var n = sorted[start];
            for (end = start; end < sorted.Length && sorted[end] == n; end++) { }
            if (n == 0) continue;
            var count = end - start;
            queries += count;
            var ap = AveragePrecision(n, gallery, harmonic);
            r1 += count * RecallAt(1, n, gallery);
            r5 += count * RecallAt(5, n, gallery);
            r10 += count * RecallAt(10, n, gallery);
            map += count * ap;
            trap += count * 0.5 * (ap + (double)n / gallery);
            inp += count * InverseNegativePenalty(n, gallery);
        }
        var q = Math.Max(queries, 1);
        return new ChanceLevel(r1 / q, r5 / q, r10 / q, map / q, trap / q, inp / q);
    }

    /// <summary>As the other form, where each query has lost some gallery items that are not relevant to it either.</summary>
    /// <param name="relevant">Relevant gallery items of each query that are left to it.</param>
    /// <param name="removed">Items taken out of each query's ranking.</param>
    /// <param name="gallery">Gallery items before anything was removed.</param>
    /// <exception cref="ArgumentException">A number of relevant or removed items is out of range.</exception>
    public static ChanceLevel Expected(ReadOnlySpan<int> relevant, ReadOnlySpan<int> removed, int gallery)
    {
        if (removed.Length != relevant.Length) throw new ArgumentException($"{removed.Length} numbers of removed items for {relevant.Length} queries.", nameof(removed));
        var bySize = new SortedDictionary<int, List<int>>();
        for (var q = 0; q < relevant.Length; q++)
        {
            if (!bySize.TryGetValue(gallery - removed[q], out var list)) bySize.Add(gallery - removed[q], list = []);
            list.Add(relevant[q]);
        }
        if (bySize.Count == 1) return Expected(relevant, bySize.Keys.First());
        var sum = new ChanceLevel(0, 0, 0, 0, 0, 0);
        var queries = 0;
        foreach (var (size, counts) in bySize)
        {
            var part = Expected(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(counts), size);
            var n = counts.Count(c => c > 0);
            queries += n;
            sum = new ChanceLevel(sum.R1 + n * part.R1, sum.R5 + n * part.R5, sum.R10 + n * part.R10, sum.Map + n * part.Map, sum.MapTrap + n * part.MapTrap, sum.Minp + n * part.Minp);
        }
        var total = Math.Max(queries, 1);
        return new ChanceLevel(sum.R1 / total, sum.R5 / total, sum.R10 / total, sum.Map / total, sum.MapTrap / total, sum.Minp / total);
    }

    private static double RecallAt(int k, int relevant, int gallery)
    {
        double none = 1;
        for (var i = 0; i < Math.Min(k, gallery); i++) none *= Math.Max(0, (double)(gallery - relevant - i) / (gallery - i));
        return 1 - none;
    }

    private static double AveragePrecision(int relevant, int gallery, double harmonic) =>
        gallery == 1 ? 1 : (harmonic + (relevant - 1.0) / (gallery - 1) * (gallery - harmonic)) / gallery;

    // P(r_N = G) = N/G and P(r_N = r−1) = P(r_N = r)·(r−N)/(r−1): the tail shrinks, so the sum may stop early.
    private static double InverseNegativePenalty(int relevant, int gallery)
    {
        double sum = 0, p = (double)relevant / gallery;
        for (var r = gallery; r >= relevant && p > 1e-18; r--)
        {
            sum += p * relevant / r;
            p *= (r - (double)relevant) / (r - 1.0);
        }
        return sum;
    }

    private static double Harmonic(int n)
    {
        double sum = 0;
        for (var r = n; r >= 1; r--) sum += 1.0 / r; // small terms first
        return sum;
    }
}
