namespace Plip.Engine;

/// <summary>
/// 3×3 convolutions by minimal filtering (<see cref="IWinogradAxis"/>): inputs of a block of tiles are transformed, each product is a
/// plain product of matrices (tiles × channels), and its results are transformed back, all in one task's memory.
/// Stride one multiplies 16 numbers for 36, stride two and its transpose 25 for 36; at 64 channels the transforms cost a
/// quarter of what is left, above less.
/// </summary>
internal static unsafe class WinogradConvolution<V, T, A>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
    where A : struct, IWinogradAxis
{
    // Channels that are transformed and multiplied at a time: their filters (128 KB) and the sums of a panel stay in L2, while
    // a block's inputs (at most 800 KB) stream by.
    private const int MostChannels = 64, BlockFloats = 208 * 1024;

    private const int FewestTiles = 32, MostTiles = 128, Tasks = 8, FewestPanels = 4;

    /// <summary>
    /// y (N, ho, wo, K) from x (N, h, w, C), both multiples of a vector of channels; the first tile's inputs begin at row and column
    /// <paramref name="first"/>.
    /// </summary>
    public static void Run(CpuDevice cpu, T* x, int n, int h, int w, int c, int first, WinogradFilters<V> filters, float* bias, T* y, int ho, int wo, int k)
    {
        int rows = (ho + A.Outputs - 1) / A.Outputs, cols = (wo + A.Outputs - 1) / A.Outputs, total = checked(n * rows * cols);
        var source = new WinogradTiles<V, T>(x, h, w, c, first, rows, cols);
        var target = new WinogradTiles<V, T>(y, ho, wo, k, 0, rows, cols);
        var most = Math.Clamp(BlockFloats / (A.Points * A.Points * Math.Min(c, MostChannels)), FewestTiles, MostTiles);
        var blocks = (total + most - 1) / most;
        var block = ((total + blocks - 1) / blocks + V.TileRows - 1) / V.TileRows * V.TileRows; // blocks of one size
        var panels = filters.Panels;
        // Each part of the panels transforms the inputs again: it must have some products to make up for it.
        var parts = Math.Clamp((Tasks + blocks - 1) / blocks, 1, Math.Max(1, panels / FewestPanels));
        cpu.For(blocks * parts, task =>
        {
            var (b, part) = Math.DivRem(task, parts);
            int from = b * block, count = Math.Min(block, total - from);
            if (count > 0) Block(source, target, c, filters, bias, from, count, panels * part / parts, panels * (part + 1) / parts);
        });
    }

    /// <summary>Either the inputs of all channels or the sums of all panels are kept, whichever is less, and the others come by once.</summary>
    private static void Block(
        WinogradTiles<V, T> source, WinogradTiles<V, T> target, int c, WinogradFilters<V> filters, float* bias, int tile, int count, int p0, int p1)
    {
        int products = A.Points * A.Points, columns = PackedB<V>.Columns, most = Math.Min(c, MostChannels), chunks = (c + most - 1) / most;
        nint plane = (nint)count * most + CacheLines.Gap, sumPlane = (nint)count * columns + CacheLines.Gap;
        var keepInputs = c <= (p1 - p0) * columns;
        nint inputSize = products * plane, sumSize = products * sumPlane;
        var inputs = TaskMemory.Take((keepInputs ? chunks : 1) * inputSize + (keepInputs ? 1 : p1 - p0) * sumSize + A.Kinds * A.Kinds * WinogradFilters<V>.Plane(most));
        var sums = inputs + (keepInputs ? chunks : 1) * inputSize;
        var packed = sums + (keepInputs ? 1 : p1 - p0) * sumSize;
        for (var outer = 0; outer < (keepInputs ? p1 - p0 : chunks); outer++)
            for (var inner = 0; inner < (keepInputs ? chunks : p1 - p0); inner++)
            {
                var (p, chunk) = keepInputs ? (outer, inner) : (inner, outer);
                int from = chunk * most, some = Math.Min(most, c - from), width = filters.Width(p0 + p);
                var x = inputs + (keepInputs ? chunk * inputSize : 0);
                var y = sums + (keepInputs ? 0 : p * sumSize);
                if (p == 0)
                    for (var t = 0; t < count; t++) source.Input<A>(tile + t, from, some, x + (nint)t * some, plane, V.Count);
                filters.Make<A>(p0 + p, from, some, packed);
                Products(x, plane, packed, WinogradFilters<V>.Plane(some), y, sumPlane, count, some, width, chunk > 0);
                if (chunk + 1 < chunks) continue;
                for (var t = 0; t < count; t++) target.Output<A>(tile + t, (p0 + p) * columns, width, y + (nint)t * width, sumPlane, bias);
            }
    }

    /// <summary>For each product: sums (tiles × width) (+)= inputs (tiles × channels) · filters (channels × width).</summary>
    private static void Products(
        float* inputs, nint plane, float* filters, nint filterPlane, float* sums, nint sumPlane, int count, int channels, int width, bool accumulate)
    {
        var a = stackalloc float*[MicroKernels.MaxRows];
        for (var q = 0; q < A.Points * A.Points; q++, inputs += plane, sums += sumPlane)
        {
            var panel = filters + (A.Kind(q / A.Points) * A.Kinds + A.Kind(q % A.Points)) * filterPlane;
            var t = 0;
            if (width == V.Count)
                for (; t + NarrowTiles.Rows<V>() <= count; t += NarrowTiles.Rows<V>())
                    NarrowTiles.Run<V>(inputs + (nint)t * channels, channels, 1, 0, channels, panel, 0, sums + (nint)t * width, width, accumulate, null);
            for (; t < count; t += V.TileRows)
            {
                var n = Math.Min(V.TileRows, count - t);
                for (var i = 0; i < V.TileRows; i++) a[i] = inputs + (nint)(t + Math.Min(i, n - 1)) * channels;
                MicroKernels.Rows<V>(a, 1, 0, channels, panel, width == V.Count, sums + (nint)t * width, width, n, width, accumulate, null);
            }
        }
    }
}
