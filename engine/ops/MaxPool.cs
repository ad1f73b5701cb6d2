using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Max pooling of pictures (N, H, W, C): windows of rows h0..h1 and columns w0..w1 for each output pixel.
//   forward   y = max window, padding is −∞
//   backward  dx = Σ dy over the windows whose first maximum the pixel is
//   saved     x: the position is found again, cheaper than to write and read an index
// Backward, where windows lie side by side each writes its own pixels; where they overlap, positions are written down first
// and a pixel gathers from the windows that hold it, in order and in F32. No two threads write one place, nothing is cleared first.
// Cost: x read once and y written once; backward x and dy read once and dx written once, and where windows overlap a position
// (F32) for each output written and read. Windows that overlap are read again from cache. Large results are streamed.
public static partial class Ops
{
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
        return MaximumPool(x, PoolAxis.Strided(x.Shape[1], k, stride, padding), PoolAxis.Strided(x.Shape[2], k, stride, padding), nameof(MaxPool2d));
    }

    private static Tensor MaximumPool(Tensor x, PoolAxis rows, PoolAxis columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Count, columns.Count, x.Shape[3]), x.DType, op);
        y.Device.Run(x.DType, new MaxPoolForward(y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(x.DType, new MaxPoolBackward(dx, dy, x, rows, columns));
            return [dx];
        }, op: op);
    }
}

file readonly unsafe struct MaxPoolForward(Tensor y, Tensor x, PoolAxis rows, PoolAxis columns) : IKernel
{
    public Work Work => Work.On("max_pool_forward", 1, x, y);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, x.Cols, y, x);
        gpu.Launch(
            "max_pool", "max_pool_forward", [("TYPE", type), ("PACK", pack)], PictureTiles.Rows(y, pack),
            y, x, rows.Size, columns.Size, x.Cols, rows.Count, columns.Count, rows.K, rows.Stride, rows.Padding);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rs, cs) = (rows.Windows, columns.Windows);
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
    Tensor dx, Tensor dy, Tensor x, PoolAxis rows, PoolAxis columns) : IKernel
{
    public Work Work => Work.On("max_pool_backward", 1, dx, dy, x);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, dx.Cols, dx, dy, x);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", pack)];
        using var at = gpu.Scratch(dy.Count);
        gpu.Launch(
            "max_pool", "max_pool_places", constants, PictureTiles.Rows(dy, pack),
            at, x, rows.Size, columns.Size, x.Cols, rows.Count, columns.Count, rows.K, rows.Stride, rows.Padding);
        gpu.Launch(
            "max_pool", "max_pool_backward", constants, PictureTiles.Rows(dx, pack),
            dx, dy, at, rows.Size, columns.Size, x.Cols, rows.Count, columns.Count, rows.K, rows.Stride, rows.Padding);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rs, cs) = (rows.Windows, columns.Windows);
        if (PoolWindows.Disjoint(rs) && PoolWindows.Disjoint(cs))
        {
            var to = Target<T>.Of(dx, c);
            cpu.ForRange((long)dx.Shape[0] * rs.Length, PoolWindows.RowsPerTask(x, rs.Length), (from, end) =>
            {
                for (var r = from; r < end; r++)
                {
                    var picture = (nint)(r / rs.Length) * h * w * c;
                    Strip<V, T>(to + picture, pdy + r * cs.Length * c, px + picture, rs, (int)(r % rs.Length), h, cs, w, c);
                }
            });
            return;
        }
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

    /// <summary>The rows of a picture from a row of windows to the next, those of no window among them.</summary>
    private static void Strip<V, T>(
        Target<T> dx, T* dy, T* x, (int From, int To)[] rows, int row, int h, (int From, int To)[] columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (from, to) = rows[row];
        for (var r = row == 0 ? 0 : from; r < from; r++) new Span<T>(dx.At + r * w * c, (int)w * c).Clear();
        for (int r = to, next = row + 1 < rows.Length ? rows[row + 1].From : h; r < next; r++) new Span<T>(dx.At + r * w * c, (int)w * c).Clear();
        var done = 0;
        foreach (var (c0, c1) in columns)
        {
            Clear(dx, from, to, done, c0, w, c);
            var o = (from * w + c0) * c;
            if (to - from == 2 && c1 - c0 == 2) Columns.Each<V, Four<T>>(new(dx + o, dy, x + o, w * c, c), c);
            else Columns.Each<V, Window<T>>(new(dx + o, dy, x + o, w * c, c, to - from, c1 - c0), c);
            dy += c;
            done = c1;
        }
        Clear(dx, from, to, done, (int)w, w, c);
    }

    private static void Clear<T>(Target<T> dx, int row, int rows, int from, int to, nint w, int c) where T : unmanaged, IElement<T>
    {
        if (from == to) return;
        for (; row < rows; row++) new Span<T>(dx.At + (row * w + from) * c, (to - from) * c).Clear();
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

    /// <summary>A window of 2×2 that shares no pixel: each gets dy or 0.</summary>
    private readonly struct Four<T>(Target<T> dx, T* dy, T* x, nint line, nint pixel) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V p = T.Load<V>(x + i), q = T.Load<V>(x + pixel + i), r = T.Load<V>(x + line + i), s = T.Load<V>(x + line + pixel + i);
            V best = default, d = T.Load<V>(dy + i);
            Better(ref p, ref best, q, 1);
            Better(ref p, ref best, r, 2);
            Better(ref p, ref best, s, 3);
            dx.Store(V.Where(V.Equal(best, default), d), i);
            dx.Store(V.Where(V.Equal(best, V.Create(1)), d), pixel + i);
            dx.Store(V.Where(V.Equal(best, V.Create(2)), d), line + i);
            dx.Store(V.Where(V.Equal(best, V.Create(3)), d), line + pixel + i);
        }
    }

    /// <summary>Any window that shares no pixel.</summary>
    private readonly struct Window<T>(Target<T> dx, T* dy, T* x, nint line, nint pixel, int high, int wide) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V top = T.Load<V>(x + i), best = default, d = T.Load<V>(dy + i);
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++) Better(ref top, ref best, T.Load<V>(x + a * line + b * pixel + i), a * wide + b);
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++) dx.Store(V.Where(V.Equal(best, V.Create(a * wide + b)), d), a * line + b * pixel + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Better<V>(ref V top, ref V best, V v, int number) where V : struct, IVector<V>
    {
        var more = V.Less(top, v);
        (top, best) = (V.Select(more, v, top), V.Select(more, V.Create(number), best));
    }

    /// <summary>The number, within its window, of the first largest pixel.</summary>
    private readonly struct First<T>(float* at, T* x, nint line, nint pixel, int high, int wide) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            V top = T.Load<V>(x + i), best = default;
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++) Better(ref top, ref best, T.Load<V>(x + a * line + b * pixel + i), a * wide + b);
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
