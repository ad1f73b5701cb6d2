using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// Gradients of 3×3 filters by minimal filtering: x and dy are transformed a batch of tiles at a time, each product's outer products
/// are summed over all tiles in the transformed domain, and the sums are transformed back once.
/// </summary>
internal readonly unsafe struct WinogradFilterGradient<V, T, A>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
    where A : struct, IWinogradGradientAxis
{
    // Up to these sums (16 of 128×128) groups of tiles have sums of their own and a task does all of a group; above, a batch of
    // tiles is transformed by all tasks and multiplied by all, each some products.
    private const int SmallSums = 1 << 18, Groups = 8, TaskTiles = 64;

    // Transformed x and dy of a batch, in floats: both threads' share stays in L3.
    private const int BatchFloats = 1 << 20, FewestTiles = 64, MostTiles = 512, TilesPerTask = 16;

    private readonly WinogradTiles<V, T> _x, _dy;
    private readonly int _c, _k, _tiles, _panels;

    private WinogradFilterGradient(T* x, ConvShape s, T* dy)
    {
        int rows = (s.Ho + A.Outputs - 1) / A.Outputs, cols = (s.Wo + A.Outputs - 1) / A.Outputs;
        _x = new(x, s.H, s.W, s.C, -s.Padding, rows, cols);
        _dy = new(dy, s.Ho, s.Wo, s.K, 0, rows, cols);
        (_c, _k, _tiles) = (s.C, s.K, checked(s.N * rows * cols));
        _panels = (s.K + PackedB<V>.Columns - 1) / PackedB<V>.Columns;
    }

    private static int Products => A.Points * A.Points;

    private static int Kinds => A.Kinds * A.Kinds;

    private int Width(int panel) => Math.Min(PackedB<V>.Columns, _k - panel * PackedB<V>.Columns);

    /// <summary>dw (3, 3, C, K) from x (N, h, w, C) and dy (N, ho, wo, K); C and K are multiples of a vector.</summary>
    public static void Run(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
    {
        var gradient = new WinogradFilterGradient<V, T, A>(x, s, dy);
        using var sums = cpu.Scratch((long)Kinds * s.C * s.K);
        if (Kinds * s.C * s.K <= SmallSums && gradient._tiles > TaskTiles) gradient.InGroups(cpu, sums.At);
        else gradient.InBatches(cpu, sums.At);
        gradient.Finish(cpu, sums.At, dw);
    }

    private void InGroups(CpuDevice cpu, float* sums)
    {
        var me = this;
        int size = Kinds * _c * _k, groups = Math.Min(Groups, (_tiles + TaskTiles - 1) / TaskTiles);
        using var partial = cpu.Scratch((long)groups * size);
        var parts = partial.At;
        cpu.For(groups, g =>
        {
            int from = (int)((long)me._tiles * g / groups), to = (int)((long)me._tiles * (g + 1) / groups);
            nint xPlane = Plane(TaskTiles, me._c), yPlane = Plane(TaskTiles, me._k);
            float* xs = TaskMemory.Take(Products * (xPlane + yPlane)), ys = xs + Products * xPlane;
            for (var first = from; first < to; first += TaskTiles)
            {
                var count = Math.Min(TaskTiles, to - first);
                for (var t = 0; t < count; t++) me.Transform(first, t, count, xs, xPlane, ys, yPlane);
                for (var kind = 0; kind < Kinds; kind++)
                    for (var p = 0; p < me._panels; p++) me.Multiply(kind, p, count, xs, xPlane, ys, yPlane, parts + (nint)g * size, first > from);
            }
        });
        cpu.AddRows<V>(sums, parts, size, groups, size);
    }

    private void InBatches(CpuDevice cpu, float* sums)
    {
        var me = this;
        var batch = Math.Clamp(BatchFloats / (Products * (_c + _k)), FewestTiles, MostTiles);
        var batches = (_tiles + batch - 1) / batch;
        batch = (_tiles + batches - 1) / batches;
        nint xPlane = Plane(batch, _c), yPlane = Plane(batch, _k);
        using var scratch = cpu.Scratch(Products * (xPlane + yPlane));
        float* xs = scratch.At, ys = xs + Products * xPlane;
        for (var first = 0; first < _tiles; first += batch)
        {
            int from = first, count = Math.Min(batch, _tiles - first);
            cpu.ForRange(count, TilesPerTask, (t0, t1) =>
            {
                for (var t = (int)t0; t < t1; t++) me.Transform(from, t, count, xs, xPlane, ys, yPlane);
            });
            cpu.For(Kinds * me._panels, task => me.Multiply(task / me._panels, task % me._panels, count, xs, xPlane, ys, yPlane, sums, from > 0));
        }
    }

    private static nint Plane(int tiles, int channels) => (nint)tiles * channels + CacheLines.Gap;

    /// <summary>Tile first + t as the t-th of a batch: x vector of channels by vector, dy panel by panel, each in the order its products are read.</summary>
    private void Transform(int first, int t, int count, float* xs, nint xPlane, float* ys, nint yPlane)
    {
        _x.Input<A>(first + t, 0, _c, xs + (nint)t * V.Count, xPlane, (nint)count * V.Count);
        for (var p = 0; p < _panels; p++)
        {
            var (column, width) = (p * PackedB<V>.Columns, Width(p));
            _dy.OutputGradient<A>(first + t, column, width, ys + (nint)count * column + (nint)t * width, yPlane, V.Count);
        }
    }

    /// <summary>The sums of one kind of taps and panel (C × width) (+)= Σ over the batch's tiles, and over the products that share these taps, of x ⊗ dy.</summary>
    private void Multiply(int kind, int p, int count, float* xs, nint xPlane, float* ys, nint yPlane, float* sums, bool accumulate)
    {
        var (column, width) = (p * PackedB<V>.Columns, Width(p));
        var to = sums + ((nint)kind * _k + column) * _c;
        for (var q = 0; q < Products; q++)
        {
            if (A.Kind(q / A.Points) * A.Kinds + A.Kind(q % A.Points) != kind) continue;
            Outer(xs + q * xPlane, ys + q * yPlane + (nint)count * column, count, _c, width, to, accumulate);
            accumulate = true;
        }
    }

    private static void Outer(float* x, float* dy, int count, int c, int width, float* sums, bool accumulate)
    {
        for (var group = 0; group < c; group += V.Count, x += (nint)count * V.Count)
            for (var m = 0; m < V.Count; m += V.TileRows)
                MicroKernels.Outer<V>(
                    x + m, V.Count, 0, dy, width, 0, 1, count, width == V.Count,
                    sums + (nint)(group + m) * width, width, Math.Min(V.TileRows, V.Count - m), width, accumulate);
    }

    private void Finish(CpuDevice cpu, float* sums, float* dw)
    {
        var me = this;
        cpu.For(_c, c =>
        {
            for (var p = 0; p < me._panels; p++)
            {
                var (column, width) = (p * PackedB<V>.Columns, me.Width(p));
                Filter(sums + (nint)column * me._c + (nint)c * width, width, (nint)me._c * me._k, dw + (nint)c * me._k + column);
            }
        });
    }

    [SkipLocalsInit]
    private static void Filter(float* sums, int width, nint size, float* dw)
    {
        float* half = stackalloc float[3 * A.Kinds * V.Count + CacheLines.Slack];
        half = CacheLines.Aligned(half);
        for (var i = 0; i < width; i += V.Count)
        {
            for (var j = 0; j < A.Kinds; j++) A.FilterGradient<V>(sums + i + j * size, A.Kinds * size, half + j * V.Count, A.Kinds * V.Count);
            for (var r = 0; r < 3; r++) A.FilterGradient<V>(half + r * A.Kinds * V.Count, V.Count, dw + i + 3 * r * size, size);
        }
    }
}
