using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Pooling of pictures (N, H, W, C): windows of rows h0..h1 and columns w0..w1 for each output pixel.
//   average   y = Σ window / size;                dx = Σ dy/size over the windows that hold the pixel
//   maximum   y = max window, padding is −∞;      dx = Σ dy over the windows whose first maximum the pixel is
//   saved     average nothing; maximum x (the position is found again: cheaper than to write and read an index)
// The windows of AvgPool2d do not overlap; those of AdaptiveAvgPool2d and MaxPool2d may. Backward, a pixel gathers from the
// windows that hold it, in order and in F32: no two threads write one place, nothing is rounded twice, nothing is cleared first.
// Cost: x read once and y written once, or dy and dx; the maximum's backward also reads x, and writes and reads a position
// (F32) for each output. Windows that overlap are read again from cache.
public static partial class Ops
{
    /// <summary>Mean over k×k windows side by side: (N, H, W, C) → (N, ⌊H/k⌋, ⌊W/k⌋, C); a rest narrower than k is left out. F32.</summary>
    /// <exception cref="ArgumentException">x is not rank 4, or k is not in 1..min(H, W).</exception>
    public static Tensor AvgPool2d(Tensor x, int k)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(k >= 1 && k <= x.Shape[1] && k <= x.Shape[2], $"expected a window between 1 and the picture's size {x.Shape}, got {k}");
        return AveragePool(x, PoolWindows.Strided(x.Shape[1], k, k, 0), PoolWindows.Strided(x.Shape[2], k, k, 0), nameof(AvgPool2d));
    }

    /// <summary>Mean over bins ⌊i·H/outH⌋ .. ⌈(i+1)·H/outH⌉, PyTorch's rule: (N, H, W, C) → (N, outH, outW, C). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not rank 4 or empty, or an output extent is below 1.</exception>
    public static Tensor AdaptiveAvgPool2d(Tensor x, int outH, int outW)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(outH >= 1 && outW >= 1 && x.Shape[1] >= 1 && x.Shape[2] >= 1, $"expected extents of at least 1, got {x.Shape} to {outH}x{outW}");
        return AveragePool(x, PoolWindows.Adaptive(x.Shape[1], outH), PoolWindows.Adaptive(x.Shape[2], outW), nameof(AdaptiveAvgPool2d));
    }

    /// <summary>Largest of k×k windows, stride apart: (N, H, W, C) → (N, ⌊(H+2p−k)/s⌋+1, ⌊(W+2p−k)/s⌋+1, C). F32 or BF16.</summary>
    /// <param name="x">Pictures.</param>
    /// <param name="k">Window's edge.</param>
    /// <param name="stride">Distance of windows; 0 for k.</param>
    /// <param name="padding">Pixels of −∞ on each side, at most k/2.</param>
    /// <remarks>Of equal values the first, row by row, takes the gradient. A NaN in a window gives NaN.</remarks>
    /// <exception cref="ArgumentException">x is not rank 4, or window, stride and padding do not fit it.</exception>
    public static Tensor MaxPool2d(Tensor x, int k, int stride = 0, int padding = 0)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        if (stride == 0) stride = k;
        Require.That(k >= 1 && stride >= 1 && padding >= 0 && 2 * padding <= k, $"expected k ≥ 1, stride ≥ 1 and 0 ≤ padding ≤ k/2, got {k}, {stride}, {padding}");
        Require.That(x.Shape[1] + 2 * padding >= k && x.Shape[2] + 2 * padding >= k, $"a window of {k} does not fit {x.Shape} padded by {padding}");
        return MaximumPool(x, PoolWindows.Strided(x.Shape[1], k, stride, padding), PoolWindows.Strided(x.Shape[2], k, stride, padding), nameof(MaxPool2d));
    }

    private static Tensor MaximumPool(Tensor x, (int From, int To)[] rows, (int From, int To)[] columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Length, columns.Length, x.Shape[3]), x.DType, op);
        y.Device.Run(x.DType, cpu: new MaxPoolForward(y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(x.DType, cpu: new MaxPoolBackward(dx, dy, x, rows, columns));
            return [dx];
        }, op: op);
    }

    private static Tensor AveragePool(Tensor x, (int From, int To)[] rows, (int From, int To)[] columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Length, columns.Length, x.Shape[3]), x.DType, op);
        y.Device.Run(x.DType, cpu: new AvgPoolForward(y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(x.DType, cpu: new AvgPoolBackward(dx, dy, rows, columns));
            return [dx];
        }, op: op);
    }
}

file static class PoolWindows
{
    public static (int From, int To)[] Strided(int size, int k, int stride, int padding)
    {
        var windows = new (int, int)[(size + 2 * padding - k) / stride + 1];
        for (var i = 0; i < windows.Length; i++)
            windows[i] = (Math.Max(0, i * stride - padding), Math.Min(size, i * stride - padding + k));
        return windows;
    }

    public static (int From, int To)[] Adaptive(int size, int bins)
    {
        var windows = new (int, int)[bins];
        for (var i = 0; i < bins; i++)
            windows[i] = ((int)((long)i * size / bins), (int)(((long)(i + 1) * size + bins - 1) / bins));
        return windows;
    }

    /// <summary>For each position the windows that hold it: first and one past the last. Windows are in order, so they are a run.</summary>
    public static (int From, int To)[] Holding((int From, int To)[] windows, int size)
    {
        var holding = new (int From, int To)[size];
        for (var p = 0; p < size; p++)
        {
            var from = 0;
            while (from < windows.Length && windows[from].To <= p) from++;
            var to = from;
            while (to < windows.Length && windows[to].From <= p) to++;
            holding[p] = (from, to);
        }
        return holding;
    }

    /// <summary>Rows of one of two pictures whose share of the larger, x, is about a task's worth of elements.</summary>
    public static long RowsPerTask(Tensor x, int rows) =>
        Math.Max(1, CpuDevice.Grain * (long)rows / Math.Max(1, (long)x.Shape[1] * x.Shape[2] * x.Shape[3]));
}

file readonly unsafe struct AvgPoolForward(Tensor y, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns) : ICpuKernel
{
    public Work Work => Work.On("avg_pool_forward", 1, x, y);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rs, cs) = (rows, columns);
        cpu.ForRange((long)y.Shape[0] * rs.Length, PoolWindows.RowsPerTask(x, rs.Length), (from, to) =>
        {
            for (var r = from; r < to; r++)
                Row<V, T>(py + r * cs.Length * c, px + r / rs.Length * h * w * c, rs[r % rs.Length], cs, w, c);
        });
    }

    private static void Row<V, T>(T* y, T* picture, (int From, int To) row, (int From, int To)[] columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var high = row.To - row.From;
        foreach (var (c0, c1) in columns)
        {
            var first = picture + (row.From * w + c0) * c;
            if (high == 2 && c1 - c0 == 2) Columns.Each<V, Four<T>>(new(y, first, first + c, first + w * c, first + (w + 1) * c), c);
            else Columns.Each<V, Mean<T>>(new(y, first, w * c, c, high, c1 - c0), c);
            y += c;
        }
    }

    private readonly struct Four<T>(T* y, T* a, T* b, T* c, T* d) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            T.Store((T.Load<V>(a + i) + T.Load<V>(b + i) + (T.Load<V>(c + i) + T.Load<V>(d + i))) * V.Create(0.25f), y + i);
    }

    private readonly struct Mean<T>(T* y, T* x, nint line, nint pixel, int high, int wide) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V sum = default;
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++) sum += T.Load<V>(x + a * line + b * pixel + i);
            T.Store(sum * V.Create(1f / (high * wide)), y + i);
        }
    }
}

file readonly unsafe struct AvgPoolBackward(Tensor dx, Tensor dy, (int From, int To)[] rows, (int From, int To)[] columns) : ICpuKernel
{
    public Work Work => Work.On("avg_pool_backward", 1, dx, dy);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>();
        int h = dx.Shape[1], w = dx.Shape[2], c = dx.Shape[3];
        var (rs, cs) = (rows, columns);
        var (rowsOf, columnsOf) = (PoolWindows.Holding(rs, h), PoolWindows.Holding(cs, w));
        cpu.ForRange((long)dx.Shape[0] * h, PoolWindows.RowsPerTask(dx, h), (from, to) =>
        {
            for (var r = from; r < to; r++)
                Row<V, T>(pdx + r * w * c, pdy + r / h * rs.Length * cs.Length * c, rs, rowsOf[r % h], cs, columnsOf, c);
        });
    }

    private static void Row<V, T>(
        T* dx, T* dy, (int From, int To)[] rows, (int From, int To) rowsOf, (int From, int To)[] columns, (int From, int To)[] columnsOf, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        foreach (var (c0, c1) in columnsOf)
        {
            var a = rowsOf.From;
            var first = dy + ((nint)a * columns.Length + c0) * c;
            if (rowsOf.To == a || c1 == c0) new Span<T>(dx, c).Clear();
            else if (rowsOf.To == a + 1 && c1 == c0 + 1)
                Columns.Each<V, Scaled<T>>(new(dx, first, 1f / ((rows[a].To - rows[a].From) * (columns[c0].To - columns[c0].From))), c);
            else Columns.Each<V, Gathered<T>>(new(dx, dy, rows, rowsOf, columns, (c0, c1), c), c);
            dx += c;
        }
    }

    private readonly struct Scaled<T>(T* dx, T* dy, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(dy + i) * V.Create(scale), dx + i);
    }

    private readonly struct Gathered<T>(
        T* dx, T* dy, (int From, int To)[] rows, (int From, int To) rowsOf,
        (int From, int To)[] columns, (int From, int To) columnsOf, nint cols) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V sum = default;
            for (var a = rowsOf.From; a < rowsOf.To; a++)
                for (var b = columnsOf.From; b < columnsOf.To; b++)
                {
                    var scale = 1f / ((rows[a].To - rows[a].From) * (columns[b].To - columns[b].From));
                    sum = V.Fma(T.Load<V>(dy + (a * columns.Length + b) * cols + i), V.Create(scale), sum);
                }
            T.Store(sum, dx + i);
        }
    }
}

file readonly unsafe struct MaxPoolForward(Tensor y, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns) : ICpuKernel
{
    public Work Work => Work.On("max_pool_forward", 1, x, y);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rs, cs) = (rows, columns);
        cpu.ForRange((long)y.Shape[0] * rs.Length, PoolWindows.RowsPerTask(x, rs.Length), (from, to) =>
        {
            for (var r = from; r < to; r++)
                Row<V, T>(py + r * cs.Length * c, px + r / rs.Length * h * w * c, rs[r % rs.Length], cs, w, c);
        });
    }

    private static void Row<V, T>(T* y, T* picture, (int From, int To) row, (int From, int To)[] columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        foreach (var (c0, c1) in columns)
        {
            Columns.Each<V, Largest<T>>(new(y, picture + (row.From * w + c0) * c, w * c, c, row.To - row.From, c1 - c0), c);
            y += c;
        }
    }

    private readonly struct Largest<T>(T* y, T* x, nint line, nint pixel, int high, int wide) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var top = V.Create(float.NegativeInfinity);
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++) top = V.Max(top, T.Load<V>(x + a * line + b * pixel + i));
            T.Store(top, y + i);
        }
    }
}

file readonly unsafe struct MaxPoolBackward(
    Tensor dx, Tensor dy, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns) : ICpuKernel
{
    public Work Work => Work.On("max_pool_backward", 1, dx, dy, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rs, cs) = (rows, columns);
        var (rowsOf, columnsOf) = (PoolWindows.Holding(rs, h), PoolWindows.Holding(cs, w));
        using var scratch = cpu.Scratch(dy.Count);
        var at = scratch.At;
        cpu.ForRange((long)dx.Shape[0] * rs.Length, PoolWindows.RowsPerTask(x, rs.Length), (from, to) =>
        {
            for (var r = from; r < to; r++)
                Positions<V, T>(at + r * cs.Length * c, px + r / rs.Length * h * w * c, rs[r % rs.Length], cs, w, c);
        });
        cpu.ForRange((long)dx.Shape[0] * h, PoolWindows.RowsPerTask(x, h), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                var picture = r / h * rs.Length * cs.Length * c;
                Row<V, T>(pdx + r * w * c, pdy + picture, at + picture, rs, rowsOf[r % h], (int)(r % h), cs, columnsOf, c);
            }
        });
    }

    private static void Positions<V, T>(float* at, T* picture, (int From, int To) row, (int From, int To)[] columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        foreach (var (c0, c1) in columns)
        {
            Columns.Each<V, First<T>>(new(at, picture + (row.From * w + c0) * c, w * c, c, row.To - row.From, c1 - c0), c);
            at += c;
        }
    }

    private static void Row<V, T>(
        T* dx, T* dy, float* at, (int From, int To)[] rows, (int From, int To) rowsOf, int row,
        (int From, int To)[] columns, (int From, int To)[] columnsOf, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (var column = 0; column < columnsOf.Length; column++, dx += c)
            Columns.Each<V, Won<T>>(new(dx, dy, at, rows, rowsOf, row, columns, columnsOf[column], column, c), c);
    }

    /// <summary>The number, within its window, of the first largest pixel.</summary>
    private readonly struct First<T>(float* at, T* x, nint line, nint pixel, int high, int wide) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V top = T.Load<V>(x + i), best = default;
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++)
                {
                    var v = T.Load<V>(x + a * line + b * pixel + i);
                    var more = V.Less(top, v);
                    (top, best) = (V.Select(more, v, top), V.Select(more, V.Create(a * wide + b), best));
                }
            best.Store(at + i);
        }
    }

    /// <summary>Σ dy over the windows whose first largest pixel this is.</summary>
    private readonly struct Won<T>(
        T* dx, T* dy, float* at, (int From, int To)[] rows, (int From, int To) rowsOf, int row,
        (int From, int To)[] columns, (int From, int To) columnsOf, int column, nint cols) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V sum = default;
            for (var a = rowsOf.From; a < rowsOf.To; a++)
                for (var b = columnsOf.From; b < columnsOf.To; b++)
                {
                    var number = V.Create((row - rows[a].From) * (columns[b].To - columns[b].From) + column - columns[b].From);
                    var o = (a * columns.Length + b) * cols + i;
                    sum += V.Where(V.Equal(V.Load(at + o), number), T.Load<V>(dy + o));
                }
            T.Store(sum, dx + i);
        }
    }
}
