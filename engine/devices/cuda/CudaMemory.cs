using System.Globalization;
using System.Text;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The GPU's memory for tensors. Asking the driver costs as much as a hundred kernels and makes the GPU wait, so blocks are kept by size
/// class and handed out again, the lowest free address first: a repeated step gets the same addresses (DESIGN 2), which a captured graph needs.
/// A block given back may still be read by kernels under way; whoever gets it next works on the same stream, behind them.
/// The emulator's check mode is told what is handed out and taken back, so that a kernel that reads a block nobody wrote yet, or past
/// its tensor's end, or after its release, is reported although the memory is the pool's.
/// </summary>
internal sealed unsafe class CudaMemory(bool pooled, long limit, nint stream = 0)
{
    private const long Slab = 8 << 20, SmallBlock = 1 << 20; // smaller blocks are cut from slabs
    private const int MakersShown = 8;

    private readonly Dictionary<long, PriorityQueue<nint, nint>> _free = [];
    private readonly Dictionary<nint, (long Bytes, string MadeBy)> _live = [];
    private readonly Dictionary<nint, long> _held = []; // blocks that captured graphs write to
    private readonly List<nint> _slabs = [];
    private readonly bool _marked = pooled && CudaLibraries.Current.IsChecking;
    private Dictionary<nint, long>? _capturing;
    private nint _next, _end;

    /// <summary>Bytes taken from the driver.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>Bytes of blocks that wait to be handed out again.</summary>
    public long CachedBytes { get; private set; }

    /// <summary>How often the driver was asked for memory.</summary>
    public int DriverCalls { get; private set; }

    /// <summary>How often cached blocks went back to the driver because it had no more.</summary>
    public int Releases { get; private set; }

    /// <summary>A block. Contents are undefined.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="madeBy">Who asks: named when memory runs out.</param>
    /// <param name="finish">Waits for the GPU, before memory goes back to the driver.</param>
    /// <exception cref="CudaOutOfMemoryException">The GPU has no more.</exception>
    public nint Take(long bytes, string madeBy, Action finish)
    {
        var size = pooled ? CpuDevice.SizeClass(bytes) : Math.Max(bytes, 1);
        nint block;
        if (pooled && _free.TryGetValue(size, out var free) && free.TryDequeue(out block, out _)) CachedBytes -= size;
        else block = pooled && size < SmallBlock ? Cut(size, madeBy, finish) : Ask(size, madeBy, finish);
        _live[block] = (size, madeBy);
        if (_capturing != null) _capturing[block] = size;
        Mark(block, bytes, fresh: true);
        Mark(block + (nint)bytes, size - bytes, fresh: false);
        return block;
    }

    /// <summary>Gives a block back.</summary>
    public void Give(nint block, Action finish)
    {
        if (!_live.Remove(block, out var was) || _held.ContainsKey(block)) return;
        if (pooled)
        {
            // What a graph captures it repeats at each replay, when a block that is not its own may be another's.
            if (_capturing == null || _capturing.ContainsKey(block)) Mark(block, was.Bytes, fresh: false);
            Cache(block, was.Bytes);
            return;
        }
        finish();
        _ = cuMemFree_v2(block);
        ReservedBytes -= was.Bytes;
    }

    /// <summary>From here on, what is taken belongs to the graph that is being captured.</summary>
    public void BeginCapture()
    {
        if (!pooled) throw new InvalidOperationException("a device without a pool gives every block another address: a graph cannot be captured on it");
        _capturing = [];
    }

    /// <summary>
    /// Ends the capture. The blocks it used are set aside until <see cref="Free"/>: a replay writes to them, so nobody else
    /// may get them.
    /// </summary>
    public IReadOnlyCollection<nint> EndCapture()
    {
        var blocks = _capturing!;
        _capturing = null;
        foreach (var (block, size) in blocks)
        {
            _held[block] = size;
            if (!_live.ContainsKey(block) && _free[size].Remove(block, out _, out _)) CachedBytes -= size;
        }
        return blocks.Keys;
    }

    /// <summary>Returns what <see cref="EndCapture"/> set aside.</summary>
    public void Free(IReadOnlyCollection<nint> blocks)
    {
        foreach (var block in blocks)
            if (_held.Remove(block, out var size) && !_live.ContainsKey(block)) Cache(block, size);
    }

    /// <summary>Returns everything to the driver.</summary>
    public void Dispose()
    {
        foreach (var slab in _slabs) _ = cuMemFree_v2(slab);
        // Small blocks lie in slabs. Tensors that were never released go too: their device is gone.
        foreach (var (size, free) in _free)
            if (size >= SmallBlock)
                foreach (var (block, _) in free.UnorderedItems) _ = cuMemFree_v2(block);
        foreach (var (block, (size, _)) in _live)
            if (!pooled || size >= SmallBlock) _ = cuMemFree_v2(block);
        foreach (var (block, size) in _held)
            if (size >= SmallBlock && !_live.ContainsKey(block)) _ = cuMemFree_v2(block);
        _free.Clear();
        _live.Clear();
        _held.Clear();
        _slabs.Clear();
        ReservedBytes = CachedBytes = 0;
    }

    private void Cache(nint block, long size)
    {
        if (!_free.TryGetValue(size, out var free)) _free[size] = free = new PriorityQueue<nint, nint>();
        free.Enqueue(block, block);
        CachedBytes += size;
    }

    /// <summary>Tells check mode, in order with the kernels, that memory holds nothing yet (fresh) or is nobody's.</summary>
    private void Mark(nint at, long bytes, bool fresh)
    {
        if (_marked && bytes > 0) Cuda.Check(cuEmulatorMark(at, (nuint)bytes, fresh ? 1 : 0, stream));
    }

    private nint Cut(long size, string madeBy, Action finish)
    {
        if (_next + size > _end)
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
        foreach (var (size, free) in _free)
        {
            if (size < SmallBlock) continue;
            while (free.TryDequeue(out var block, out _))
            {
                Cuda.Check(cuMemFree_v2(block));
                released += size;
            }
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
        if (makers.Length > MakersShown) text.Append(CultureInfo.InvariantCulture, $"\n  {MiB(makers.Skip(MakersShown).Sum(m => m.Bytes)),12}  {makers.Length - MakersShown} others");
        return text.ToString();
    }

    private static string MiB(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0.0} MiB");
}
