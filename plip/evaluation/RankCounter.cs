namespace Plip.Evaluation;

/// <summary>
/// Finds the ranks of the relevant items of every query without ever sorting or holding a row of scores.
/// Pass one notes the scores of the relevant items; pass two drops every gallery item between two neighbours in that
/// short list. An item that falls before the j-th relevant one pushes it down by one place, so
/// r_j = 1 + Σ_{p≤j} dropped[p]. Memory: 12 bytes for each relevant pair, whatever the size of the gallery.
/// </summary>
internal sealed class RankCounter
{
    private readonly float[] _queries; // (Q, padded), normalised
    private readonly int[] _ids;
    private readonly int[]? _cameras;
    private readonly int[] _removed;
    private readonly int _padded;
    private readonly Dictionary<int, int[]> _queriesOf = []; // looked up by identity, never enumerated
    private readonly List<float>[] _scores;
    private readonly List<int>[] _indices;
    private readonly int[][] _dropped;
    private readonly float[] _lowest; // score of the last relevant item: nearly everything falls below it
    private readonly TopList?[] _tops;

    public RankCounter(float[] queries, int[] ids, int[]? cameras, int padded, IReadOnlyList<int> sampled, int top)
    {
        (_queries, _ids, _cameras, _padded) = (queries, ids, cameras, padded);
        _removed = new int[ids.Length];
        _scores = new List<float>[ids.Length];
        _indices = new List<int>[ids.Length];
        _dropped = new int[ids.Length][];
        _lowest = new float[ids.Length];
        _tops = new TopList?[ids.Length];
        for (var q = 0; q < ids.Length; q++) (_scores[q], _indices[q]) = ([], []);
        foreach (var group in Enumerable.Range(0, ids.Length).GroupBy(q => ids[q])) _queriesOf.Add(group.Key, [.. group]);
        foreach (var q in sampled) _tops[q] ??= new TopList(top);
    }

    /// <summary>After both passes: how many gallery items were taken out of each query's ranking.</summary>
    public ReadOnlySpan<int> Removed => _removed;

    /// <summary>Pass one: the scores of relevant pairs of these rows; rows arrive in the order of the gallery.</summary>
    public void NoteRelevant(float[] rows, ReadOnlyMemory<int> ids, ReadOnlyMemory<int> cameras, int firstIndex, ParallelOptions parallel)
    {
        var rowsOf = new SortedDictionary<int, List<int>>();
        for (var row = 0; row < ids.Length; row++)
        {
            var id = ids.Span[row];
            if (!_queriesOf.ContainsKey(id)) continue;
            if (!rowsOf.TryGetValue(id, out var list)) rowsOf.Add(id, list = []);
            list.Add(row);
        }
        Parallel.ForEach(rowsOf, parallel, pair =>
        {
            foreach (var q in _queriesOf[pair.Key])
                foreach (var row in pair.Value)
                {
                    if (_cameras != null && _cameras[q] == cameras.Span[row]) continue;
                    _scores[q].Add(Similarity.Dot(Query(q), rows.AsSpan(row * _padded, _padded)));
                    _indices[q].Add(firstIndex + row);
                }
        });
    }

    /// <summary>Between the passes: puts the relevant items of every query into their own order.</summary>
    public void SortRelevant(ParallelOptions parallel) => Parallel.For(0, _ids.Length, parallel, q =>
    {
        var count = _scores[q].Count;
        var scores = _scores[q].ToArray();
        var indices = _indices[q].ToArray();
        // Stable by construction: the indices are distinct, so no two keys are equal.
        var keys = new (float NegativeScore, int Index)[count];
        for (var i = 0; i < count; i++) keys[i] = (-scores[i], indices[i]);
        Array.Sort(keys);
        for (var i = 0; i < count; i++) (_scores[q][i], _indices[q][i]) = (-keys[i].NegativeScore, keys[i].Index);
        _dropped[q] = new int[count + 1];
        _lowest[q] = count > 0 ? _scores[q][count - 1] : float.PositiveInfinity;
    });

    /// <summary>Pass two: drops these rows into the lists of all queries, in blocks of queries that stay in cache.</summary>
    public void Count(float[] rows, ReadOnlyMemory<int> ids, ReadOnlyMemory<int> cameras, int firstIndex, ParallelOptions parallel)
    {
        const int block = 32;
        Parallel.For(0, (_ids.Length + block - 1) / block, parallel, b =>
            CountBlock(b * block, Math.Min(_ids.Length, (b + 1) * block), rows, ids.Span, cameras.Span, firstIndex));
    }

    private void CountBlock(int firstQuery, int lastQuery, float[] rows, ReadOnlySpan<int> ids, ReadOnlySpan<int> cameras, int firstIndex)
    {
        Span<float> tile = stackalloc float[8];
        for (var row = 0; row < ids.Length; row += 4)
        {
            var height = Math.Min(4, ids.Length - row);
            for (var q = firstQuery; q < lastQuery; q += 2)
            {
                var width = Math.Min(2, lastQuery - q);
                if (width == 2 && height == 4)
                    Similarity.Tile(_queries.AsSpan(q * _padded), rows.AsSpan(row * _padded), _padded, tile);
                else
                    for (var i = 0; i < width; i++)
                        for (var j = 0; j < height; j++)
                            tile[4 * i + j] = Similarity.Dot(Query(q + i), rows.AsSpan((row + j) * _padded, _padded));
                for (var i = 0; i < width; i++)
                    for (var j = 0; j < height; j++)
                    {
                        if (_cameras != null && ids[row + j] == _ids[q + i] && cameras[row + j] == _cameras[q + i]) _removed[q + i]++;
                        else Drop(q + i, tile[4 * i + j], firstIndex + row + j, ids[row + j]);
                    }
            }
        }
    }

    private void Drop(int query, float score, int index, int id)
    {
        _tops[query]?.Offer(score, index, id == _ids[query]);
        if (score < _lowest[query] && id != _ids[query]) return;
        var scores = _scores[query];
        var indices = _indices[query];
        int low = 0, high = scores.Count; // the number of relevant items that stand at or before this one
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (scores[middle] > score || (scores[middle] == score && indices[middle] <= index)) low = middle + 1;
            else high = middle;
        }
        if (id == _ids[query] && (low == 0 || indices[low - 1] != index || scores[low - 1] != score))
            throw new InvalidOperationException($"Gallery item {index} differs between the two passes: the gallery must give the same chunks each time it is enumerated.");
        _dropped[query][low]++;
    }

    /// <summary>The ranks r_1 &lt; … &lt; r_N of a query; empty where it has no relevant item.</summary>
    public int[] Ranks(int query)
    {
        var ranks = new int[_scores[query].Count];
        for (int j = 0, before = 0; j < ranks.Length; j++) ranks[j] = 1 + (before += _dropped[query][j]);
        return ranks;
    }

    /// <summary>The head of a sampled query's ranking.</summary>
    public QueryRanking Ranking(int query)
    {
        var ranks = Ranks(query);
        return _tops[query]!.ToRanking(query, ranks.Length > 0 ? ranks[0] : 0);
    }

    private ReadOnlySpan<float> Query(int q) => _queries.AsSpan(q * _padded, _padded);
}
