using System.Runtime.InteropServices;

namespace Plip.Data;

/// <summary>
/// Resized pictures kept in memory up to a budget, first come, first kept: which ones those are may depend on timing, what
/// they hold does not. The memory is not the garbage collector's: a million arrays that live as long as the run would be
/// moved through its generations, and each collection of the oldest would look at all of them. Thread-safe but for Dispose.
/// </summary>
internal sealed unsafe class PictureCache(int images, int pictureSize, long budget) : IDisposable
{
    private readonly nint[] kept = budget >= pictureSize ? new nint[images] : [];
    private long used;

    /// <summary>Bytes held.</summary>
    internal long Used => Interlocked.Read(ref used);

    /// <summary>The picture, or nothing if it is not held; valid until the cache is disposed.</summary>
    internal ReadOnlySpan<byte> Find(int image) =>
        kept.Length > 0 && Volatile.Read(ref kept[image]) is var at and not 0 ? new((void*)at, pictureSize) : default;

    /// <summary>Keeps a copy if the budget has room.</summary>
    internal void Offer(int image, ReadOnlySpan<byte> resized)
    {
        if (kept.Length == 0) return;
        if (Interlocked.Add(ref used, pictureSize) > budget)
        {
            Interlocked.Add(ref used, -pictureSize);
            return;
        }
        var copy = NativeMemory.Alloc((nuint)pictureSize);
        resized.CopyTo(new Span<byte>(copy, pictureSize));
        // Two threads may bring the same picture (an identity twice in P × K): one copy stays and is counted.
        if (Interlocked.CompareExchange(ref kept[image], (nint)copy, 0) == 0) return;
        NativeMemory.Free(copy);
        Interlocked.Add(ref used, -pictureSize);
    }

    /// <summary>Frees the pictures; nobody may be reading one.</summary>
    public void Dispose()
    {
        for (var i = 0; i < kept.Length; i++)
        {
            NativeMemory.Free((void*)kept[i]);
            kept[i] = 0;
        }
        used = 0;
    }
}
