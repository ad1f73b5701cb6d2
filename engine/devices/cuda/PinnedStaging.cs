using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The way between the program's memory and the GPU's. The GPU copies only from and to pages that the system may not move, so
/// an upload first copies into such a page, a ring of which is filled and emptied in turn; it returns without waiting for the GPU.
/// </summary>
internal sealed unsafe class PinnedStaging(nint stream)
{
    private const int Blocks = 4;
    private const long BlockBytes = 4 << 20;

    private readonly nint[] _blocks = new nint[Blocks];
    private readonly nint[] _emptied = new nint[Blocks]; // events: the GPU has read the block
    private int _current;
    private long _used;

    /// <summary>Starts an upload; <paramref name="from"/> may change as soon as this returns.</summary>
    public void Upload(ReadOnlySpan<byte> from, nint to)
    {
        while (from.Length > 0)
        {
            var count = (int)Math.Min(from.Length, BlockBytes);
            var staged = Reserve(count);
            from[..count].CopyTo(new Span<byte>((void*)staged, count));
            Cuda.Check(cuMemcpyHtoDAsync_v2(to, (void*)staged, (nuint)count, stream));
            from = from[count..];
            to += count;
        }
    }

    /// <summary>Copies to the host and waits for it.</summary>
    /// <param name="finish">Waits for the stream.</param>
    public void Download(nint from, Span<byte> to, Action finish)
    {
        while (to.Length > 0)
        {
            var count = (int)Math.Min(to.Length, BlockBytes);
            var staged = Reserve(count);
            Cuda.Check(cuMemcpyDtoHAsync_v2((void*)staged, from, (nuint)count, stream));
            finish();
            new ReadOnlySpan<byte>((void*)staged, count).CopyTo(to);
            to = to[count..];
            from += count;
        }
    }

    /// <summary>Frees the pages.</summary>
    public void Dispose()
    {
        foreach (var block in _blocks)
            if (block != 0) _ = cuMemFreeHost(block);
        foreach (var @event in _emptied)
            if (@event != 0) _ = cuEventDestroy_v2(@event);
        Array.Clear(_blocks);
        Array.Clear(_emptied);
    }

    private nint Reserve(long bytes)
    {
        if (_used + bytes > BlockBytes)
        {
            Cuda.Check(cuEventRecord(_emptied[_current], stream));
            _current = (_current + 1) % Blocks;
            if (_blocks[_current] != 0) Cuda.Check(cuEventSynchronize(_emptied[_current]));
            _used = 0;
        }
        if (_blocks[_current] == 0)
        {
            nint block, @event;
            Cuda.Check(cuMemHostAlloc(&block, (nuint)BlockBytes, HostPortable));
            _blocks[_current] = block;
            Cuda.Check(cuEventCreate(&@event, EventUntimed));
            _emptied[_current] = @event;
        }
        var at = _blocks[_current] + (nint)_used;
        _used += (bytes + 63) & ~63L;
        return at;
    }
}
