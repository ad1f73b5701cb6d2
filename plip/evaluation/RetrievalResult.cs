namespace Plip.Evaluation;

/// <summary>The figures of one retrieval run. All rates are fractions in [0, 1], means over <see cref="Queries"/>.</summary>
/// <param name="R1">Share of queries whose first hit is right (CMC at 1).</param>
/// <param name="R5">Share of queries with a right one among the first 5.</param>
/// <param name="R10">Share of queries with a right one among the first 10.</param>
/// <param name="Map">Mean of AP_std = (1/N)·Σ j/r_j (IRRA, torchreid, fast-reid).</param>
/// <param name="MapTrap">Mean of AP_trap = (1/N)·Σ ½[(j−1)/(r_j−1) + j/r_j], first term 1 where r_j = 1 (PLIP's own script).</param>
/// <param name="Minp">Mean of INP = N/r_N.</param>
/// <param name="Queries">Queries the means are taken over: those with at least one relevant gallery item.</param>
/// <param name="Gallery">Gallery items ranked for each query.</param>
/// <param name="Skipped">Queries without a relevant gallery item; they are in no mean.</param>
/// <param name="Protocol">What was searched in what and how, in words, ready to stand beside the figures.</param>
public sealed record RetrievalResult(
    double R1, double R5, double R10, double Map, double MapTrap, double Minp,
    int Queries, int Gallery, int Skipped, string Protocol);

/// <summary>The head of one query's ranking, for a picture of what was found.</summary>
/// <param name="Query">Index of the query.</param>
/// <param name="Gallery">Gallery indices, best first.</param>
/// <param name="Scores">Their cosine similarities.</param>
/// <param name="Relevant">Whether each has the query's identity.</param>
/// <param name="FirstRelevantRank">1-based rank of the best relevant item, or 0 where the gallery has none.</param>
public sealed record QueryRanking(int Query, int[] Gallery, float[] Scores, bool[] Relevant, int FirstRelevantRank);

/// <summary>All that a retrieval run returns.</summary>
/// <param name="Figures">The metrics.</param>
/// <param name="Chance">What a random ranking would be expected to reach on the same queries and gallery.</param>
/// <param name="Samples">Rankings of the queries asked for, in the order asked.</param>
public sealed record RetrievalOutcome(RetrievalResult Figures, ChanceLevel Chance, IReadOnlyList<QueryRanking> Samples);

/// <summary>What to evaluate besides the metrics, and with how many threads.</summary>
public sealed record RetrievalOptions
{
    /// <summary>The direction and the split, in words ("text→image, test split"); put in front of the protocol string.</summary>
    public string Direction { get; init; } = "text→image";

    /// <summary>
    /// The camera of each query, for image→image retrieval by the protocol of Market-1501: a gallery item of the query's own identity and
    /// camera is taken out of that query's ranking (the query itself, where it stands in the gallery, with it). Null removes nothing.
    /// </summary>
    public IReadOnlyList<int>? QueryCameras { get; init; }

    /// <summary>Indices of queries whose first <see cref="Top"/> hits are returned.</summary>
    public IReadOnlyList<int> Samples { get; init; } = [];

    /// <summary>Hits returned for each sampled query.</summary>
    public int Top { get; init; } = 10;

    /// <summary>Threads at most; −1 for all. The result is the same for every number.</summary>
    public int MaxThreads { get; init; } = -1;

    /// <summary>Every k-th query (0, k, 2k, …), at most <paramref name="limit"/>: a sample nobody picked by hand.</summary>
    public static int[] EveryKth(int queries, int k, int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        var count = Math.Min(limit, (queries + k - 1) / k);
        var sample = new int[count];
        for (var i = 0; i < count; i++) sample[i] = i * k;
        return sample;
    }
}
