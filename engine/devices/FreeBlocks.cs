using System.Numerics;

namespace Plip.Engine;

/// <summary>
/// Blocks of memory that wait for another use, by size class. The lowest address of a class is handed out first: what a program gets then
/// depends on what is free and not on the order in which the last step gave it back, so a repeated step gets the same addresses (DESIGN 2).
/// </summary>
/// <remarks>
/// Where a class of a megabyte and more has none, a block of up to twice the size serves: parts of a step that keep little (recomputation)
/// want other sizes one after the other, and a pool of strict classes would hold the sum of them. It saves 7 % of a plip-rn50 step's memory
/// and 22 % of one that recomputes (MemoryPlan). Beyond twice, or among small blocks, a repeated step may not find what it found before.
/// </remarks>
internal sealed class FreeBlocks
{
    private const int MostOf = 2;
    private const long Large = 1 << 20;

    private readonly Dictionary<long, PriorityQueue<nint, nint>> _classes = [];

    /// <summary>Rounds up to 2ᵏ·{4,5,6,7}/4, so ragged batches share blocks and at most a quarter is wasted.</summary>
    public static long SizeClass(long bytes)
    {
        if (bytes <= 256) return 256;
        var unit = 1L << (61 - BitOperations.LeadingZeroCount((ulong)(bytes - 1)));
        return (bytes + unit - 1) / unit * unit;
    }

    /// <summary>All blocks and their sizes.</summary>
    public IEnumerable<(nint Block, long Size)> All => _classes.SelectMany(c => c.Value.UnorderedItems.Select(b => (b.Element, c.Key)));

    /// <summary>Takes a block of this class or the next larger ones.</summary>
    /// <param name="size">A size class.</param>
    /// <param name="block">The block.</param>
    /// <param name="actual">Its own class, with which it is to be put back.</param>
    public bool TryTake(long size, out nint block, out long actual)
    {
        var most = size < Large ? size : MostOf * size;
        for (actual = size; actual <= most; actual = SizeClass(actual + 1))
            if (_classes.TryGetValue(actual, out var free) && free.TryDequeue(out block, out _)) return true;
        (block, actual) = (0, size);
        return false;
    }

    /// <summary>A block is free again.</summary>
    public void Put(nint block, long size)
    {
        if (!_classes.TryGetValue(size, out var free)) _classes[size] = free = new PriorityQueue<nint, nint>();
        free.Enqueue(block, block);
    }

    /// <summary>Takes this very block, if it is free.</summary>
    public bool Remove(nint block, long size) => _classes.TryGetValue(size, out var free) && free.Remove(block, out _, out _);

    /// <summary>Forgets all blocks.</summary>
    public void Clear() => _classes.Clear();
}
