using Plip.Engine;

namespace Plip.Data;

/// <summary>
/// An order that reads from near places: the data in blocks of consecutive identities that lie in one shard, the blocks shuffled,
/// so many open at once, and the samples of the open ones shuffled together. A function of (seed, epoch) alone.
/// </summary>
/// <remarks>
/// With blocks of B samples of which K are open, samples are mixed over K·B pictures, and as many in a row come from 2·K blocks:
/// that many have to be in memory. A block ends at an identity's last picture (in the order of the file; an
/// identity scattered over the file is as many identities), and before one that would make it larger than B.
/// </remarks>
internal sealed class BlockOrder
{
    private readonly int[] start;

    /// <summary>Cuts a data set into blocks.</summary>
    internal BlockOrder(IReadOnlyList<PersonImage> images, int blockSize, int open)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blockSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(open);
        Open = open;
        var starts = new List<int> { 0 };
        for (var first = 0; first < images.Count;)
        {
            var last = first + 1;
            while (last < images.Count && images[last].Identity == images[first].Identity && images[last].Shard == images[first].Shard) last++;
            var leaves = first > 0 && images[first].Shard != images[first - 1].Shard;
            if (first > starts[^1] && (leaves || last - starts[^1] > blockSize)) starts.Add(first);
            first = last;
        }
        if (images.Count > 0) starts.Add(images.Count);
        start = [.. starts];
    }

    /// <summary>Blocks.</summary>
    internal int Count => start.Length - 1;

    /// <summary>Blocks open at once, K.</summary>
    internal int Open { get; }

    /// <summary>The images of a block: from this index to before that.</summary>
    internal (int Start, int End) Images(int block) => (start[block], start[block + 1]);

    /// <summary>The block that an image is in.</summary>
    internal int Of(int image) => Last(start, image);

    /// <summary>The index of the last value that is no larger, in ascending values that begin below it.</summary>
    internal static int Last(int[] ascending, int value)
    {
        var at = Array.BinarySearch(ascending, value);
        return at >= 0 ? at : ~at - 1;
    }

    /// <summary>The blocks in the order in which an epoch opens them, K at a time.</summary>
    internal int[] Blocks(ulong seed, int epoch) => RandomStreams.Blocks(seed, epoch).Permutation(Count);

    /// <summary>The order of an epoch's images.</summary>
    internal void Fill(ulong seed, int epoch, Span<int> order)
    {
        var blocks = Blocks(seed, epoch);
        var within = RandomStreams.Order(seed, epoch);
        var filled = 0;
        for (var b = 0; b < blocks.Length; b += Open)
        {
            var first = filled;
            foreach (var block in blocks.AsSpan(b, Math.Min(Open, blocks.Length - b)))
                for (var i = start[block]; i < start[block + 1]; i++) order[filled++] = i;
            within.Shuffle(order[first..filled], (ulong)first);
        }
    }
}

/// <summary>Random order for the samplers.</summary>
internal static class Shuffling
{
    /// <summary>Fisher and Yates on elements <paramref name="firstElement"/>… of the generator.</summary>
    internal static void Shuffle(this Philox random, Span<int> items, ulong firstElement)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = random.Next(firstElement + (ulong)i, i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }
}
