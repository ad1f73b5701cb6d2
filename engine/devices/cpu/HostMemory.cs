using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Memory from the system for the CPU device's pool, in large pieces on large pages: a training step streams through
/// hundreds of megabytes, and with pages of 4 KB the address translations alone miss their cache all the time.
/// </summary>
internal sealed unsafe partial class HostMemory : IDisposable
{
    /// <summary>Bytes of a large page.</summary>
    public const long LargePage = 2 << 20;

    private const long Slab = 8 << 20;

    /// <summary>Kernels may read (never write) one vector past the end of a row.</summary>
    private const long Slack = 64;

    private readonly List<nint> _pieces = [];
    private nint _next, _end;

    /// <summary>A block, aligned to a cache line; contents are undefined, and it lives until <see cref="Dispose"/>.</summary>
    public nint Take(long bytes)
    {
        if (bytes > Slab / 2) return Piece(bytes + Slack);
        if (_next + bytes + Slack > _end)
        {
            _next = Piece(Slab);
            _end = _next + (nint)Slab;
        }
        var block = _next;
        _next += (nint)((bytes + Slack + 63) & ~63L);
        return block;
    }

    private nint Piece(long bytes)
    {
        var at = OnLargePages(bytes);
        _pieces.Add(at);
        return at;
    }

    /// <summary>Memory that begins on a large page; to be freed by <see cref="NativeMemory.AlignedFree"/>.</summary>
    public static nint OnLargePages(long bytes)
    {
        var at = (nint)NativeMemory.AlignedAlloc((nuint)bytes, (nuint)LargePage);
        // A wish: where the system has no large pages, or will not give them, ordinary ones do.
        if (OperatingSystem.IsLinux()) _ = Advise(at, (nuint)bytes, TransparentHugePages);
        return at;
    }

    public void Dispose()
    {
        foreach (var p in _pieces) NativeMemory.AlignedFree((void*)p);
        _pieces.Clear();
        _next = _end = 0;
    }

    private const int TransparentHugePages = 14; // MADV_HUGEPAGE

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint at, nuint bytes, int advice);
}
