using System.Globalization;
using System.Text;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The GPU's memory for tensors. Asking the driver costs as much as a hundred kernels and makes the GPU wait, so blocks are kept by size
/// class and handed out again, the lowest free address first: a repeated step gets the same addresses (DESIGN 2), which a captured graph needs.
/// A block given back may still be read by kernels under way; whoever gets it next works on the same stream, behind them.
/// What a captured graph writes to is set aside for graphs. They are replayed one after the other, so all share it, and between replays it is lent to
/// steps: a graph for each shape of a batch costs the memory of the largest.
/// The emulator's check mode is told what is handed out and taken back, so that a kernel that reads a block nobody wrote yet, or past
/// its tensor's end, or after its release, is reported although the memory is the pool's.
/// </summary>
internal sealed unsafe class CudaMemory(bool pooled, long limit, nint stream = 0)
{
    private const long Slab = 8 << 20, SmallBlock = 1 << 20; // smaller blocks are cut from slabs
    private const int MakersShown = 8;

    private readonly FreeBlocks _free = new();
    private readonly Dictionary<nint, (long Bytes, string MadeBy)> _live = [];
    private readonly Dictionary<nint, (long Bytes, int Graphs)> _held = []; // blocks that captured graphs write to
    private readonly FreeBlocks _idle = new(); // those of them that no tensor has
    private readonly HashSet<nint> _lent = []; // those of them that a tensor has, which a replay would overwrite
    private readonly List<nint> _slabs = [];
    private readonly bool _marked = pooled && CudaLibraries.Current.IsChecking;
    private Dictionary<nint, long>? _capturing;
    private nint _next, _end;

    public bool IsPooled => pooled;

    /// <summary>Bytes taken from the driver.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>Bytes of blocks that wait to be handed out again.</summary>
    public long CachedBytes { get; private set; }

    /// <summary>How often the driver was asked for memory.</summary>
    public int DriverCalls { get; private set; }

    /// <summary>How often cached blocks went back to the driver because it had no more.</summary>
    public int Releases { get; private set; }

    /// <summary>Whether a tensor lies in memory that graphs write to, so that none may be replayed now.</summary>
    public bool IsLent => _lent.Count > 0;

    /// <summary>A block. Contents are undefined.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="madeBy">Who asks: named when memory runs out.</param>
    /// <param name="finish">Waits for the GPU, before memory goes back to the driver.</param>
    /// <param name="briefly">For a step: it may lie where graphs work.</param>
    /// <exception cref="CudaOutOfMemoryException">The GPU has no more.</exception>
    public nint Take(long bytes, string madeBy, Action finish, bool briefly = false)
    {
        var wanted = pooled ? FreeBlocks.SizeClass(bytes) : Math.Max(bytes, 1);
        if (briefly && _idle.TryTake(wanted, out var block, out var size))
        {
            if (_capturing == null) _lent.Add(block);
        }
        else if (pooled && _free.TryTake(wanted, out block, out size)) CachedBytes -= size;
        else
        {
            size = wanted;
            block = pooled && size < SmallBlock ? Cut(size, madeBy, finish) : Ask(size, madeBy, finish);
        }
        _live[block] = (size, madeBy);
        if (_capturing != null) _capturing[block] = size;
        Mark(block, bytes, fresh: true);
        Mark(block + (nint)bytes, size - bytes, fresh: false);
        return block;
    }

    /// <summary>Gives a block back.</summary>
    public void Give(nint block, Action finish)
    {
        if (!_live.Remove(block, out var was)) return;
        _lent.Remove(block);
        // What a graph captures it repeats at each replay, when a block that is not its own may be another's.
        if (_capturing == null || _capturing.ContainsKey(block)) Mark(block, was.Bytes, fresh: false);
        if (_held.ContainsKey(block)) _idle.Put(block, was.Bytes);
        else if (pooled) Cache(block, was.Bytes);
        else
        {
            finish();
            _ = cuMemFree_v2(block);
            ReservedBytes -= was.Bytes;
        }
    }

    /// <summary>From here on, what is taken belongs to the graph that is being captured.</summary>
    public void BeginCapture()
    {
        if (!pooled) throw new InvalidOperationException("a device without a pool gives every block another address: a graph cannot be captured on it");
        _capturing = [];
    }

    /// <summary>
    /// Ends the capture. The blocks it used are set aside until <see cref="Free"/>: a replay writes to them, so only other graphs and
    /// steps between replays may get them.
    /// </summary>
    public IReadOnlyCollection<nint> EndCapture()
    {
        var blocks = _capturing!;
        _capturing = null;
        foreach (var (block, size) in blocks)
        {
            var graphs = _held.TryGetValue(block, out var held) ? held.Graphs + 1 : 1;
            _held[block] = (size, graphs);
            if (_live.ContainsKey(block))
            {
                if (graphs > 1) _lent.Add(block); // a result that another graph's replay would overwrite
            }
            else if (graphs == 1 && _free.Remove(block, size))
            {
                CachedBytes -= size;
                _idle.Put(block, size);
            }
        }
        return blocks.Keys;
    }

    /// <summary>Returns what <see cref="EndCapture"/> set aside.</summary>
    public void Free(IReadOnlyCollection<nint> blocks)
    {
        foreach (var block in blocks)
        {
            if (!_held.TryGetValue(block, out var held)) continue;
            if (held.Graphs > 1)
            {
                _held[block] = (held.Bytes, held.Graphs - 1);
                continue;
            }
            _held.Remove(block);
            _lent.Remove(block);
            if (!_live.ContainsKey(block) && _idle.Remove(block, held.Bytes)) Cache(block, held.Bytes);
        }
    }

    /// <summary>Returns everything to the driver.</summary>
    public void Dispose()
    {
        foreach (var slab in _slabs) _ = cuMemFree_v2(slab);
        // Small blocks lie in slabs. Tensors that were never released go too: their device is gone.
        foreach (var (block, size) in _free.All)
            if (size >= SmallBlock) _ = cuMemFree_v2(block);
        foreach (var (block, (size, _)) in _live)
            if (!pooled || size >= SmallBlock) _ = cuMemFree_v2(block);
        foreach (var (block, (size, _)) in _held)
            if (size >= SmallBlock && !_live.ContainsKey(block)) _ = cuMemFree_v2(block);
        _free.Clear();
        _idle.Clear();
        _live.Clear();
        _held.Clear();
        _lent.Clear();
        _slabs.Clear();
        ReservedBytes = CachedBytes = 0;
    }

    private void Cache(nint block, long size)
    {
        _free.Put(block, size);
        CachedBytes += size;
    }

    /// <summary>Tells check mode, in order with the kernels, that memory holds nothing yet (fresh) or is nobody's.</summary>
    private void Mark(nint at, long bytes, bool fresh)
    {
        if (_marked && bytes > 0) Cuda.Check(cuEmulatorMark(at, (nuint)bytes, fresh ? 1 : 0, stream));
    }

    private nint Cut(long size, string madeBy, Action finish)
    {
        if (size >= 1024) _next = (_next + 255) & ~(nint)255; // cuBLASLt chooses by alignment: the same for a tensor wherever it lies
        if (_next + (nint)size > _end)
        {
            // Near the limit a slab may not fit where one block does.
            var bytes = Slab;
            _next = Call(bytes);
            if (_next == 0) _next = Ask(bytes = SmallBlock, madeBy, finish);
            _end = _next + (nint)bytes;
            _slabs.Add(_next);
            Mark(_next, bytes, fresh: false);
        }
        var block = _next;
        _next += (nint)size; // a size class is a multiple of 64 bytes, and of 256 from 1 KB on
        return block;
    }

    private nint Ask(long size, string madeBy, Action finish)
    {
        var block = Call(size);
        if (block == 0 && _capturing == null)
        {
            finish();
            if (Release() > 0) block = Call(size);
        }
        return block != 0 ? block : throw new CudaOutOfMemoryException(Explain(size, madeBy));
    }

    private nint Call(long size)
    {
        if (limit > 0 && ReservedBytes + size > limit) return 0;
        nint block;
        DriverCalls++;
        var result = cuMemAlloc_v2(&block, (nuint)size);
        if (result == OutOfMemory) return 0;
        Cuda.Check(result, nameof(cuMemAlloc_v2));
        ReservedBytes += size;
        return block;
    }

    /// <summary>Returns the cached blocks to the driver, so that it can give them out in another size.</summary>
    private long Release()
    {
        var released = 0L;
        foreach (var (block, size) in _free.All.Where(b => b.Size >= SmallBlock).ToArray())
        {
            Cuda.Check(cuMemFree_v2(block));
            _free.Remove(block, size);
            released += size;
        }
        Releases++;
        ReservedBytes -= released;
        CachedBytes -= released;
        return released;
    }

    private string Explain(long size, string madeBy)
    {
        nuint left = 0, total = 0;
        _ = cuMemGetInfo_v2(&left, &total);
        var makers = _live.Values.GroupBy(b => b.MadeBy, StringComparer.Ordinal)
            .Select(g => (Maker: g.Key, Bytes: g.Sum(b => b.Bytes), Blocks: g.Count()))
            .OrderByDescending(m => m.Bytes).ThenBy(m => m.Maker, StringComparer.Ordinal).ToArray();
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture,
            $"the GPU's memory is full: {madeBy} asked for {MiB(size)}, {MiB((long)left)} of {MiB((long)total)} are free{(limit > 0 ? $" and this device may take {MiB(limit)}" : "")}; " +
            $"lower the batch size first, then the picture's or caption's size, or store activations as BF16. In use are {MiB(makers.Sum(m => m.Bytes))}:"));
        foreach (var m in makers.Take(MakersShown)) text.Append(CultureInfo.InvariantCulture, $"\n  {MiB(m.Bytes),12}  {m.Maker} ({m.Blocks} block{(m.Blocks == 1 ? "" : "s")})");
        var idle = _held.Where(h => !_live.ContainsKey(h.Key)).Sum(h => h.Value.Bytes);
        if (idle > 0) text.Append(CultureInfo.InvariantCulture, $"\n  {MiB(idle),12}  set aside for captured graphs");
        if (makers.Length > MakersShown) text.Append(CultureInfo.InvariantCulture, $"\n  {MiB(makers.Skip(MakersShown).Sum(m => m.Bytes)),12}  {makers.Length - MakersShown} others");
        return text.ToString();
    }

    private static string MiB(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0.0} MiB");
}
