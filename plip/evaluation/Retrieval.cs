namespace Plip.Evaluation;

/// <summary>
/// Retrieval by cosine similarity. Text→image and image→text (the protocol of CUHK-PEDES, ICFG-PEDES and RSTPReid): every query is
/// compared with every gallery item, nothing is removed, relevant = same identity, ties go to the lower gallery index. Image→image
/// (<see cref="RetrievalOptions.QueryCameras"/>, Market-1501's): of its own identity, a query does not see what its own camera took. The gallery is enumerated twice (<see cref="RankCounter"/>) and no Q × G matrix exists, so
/// memory is the queries, a few thousand gallery rows and 12 bytes for each relevant pair.
/// Results are the same bits for any number of threads and any cut into chunks.
/// </summary>
public static class Retrieval
{
    private const int RowsAtOnce = 4096;

    /// <summary>Evaluates queries against a gallery that comes in chunks.</summary>
    /// <param name="queries">(Q, dim) embeddings, row-major, not necessarily normalised.</param>
    /// <param name="queryIds">The identity of each query.</param>
    /// <param name="dim">Dimensions of an embedding.</param>
    /// <param name="gallery">The gallery in order; it is enumerated twice and must give the same both times.</param>
    /// <param name="options">Direction, samples and threads; null for the defaults.</param>
    /// <returns>The figures, their chance level and the sampled rankings. All figures are 0 if every query was skipped.</returns>
    /// <exception cref="ArgumentException">Lengths do not agree, an embedding is not finite or a sample is no query.</exception>
    /// <exception cref="InvalidOperationException">The gallery changed between its two enumerations.</exception>
    public static RetrievalOutcome Evaluate(
        ReadOnlyMemory<float> queries, ReadOnlyMemory<int> queryIds, int dim, IEnumerable<GalleryChunk> gallery, RetrievalOptions? options = null)
    {
        options ??= new RetrievalOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(dim, 1);
        ArgumentNullException.ThrowIfNull(gallery);
        RequireRows(queries.Length, queryIds.Length, dim, "query");
        foreach (var sample in options.Samples)
            if ((uint)sample >= (uint)queryIds.Length)
                throw new ArgumentException($"Sample {sample} is no query; there are {queryIds.Length}.", nameof(options));

        if (options.QueryCameras is { } cameras && cameras.Count != queryIds.Length)
            throw new ArgumentException($"{cameras.Count} cameras for {queryIds.Length} queries.", nameof(options));

        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxThreads };
        var padded = Similarity.Padded(dim);
        var normalised = new float[checked(queryIds.Length * padded)];
        Unwrapped(() => Similarity.Normalise(queries, dim, normalised, queryIds.Length, "query", 0, parallel));
        var counter = new RankCounter(normalised, queryIds.ToArray(), options.QueryCameras?.ToArray(), padded, options.Samples, options.Top);

        var withCameras = options.QueryCameras != null;
        var size = Stream(gallery, dim, withCameras, parallel, counter.NoteRelevant);
        counter.SortRelevant(parallel);
        var again = Stream(gallery, dim, withCameras, parallel, counter.Count);
        if (again != size)
            throw new InvalidOperationException($"The gallery gave {size} items when first enumerated and {again} the second time.");
        return Summarise(counter, queryIds.Length, size, options);
    }

    /// <summary>Evaluates queries against a gallery held in memory, (G, dim); otherwise as the chunked form.</summary>
    public static RetrievalOutcome Evaluate(
        ReadOnlyMemory<float> queries, ReadOnlyMemory<int> queryIds, ReadOnlyMemory<float> gallery, ReadOnlyMemory<int> galleryIds, int dim, RetrievalOptions? options = null) =>
        Evaluate(queries, queryIds, dim, [new GalleryChunk(gallery, galleryIds)], options);

    private static int Stream(
        IEnumerable<GalleryChunk> gallery, int dim, bool withCameras, ParallelOptions parallel, Action<float[], ReadOnlyMemory<int>, ReadOnlyMemory<int>, int, ParallelOptions> take)
    {
        var index = 0;
        var rows = Array.Empty<float>();
        foreach (var chunk in gallery)
        {
            RequireRows(chunk.Embeddings.Length, chunk.Ids.Length, dim, "gallery");
            if (withCameras && chunk.Cameras.Length != chunk.Ids.Length)
                throw new ArgumentException($"A chunk of the gallery has {chunk.Ids.Length} rows and {chunk.Cameras.Length} cameras; the queries have cameras, so every row needs one.");
            for (var start = 0; start < chunk.Ids.Length; start += RowsAtOnce)
            {
                var count = Math.Min(RowsAtOnce, chunk.Ids.Length - start);
                if (rows.Length < count * Similarity.Padded(dim)) rows = new float[count * Similarity.Padded(dim)];
                var (embeddings, ids, first) = (chunk.Embeddings.Slice(start * dim, count * dim), chunk.Ids.Slice(start, count), index);
                var cameras = withCameras ? chunk.Cameras.Slice(start, count) : default;
                Unwrapped(() =>
                {
                    Similarity.Normalise(embeddings, dim, rows, count, "gallery", first, parallel);
                    take(rows, ids, cameras, first, parallel);
                });
                index = checked(index + count);
            }
        }
        return index;
    }

    private static RetrievalOutcome Summarise(RankCounter counter, int queries, int gallery, RetrievalOptions options)
    {
        double r1 = 0, r5 = 0, r10 = 0, map = 0, trap = 0, inp = 0;
        var relevant = new int[queries];
        var valid = 0;
        for (var q = 0; q < queries; q++) // in the order of the queries: a sum of doubles has one order
        {
            var ranks = counter.Ranks(q);
            relevant[q] = ranks.Length;
            if (ranks.Length == 0) continue;
            valid++;
            r1 += RankMetrics.RecallAt(ranks, 1);
            r5 += RankMetrics.RecallAt(ranks, 5);
            r10 += RankMetrics.RecallAt(ranks, 10);
            map += RankMetrics.AveragePrecision(ranks);
            trap += RankMetrics.TrapezoidalAveragePrecision(ranks);
            inp += RankMetrics.InverseNegativePenalty(ranks);
        }
        var n = Math.Max(valid, 1);
        var skipped = queries - valid;
        var removed = options.QueryCameras == null ? "nothing removed" : "the query's own identity under its own camera removed";
        var protocol = string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"{options.Direction}: cosine similarity, ties by gallery index, relevant = same identity, {removed}; means over {valid} queries against {gallery} gallery items, {skipped} queries without a relevant item skipped");
        return new RetrievalOutcome(
            new RetrievalResult(r1 / n, r5 / n, r10 / n, map / n, trap / n, inp / n, valid, gallery, skipped, protocol),
            Chance.Expected(relevant, counter.Removed, gallery),
            [.. options.Samples.Select(counter.Ranking)]);
    }

    private static void RequireRows(int values, int rows, int dim, string what)
    {
        if (values != (long)rows * dim)
            throw new ArgumentException($"The {what} embeddings hold {values} values, but {rows} identities × {dim} dimensions need {(long)rows * dim}.");
    }

    // A parallel loop wraps what its body throws; the caller should see the one clear exception.
    private static void Unwrapped(Action work)
    {
        try { work(); }
        catch (AggregateException e) { System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerExceptions[0]); }
    }
}
