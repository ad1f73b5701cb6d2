using System.Globalization;
using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// The SIMD CPU device: memory from a pool of size classes, arithmetic on a team of threads. Results are the same bits
/// for any number of threads (<see cref="ThreadTeam"/>).
/// </summary>
public sealed unsafe class CpuDevice : Device
{
    /// <summary>Elements an elementwise task handles: 64 KB of F32, so that two cores share even a small tensor.</summary>
    internal const int Grain = 16384;

    private readonly ThreadTeam _team;
    // The lowest free address of a class is handed out first: what a program gets then depends on what is free and not on the
    // order in which the last step gave it back, so a repeated step gets the same addresses (DESIGN 2).
    private readonly Dictionary<long, PriorityQueue<nint, nint>> _pool = [];
    private readonly List<nint> _blocks = [];
    private long _reserved;
    private bool _disposed;

    /// <summary>A device with so many threads; 0 takes PLIP_THREADS, and without it every core there is.</summary>
    /// <exception cref="ArgumentException">PLIP_THREADS is not a positive number.</exception>
    public CpuDevice(int threads = 0)
    {
        if (threads <= 0 && Environment.GetEnvironmentVariable("PLIP_THREADS") is { Length: > 0 } text
            && (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out threads) || threads < 1))
            throw new ArgumentException($"PLIP_THREADS must be a number of threads, 1 or more; it is \"{text}\"");
        _team = new ThreadTeam(threads > 0 ? threads : Environment.ProcessorCount);
    }

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>Threads that share the work.</summary>
    public int Threads => _team.Threads;

    /// <summary>Bytes taken from the system so far; the pool never gives back before <see cref="Dispose"/>.</summary>
    public long ReservedBytes => _reserved;

    /// <inheritdoc/>
    public override void Run(Action<CpuDevice> cpu) => cpu(this);

    /// <summary>Runs body(0) … body(count−1) on the team. Bodies must write disjoint places.</summary>
    internal void For(int count, Action<int> body) => _team.For(count, body);

    /// <summary>Cuts 0..total into ranges of <paramref name="grain"/> (the last may be shorter) and runs body(from, to) for each.</summary>
    internal void ForRange(long total, long grain, Action<long, long> body)
    {
        if (total <= 0) return;
        if (total <= grain)
        {
            body(0, total);
            return;
        }
        _team.For(checked((int)((total + grain - 1) / grain)), i => body(i * grain, Math.Min(total, (i + 1) * grain)));
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<byte> from, nint to) => from.CopyTo(new Span<byte>((void*)to, from.Length));

    /// <inheritdoc/>
    public override void Download(nint from, Span<byte> to) => new Span<byte>((void*)from, to.Length).CopyTo(to);

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes) => Buffer.MemoryCopy((void*)from, (void*)to, bytes, bytes);

    /// <inheritdoc/>
    public override void Clear(nint at, long bytes) => NativeMemory.Clear((void*)at, (nuint)bytes);

    /// <inheritdoc/>
    protected override nint Take(long bytes)
    {
        var size = SizeClass(bytes);
        if (_pool.TryGetValue(size, out var free) && free.TryDequeue(out var block, out _)) return block;
        // 64 bytes of slack: kernels may read (never write) one vector past the end of a row.
        block = (nint)NativeMemory.AlignedAlloc((nuint)size + 64, 64);
        _blocks.Add(block);
        _reserved += size;
        return block;
    }

    /// <inheritdoc/>
    protected override void Give(nint pointer, long bytes)
    {
        var size = SizeClass(bytes);
        if (!_pool.TryGetValue(size, out var free)) _pool[size] = free = new PriorityQueue<nint, nint>();
        free.Enqueue(pointer, pointer);
    }

    /// <summary>Rounds up to 2ᵏ·{4,5,6,7}/4, so ragged batches share blocks and at most a quarter is wasted.</summary>
    internal static long SizeClass(long bytes)
    {
        if (bytes <= 256) return 256;
        var unit = 1L << (61 - System.Numerics.BitOperations.LeadingZeroCount((ulong)(bytes - 1)));
        return (bytes + unit - 1) / unit * unit;
    }

    /// <summary>Stops the threads and returns all memory; tensors of this device are invalid afterwards.</summary>
    public override void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _team.Dispose();
        foreach (var b in _blocks) NativeMemory.AlignedFree((void*)b);
        _blocks.Clear();
        _pool.Clear();
    }
}
