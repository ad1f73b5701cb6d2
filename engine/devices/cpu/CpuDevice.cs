using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>
/// The SIMD CPU device: memory from a pool of size classes, arithmetic on a team of threads. Results are the same bits
/// for any number of threads (<see cref="ThreadTeam"/>).
/// </summary>
public sealed unsafe class CpuDevice : Device
{
    /// <summary>Elements an elementwise task handles at least: 64 KB of F32, so that two cores share even a small tensor.</summary>
    internal const int Grain = 16384;

    /// <summary>
    /// Elements an elementwise task over so many handles: a 32nd, in whole <see cref="Grain"/>s, up to 512 KB of F32. Where tasks are
    /// short, cores that take them in turn read and write all over each other's pages and lines: from memory two cores together
    /// reach a third less with tasks of 64 KB than with 512, and half where the data lies in the last cache.
    /// </summary>
    internal static int GrainOf(long count) => (int)Math.Clamp(count / 32 / Grain * Grain, Grain, 8 * Grain);

    private readonly ThreadTeam _team;
    private readonly FreeBlocks _pool = new();
    private readonly Dictionary<nint, long> _larger = []; // blocks that serve a smaller size, and their own
    private readonly HostMemory _memory = new();
    private long _reserved;
    private bool _disposed;

    /// <summary>A CPU device.</summary>
    /// <param name="threads">Threads that share the work; 0 takes PLIP_THREADS, and without it every core there is.</param>
    /// <param name="vectorBits">512, 256 or 128; 0 takes PLIP_VECTOR_BITS, and without it the widest the machine runs at full rate.</param>
    /// <exception cref="ArgumentException">A number is out of range, or this machine has no vectors so wide.</exception>
    public CpuDevice(int threads = 0, int vectorBits = 0)
    {
        if (threads <= 0) threads = Setting("PLIP_THREADS", "a number of threads, 1 or more");
        if (vectorBits == 0) vectorBits = Setting("PLIP_VECTOR_BITS", "512, 256 or 128");
        var widest = WidestVector;
        VectorBits = vectorBits == 0 ? widest : vectorBits;
        if (VectorBits is not (512 or 256 or 128)) throw new ArgumentException($"a vector has 512, 256 or 128 bits, not {VectorBits}");
        if (VectorBits > widest) throw new ArgumentException($"this machine's vectors have {widest} bits, fewer than the {VectorBits} asked for");
        _team = new ThreadTeam(threads > 0 ? threads : Environment.ProcessorCount);
    }

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <summary>Bits of the widest vectors this machine runs.</summary>
    public static int WidestVector => Avx512F.IsSupported ? 512 : Avx2.IsSupported ? 256 : 128;

    private static int Setting(string name, string expected) =>
        Environment.GetEnvironmentVariable(name) is not { Length: > 0 } text ? 0
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value > 0 ? value
        : throw new ArgumentException($"{name} must be {expected}; it is \"{text}\"");

    /// <summary>Threads that share the work.</summary>
    public int Threads => _team.Threads;

    /// <summary>Bytes taken from the system so far; the pool never gives back before <see cref="Dispose"/>.</summary>
    public long ReservedBytes => _reserved;

    /// <summary>Bits of a vector register that kernels use: 512, 256 or 128.</summary>
    public int VectorBits { get; }

    /// <inheritdoc/>
    public override void Run(Action<CpuDevice> cpu)
    {
        using var measured = Profiler?.Begin(ProfileKind.Kernel, new Work("other", 0, 0)) ?? default;
        cpu(this);
    }

    /// <summary>Runs a kernel at this device's width.</summary>
    /// <exception cref="NotSupportedException">No arithmetic is made for elements of this type.</exception>
    internal void Launch<TKernel>(DType type, TKernel kernel) where TKernel : struct, ICpuKernel
    {
        using var measured = Profiler?.Begin(ProfileKind.Kernel, kernel.Work) ?? default;
        switch (VectorBits, type)
        {
            case (512, DType.F32): kernel.Run<Vec512, F32>(this); break;
            case (256, DType.F32): kernel.Run<Vec256, F32>(this); break;
            case (_, DType.F32): kernel.Run<Vec128, F32>(this); break;
            case (512, DType.BF16): kernel.Run<Vec512, BF16>(this); break;
            case (256, DType.BF16): kernel.Run<Vec256, BF16>(this); break;
            case (_, DType.BF16): kernel.Run<Vec128, BF16>(this); break;
            case (512, DType.F16): kernel.Run<Vec512, F16>(this); break;
            case (256, DType.F16): kernel.Run<Vec256, F16>(this); break;
            case (_, DType.F16): kernel.Run<Vec128, F16>(this); break;
            default: throw new NotSupportedException($"{kernel.Work.Name}: elements are stored as F32, BF16 or F16, not {type}; convert with Ops.Cast");
        }
    }

    /// <summary>Runs an elementwise body over 0..count on the team.</summary>
    internal void Loop<V, TLoop>(long count, TLoop body)
        where V : struct, IVector<V>
        where TLoop : struct, ILoop
    {
        if (count <= Grain) Engine.Loop.Run<V, TLoop>(body, 0, count);
        else ForRange(count, GrainOf(count), (from, to) => Engine.Loop.Run<V, TLoop>(body, from, to));
    }

    /// <summary>Memory for so many floats, for the duration of a kernel. To be called on the thread that launches.</summary>
    internal Scratch Scratch(long floats) => new(Allocate(Math.Max(1, floats) * sizeof(float), "Scratch"));

    /// <summary>sum[0..cols] = Σ over <paramref name="rows"/> rows, <paramref name="stride"/> floats apart, added in order: how blocks' partial sums are joined.</summary>
    internal void AddRows<V>(float* sum, float* from, long stride, int rows, int cols) where V : struct, IVector<V> =>
        ForRange(cols, 1024, (a, b) =>
        {
            new Span<float>(sum + a, (int)(b - a)).Clear();
            for (var r = 0; r < rows; r++) Rows.AddTo<V, F32>(sum + a, (F32*)(from + r * stride + a), b - a);
        });

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
    public override void Upload(ReadOnlySpan<byte> from, nint to)
    {
        using var measured = Profiler.Transfer(this, "upload", 2L * from.Length);
        from.CopyTo(new Span<byte>((void*)to, from.Length));
    }

    /// <inheritdoc/>
    public override void Download(nint from, Span<byte> to)
    {
        using var measured = Profiler.Transfer(this, "download", 2L * to.Length);
        new Span<byte>((void*)from, to.Length).CopyTo(to);
    }

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes)
    {
        using var measured = Profiler.Transfer(this, "copy", 2 * bytes);
        Buffer.MemoryCopy((void*)from, (void*)to, bytes, bytes);
    }

    /// <inheritdoc/>
    public override void Clear(nint at, long bytes)
    {
        using var measured = Profiler.Transfer(this, "clear", bytes);
        NativeMemory.Clear((void*)at, (nuint)bytes);
    }

    /// <inheritdoc/>
    protected override nint Take(long bytes)
    {
        var size = FreeBlocks.SizeClass(bytes);
        if (_pool.TryTake(size, out var block, out var actual))
        {
            if (actual != size) _larger[block] = actual;
            return block;
        }
        _reserved += size;
        return _memory.Take(size);
    }

    /// <inheritdoc/>
    protected override void Give(nint pointer, long bytes) =>
        _pool.Put(pointer, _larger.Remove(pointer, out var actual) ? actual : FreeBlocks.SizeClass(bytes));

    /// <summary>Stops the threads and returns all memory; tensors of this device are invalid afterwards.</summary>
    public override void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _team.Dispose();
        _memory.Dispose();
        _pool.Clear();
    }
}
