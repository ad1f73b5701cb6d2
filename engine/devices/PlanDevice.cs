namespace Plip.Engine;

/// <summary>
/// A device without arithmetic: what is run on it takes memory as it would elsewhere, from a pool of the same size classes, and nothing
/// is computed. A whole training step passes in a moment, and tells what it will need before it runs.
/// </summary>
/// <remarks>
/// Addresses are numbers that nobody reads. What kernels borrow while they run (partial sums, packed panels) is not taken; whoever plans
/// adds it from a measurement. Small uploads are remembered, so that offsets of sequences can be read again; everything else reads as zeros.
/// </remarks>
/// <param name="forGpu">Whether it stands for a GPU: batches are then brought to few shapes, as they are there.</param>
public sealed class PlanDevice(bool forGpu = false) : Device
{
    private const int Remembered = 1 << 20; // bytes of an upload that may be read again
    private const long Unit = 256;

    private readonly FreeBlocks _free = new();
    private readonly Dictionary<nint, long> _sizes = [];
    private readonly Dictionary<nint, byte[]> _uploads = [];
    private nint _next = 1 << 20;

    /// <inheritdoc/>
    public override string Name => forGpu ? "a planned GPU" : "a planned CPU";

    /// <summary>Whether it stands for a GPU.</summary>
    public bool ForGpu => forGpu;

    /// <summary>Bytes a pool would have taken from the system so far: with size classes rounded up and blocks that wait for another use.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>The least work of all kernels so far: bytes moved and operations.</summary>
    public Work Total { get; private set; } = new("all kernels", 0, 0);

    /// <summary>Counts a kernel in place of running it.</summary>
    internal void Note<TKernel>(TKernel kernel) where TKernel : struct, ICpuKernel
    {
        var work = kernel.Work;
        Total = Total with { Bytes = Total.Bytes + work.Bytes, Flops = Total.Flops + work.Flops };
    }

    /// <inheritdoc/>
    /// <remarks>Runs nothing: such code reads memory that is not there.</remarks>
    public override void Run(Action<CpuDevice> cpu) { }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<byte> from, nint to)
    {
        if (from.Length <= Remembered) _uploads[to] = from.ToArray();
    }

    /// <inheritdoc/>
    public override void Download(nint from, Span<byte> to)
    {
        to.Clear();
        if (_uploads.TryGetValue(from, out var known) && known.Length >= to.Length) known.AsSpan(0, to.Length).CopyTo(to);
    }

    /// <inheritdoc/>
    public override void Copy(nint from, nint to, long bytes)
    {
        if (_uploads.TryGetValue(from, out var known) && known.Length >= bytes) _uploads[to] = known[..(int)bytes];
    }

    /// <inheritdoc/>
    public override void Clear(nint at, long bytes) => _uploads.Remove(at);

    /// <inheritdoc/>
    protected override nint Take(long bytes)
    {
        if (!_free.TryTake(FreeBlocks.SizeClass(bytes), out var block, out var size))
        {
            ReservedBytes += size;
            block = _next;
            _next += (nint)((size + Unit - 1) / Unit * Unit);
        }
        _sizes[block] = size;
        return block;
    }

    /// <inheritdoc/>
    protected override void Give(nint pointer, long bytes)
    {
        _uploads.Remove(pointer);
        _free.Put(pointer, _sizes[pointer]);
    }

    /// <summary>Nothing is to be returned.</summary>
    public override void Dispose() { }
}
