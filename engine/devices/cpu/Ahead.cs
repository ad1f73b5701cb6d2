using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>
/// A block of memory that will be read next, brought to L2 in <see cref="Steps"/> steps: a core waits for no more than some
/// twenty lines at a time, so asking for all at once would hold up the arithmetic it should go on under. Does nothing where
/// the machine has no such instruction.
/// </summary>
internal unsafe struct Ahead
{
    /// <summary>Calls of <see cref="Step"/> for the whole of it.</summary>
    public const int Steps = 8;

    private const int LineBytes = 64;

    private byte* _at;
    private nint _stride, _advance;
    private int _rows, _lines;

    /// <summary>Rows of elements, some rows at a step.</summary>
    public static Ahead ByRows<T>(T* at, nint stride, int rows, int cols) where T : unmanaged
    {
        var perStep = (rows + Steps - 1) / Steps;
        var first = (nint)at & -LineBytes;
        return new()
        {
            _at = (byte*)first,
            _stride = stride * sizeof(T),
            _rows = perStep,
            _lines = (int)(((nint)(at + cols) - first + LineBytes - 1) / LineBytes),
            _advance = perStep * stride * sizeof(T),
        };
    }

    /// <summary>Few long rows of elements, a stretch of each at a step.</summary>
    public static Ahead ByColumns<T>(T* at, nint stride, int rows, int cols) where T : unmanaged
    {
        var lines = (cols * sizeof(T) + Steps * LineBytes - 1) / (Steps * LineBytes);
        return new() { _at = (byte*)at, _stride = stride * sizeof(T), _rows = rows, _lines = lines, _advance = lines * LineBytes };
    }

    /// <summary>Asks for a row of elements that will be read soon, all of it, to L2: the row after the next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line<T>(T* at, int cols) where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        for (byte* line = (byte*)at, end = (byte*)(at + cols); line < end; line += LineBytes) Sse.Prefetch1(line);
    }

    /// <summary>
    /// Asks for rows that will be written, while what goes there is still computed: a store to a line that is not in L1 waits
    /// for it, and only so many can wait.
    /// </summary>
    public static void Target<T>(T* at, nint stride, int rows, int cols) where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        for (var i = 0; i < rows; i++, at += stride)
            for (byte* line = (byte*)at, end = (byte*)(at + cols); line < end; line += LineBytes) Sse.Prefetch0(line);
    }

    /// <summary>Asks for the next part.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Step()
    {
        if (!Sse.IsSupported) return;
        var at = _at;
        for (var i = 0; i < _rows; i++, at += _stride)
            for (var l = 0; l < _lines; l++) Sse.Prefetch1(at + l * LineBytes);
        _at += _advance;
    }
}
