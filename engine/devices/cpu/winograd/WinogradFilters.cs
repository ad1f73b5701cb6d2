using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// Filters (3, 3, C, K) packed in panels of output channels, the nine taps of an input channel together. A task transforms what it
/// is about to multiply with in its own memory: transformed whole they would be 16/9 of the filters' size and come through
/// memory for every block of tiles; made again for each block they cost about a twentieth of its products.
/// </summary>
internal sealed unsafe class WinogradFilters<V> : IDisposable where V : struct, IVector<V>
{
    // Squares whose lines fit L1 although they lie a power of two apart.
    private const int Side = 16;

    private readonly PackedB<V> _packed;

    private WinogradFilters(CpuDevice cpu, int rows, int columns) => _packed = new PackedB<V>(cpu, 9 * rows, columns);

    /// <summary>Panels of output channels.</summary>
    public int Panels => _packed.Panels;

    /// <summary>Output channels of a panel: one vector or two.</summary>
    public int Width(int panel) => _packed.Width(panel);

    /// <summary>For a convolution: sums run over C, panels over K.</summary>
    public static WinogradFilters<V> Forward<T>(CpuDevice cpu, T* w, int c, int k) where T : unmanaged, IElement<T>
    {
        var filters = new WinogradFilters<V>(cpu, c, k);
        cpu.For(c, row => filters.Row(w + (nint)row * k, (nint)c * k, row));
        return filters;
    }

    /// <summary>For a data gradient, which at stride one is a convolution with the filter turned round: sums run over K, panels over C.</summary>
    public static WinogradFilters<V> Backward<T>(CpuDevice cpu, T* w, int c, int k) where T : unmanaged, IElement<T>
    {
        var filters = new WinogradFilters<V>(cpu, k, c);
        var lines = (c + Side - 1) / Side;
        cpu.For(9 * lines, task =>
        {
            var (tap, line) = Math.DivRem(task, lines);
            filters.Lines(w + ((nint)tap * c + line * Side) * k, k, 8 - tap, line * Side, Math.Min(Side, c - line * Side));
        });
        return filters;
    }

    /// <summary>Transforms input channels <paramref name="row"/> to +<paramref name="count"/> of a panel: each kind of taps a packed panel, <see cref="Plane"/> floats from the last.</summary>
    [SkipLocalsInit]
    public void Make<A>(int panel, int row, int count, float* to) where A : struct, IWinogradAxis
    {
        float* half = stackalloc float[A.Kinds * 3 * V.Count + CacheLines.Slack];
        half = CacheLines.Aligned(half);
        var (plane, width) = (Plane(count), Width(panel));
        var taps = _packed.Panel(panel) + (nint)row * 9 * width;
        for (var i = 0; i < count; i++, taps += 8 * width)
            for (var j = 0; j < width; j += V.Count, taps += V.Count, to += V.Count)
            {
                for (var s = 0; s < 3; s++) A.Filter<V>(taps + s * width, 3 * width, half + s * V.Count, 3 * V.Count);
                for (var r = 0; r < A.Kinds; r++) A.Filter<V>(half + r * 3 * V.Count, V.Count, to + r * A.Kinds * plane, plane);
            }
    }

    /// <summary>Floats from one kind of taps to the next where so many channels are transformed.</summary>
    public static nint Plane(int channels) => (nint)channels * PackedB<V>.Columns + CacheLines.Gap;

    private void Row<T>(T* from, nint tap, int row) where T : unmanaged, IElement<T>
    {
        for (var t = 0; t < 9; t++, from += tap)
        {
            T* at = from;
            for (var p = 0; p < Panels; p++)
            {
                var width = Width(p);
                var to = _packed.Panel(p) + ((nint)row * 9 + t) * width;
                for (var j = 0; j < width; j += V.Count, at += V.Count) T.Load<V>(at).Store(to + j);
            }
        }
    }

    private void Lines<T>(T* from, int k, int tap, int column, int columns) where T : unmanaged, IElement<T>
    {
        // Narrow vectors have panels narrower than a square.
        for (int done = 0, some; done < columns; done += some)
        {
            var (panel, at) = Math.DivRem(column + done, PackedB<V>.Columns);
            var width = Width(panel);
            some = Math.Min(columns - done, width - at);
            for (var row = 0; row < k; row += Side)
                Transpose.Run(from + (nint)done * k + row, k, some, Math.Min(Side, k - row), _packed.Panel(panel) + ((nint)row * 9 + tap) * width + at, 9 * width);
        }
    }

    public void Dispose() => _packed.Dispose();
}
