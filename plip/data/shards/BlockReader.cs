using System.Runtime.InteropServices;

namespace Plip.Data;

/// <summary>
/// Pictures of shards in the order of <see cref="BlockOrder"/>: a block is read in one piece, from its first picture to its last,
/// and its pictures are decoded from memory. A network disk then sees megabytes in a row in place of single pictures anywhere.
/// </summary>
/// <remarks>
/// Memory: the K blocks that are open and the K of which they are followed, 2·K + 2 at most, not the garbage collector's:
/// 34 blocks of 1,024 crops of 8 kB are 280 MB. While K blocks are open the next K are read, one after the other, by the
/// threads that make batches, so that none of them waits for all K at once. Thread-safe but for Dispose.
/// </remarks>
internal sealed unsafe class BlockReader : IDisposable
{
    private const long LargestBlock = 64 << 20;
    private const int Sparse = 8; // a block whose pictures are less than an eighth of what lies between them is read picture by picture

    private readonly PersonDataset data;
    private readonly BlockOrder order;
    private readonly ulong seed;
    private readonly int most;
    private readonly Lock gate = new();
    private readonly Dictionary<int, Block> held = [];
    private (int Epoch, int[] Blocks, int[] FirstSample) schedule = (-1, [], []);
    private long clock, nextAhead;

    internal BlockReader(PersonDataset data, BlockOrder order, ulong seed)
    {
        (this.data, this.order, this.seed) = (data, order, seed);
        most = (int)Math.Min(2L * order.Open + 2, int.MaxValue);
    }

    /// <summary>Blocks in memory.</summary>
    internal int Held
    {
        get { lock (gate) return held.Count; }
    }

    /// <summary>Blocks that were read.</summary>
    internal long Reads { get; private set; }

    /// <summary>The picture of image <paramref name="index"/>.</summary>
    /// <exception cref="DataException">The shard cannot be read, or the picture is broken.</exception>
    internal BorrowedPicture Borrow(int index)
    {
        var image = data.Images[index];
        if (image.Shard == null) return image.Borrow();
        var block = Take(order.Of(index));
        try
        {
            if (block.Bytes == null) return image.Borrow();
            var at = image.Offset - TarHeader.Block - block.Offset;
            return image.Shard.Decode(new ReadOnlySpan<byte>(block.Bytes + at, TarHeader.Block + image.Length), image.Offset);
        }
        finally
        {
            lock (gate) block.Users--;
        }
    }

    /// <summary>Reads those of the next K blocks whose turn has come: as large a part of them as of the open ones will have been used with this batch.</summary>
    /// <param name="epoch">The batch's.</param>
    /// <param name="first">Its first sample in the epoch.</param>
    /// <param name="count">Its samples.</param>
    /// <param name="needed">Whether an image will have to be read at all.</param>
    internal void ReadAhead(int epoch, int first, int count, Func<int, bool> needed)
    {
        while (Claim(epoch, first, count) is { } number)
        {
            var (start, end) = order.Images(number);
            var i = start;
            while (i < end && !needed(i)) i++;
            if (i == end) continue;
            try
            {
                var block = Take(number);
                lock (gate) block.Users--;
            }
            catch (DataException)
            {
                return; // said when the picture is asked for: the batches before it are sound
            }
        }
    }

    private int? Claim(int epoch, int first, int count)
    {
        lock (gate)
        {
            if (schedule.Epoch != epoch)
            {
                if (epoch < schedule.Epoch) return null; // a slow worker, still in the epoch before
                var blocks = order.Blocks(seed, epoch);
                var firstSample = new int[blocks.Length + 1];
                for (var r = 0; r < blocks.Length; r++)
                {
                    var (start, end) = order.Images(blocks[r]);
                    firstSample[r + 1] = firstSample[r] + end - start;
                }
                (schedule, nextAhead) = ((epoch, blocks, firstSample), 0);
            }
            var rank = BlockOrder.Last(schedule.FirstSample, first);
            var (total, from) = (schedule.Blocks.Length, rank / order.Open * order.Open);
            var to = Math.Min(from + order.Open, total);
            var (opened, closed) = (schedule.FirstSample[from], schedule.FirstSample[to]);
            var share = Math.Min(1, (double)(first + count - opened) / (closed - opened));
            nextAhead = Math.Max(nextAhead, to);
            return nextAhead < Math.Min(total, to + Math.Ceiling(share * order.Open)) ? schedule.Blocks[nextAhead++] : null;
        }
    }

    /// <summary>The block, read if it is not here, and not to be given back while it is used.</summary>
    private Block Take(int number)
    {
        Block? block;
        lock (gate)
        {
            if (!held.TryGetValue(number, out block)) held[number] = block = new Block();
            (block.Users, block.Turn) = (block.Users + 1, ++clock);
            while (held.Count > most && held.Where(h => h.Value.Users == 0).OrderBy(h => h.Value.Turn).FirstOrDefault() is { Value: not null } oldest)
            {
                held.Remove(oldest.Key);
                oldest.Value.Free();
            }
        }
        try
        {
            lock (block)
                if (!block.Ready) Read(block, number);
        }
        catch
        {
            lock (gate) block.Users--;
            throw;
        }
        return block;
    }

    private void Read(Block block, int number)
    {
        var (start, end) = order.Images(number);
        var (from, to, sum) = (long.MaxValue, 0L, 0L);
        for (var i = start; i < end; i++)
        {
            var image = data.Images[i];
            from = Math.Min(from, image.Offset - TarHeader.Block);
            to = Math.Max(to, image.Offset + image.Length);
            sum += image.Length + TarHeader.Block;
        }
        if (to - from <= LargestBlock && to - from <= Sparse * sum)
        {
            var bytes = (byte*)NativeMemory.Alloc((nuint)(to - from));
            try
            {
                var read = data.Images[start].Shard!.Read(new Span<byte>(bytes, (int)(to - from)), from);
                new Span<byte>(bytes + read, (int)(to - from) - read).Clear(); // a shard that became shorter: its members are found missing one by one
            }
            catch
            {
                NativeMemory.Free(bytes);
                throw;
            }
            block.Bytes = bytes;
            block.Offset = from;
            lock (gate) Reads++;
        }
        block.Ready = true;
    }

    /// <summary>Frees the blocks; nobody may be reading one.</summary>
    public void Dispose()
    {
        foreach (var block in held.Values) block.Free();
        held.Clear();
    }

    private sealed class Block
    {
        internal byte* Bytes;
        internal long Offset;
        internal int Users;
        internal long Turn;
        internal bool Ready;

        internal void Free()
        {
            NativeMemory.Free(Bytes);
            Bytes = null;
        }
    }
}
