namespace Plip.Data;

/// <summary>
/// Resized pictures kept in memory up to a budget, first come, first kept: which ones those are may depend on timing, what
/// they hold does not. Thread-safe.
/// </summary>
internal sealed class PictureCache(int images, int pictureSize, long budget)
{
    private readonly byte[]?[] kept = budget >= pictureSize ? new byte[images][] : [];
    private long used;

    /// <summary>Bytes held.</summary>
    internal long Used => Interlocked.Read(ref used);

    /// <summary>The picture, or null if it is not held.</summary>
    internal byte[]? Find(int image) => kept.Length == 0 ? null : Volatile.Read(ref kept[image]);

    /// <summary>Keeps a copy if the budget has room.</summary>
    internal void Offer(int image, ReadOnlySpan<byte> resized)
    {
        if (kept.Length == 0) return;
        if (Interlocked.Add(ref used, pictureSize) > budget)
        {
            Interlocked.Add(ref used, -pictureSize);
            return;
        }
        // Two threads may bring the same picture (an identity twice in P × K): one copy stays and is counted.
        if (Interlocked.CompareExchange(ref kept[image], resized.ToArray(), null) is not null)
            Interlocked.Add(ref used, -pictureSize);
    }
}
