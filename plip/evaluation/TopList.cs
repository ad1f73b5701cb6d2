namespace Plip.Evaluation;

/// <summary>The best k items seen so far, best first; items must be offered by rising index, so that ties keep that order.</summary>
internal sealed class TopList(int capacity)
{
    private readonly List<(float Score, int Index, bool Relevant)> _items = new(capacity + 1);

    public void Offer(float score, int index, bool relevant)
    {
        if (_items.Count == capacity && (capacity == 0 || score <= _items[^1].Score)) return;
        var place = _items.Count;
        while (place > 0 && score > _items[place - 1].Score) place--;
        _items.Insert(place, (score, index, relevant));
        if (_items.Count > capacity) _items.RemoveAt(capacity);
    }

    public QueryRanking ToRanking(int query, int firstRelevantRank) => new(
        query, [.. _items.Select(i => i.Index)], [.. _items.Select(i => i.Score)], [.. _items.Select(i => i.Relevant)], firstRelevantRank);
}
