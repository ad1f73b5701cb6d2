using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Average pooling of pictures (N, H, W, C): windows of rows h0..h1 and columns w0..w1 for each output pixel.
//   forward   y = Σ window / size
//   backward  dx = Σ dy/size over the windows that hold the pixel
//   saved     nothing
// The windows of AvgPool2d do not overlap; those of AdaptiveAvgPool2d may. Backward, a pixel gathers from the windows that hold
// it, in order and in F32: no two threads write one place, nothing is rounded twice, nothing is cleared first.
// Cost: x read once and y written once, or dy and dx. Windows that overlap are read again from cache.
public static partial class Ops
{
    /// <summary>Mean over k×k windows side by side: (N, H, W, C) → (N, ⌊H/k⌋, ⌊W/k⌋, C); a rest narrower than k is left out. F32.</summary>
    /// <exception cref="ArgumentException">x is not rank 4, or k is not in 1..min(H, W).</exception>
    public static Tensor AvgPool2d(Tensor x, int k)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(k >= 1 && k <= x.Shape[1] && k <= x.Shape[2], $"expected a window between 1 and the picture's size {x.Shape}, got {k}");
        return AveragePool(x, PoolAxis.Strided(x.Shape[1], k, k, 0), PoolAxis.Strided(x.Shape[2], k, k, 0), nameof(AvgPool2d));
    }

    /// <summary>Mean over bins ⌊i·H/outH⌋ .. ⌈(i+1)·H/outH⌉, PyTorch's rule: (N, H, W, C) → (N, outH, outW, C). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not rank 4 or empty, or an output extent is below 1.</exception>
    public static Tensor AdaptiveAvgPool2d(Tensor x, int outH, int outW)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(outH >= 1 && outW >= 1 && x.Shape[1] >= 1 && x.Shape[2] >= 1, $"expected extents of at least 1, got {x.Shape} to {outH}x{outW}");
        return AveragePool(x, PoolAxis.Adaptive(x.Shape[1], outH), PoolAxis.Adaptive(x.Shape[2], outW), nameof(AdaptiveAvgPool2d));
    }

    private static Tensor AveragePool(Tensor x, PoolAxis rows, PoolAxis columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Count, columns.Count, x.Shape[3]), x.DType, op);
        y.Device.Run(x.DType, new AvgPoolForward(y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(x.DType, new AvgPoolBackward(dx, dy, rows, columns));
            return [dx];
        }, op: op);
    }
}

file readonly unsafe struct AvgPoolForward(Tensor y, Tensor x, PoolAxis rows, PoolAxis columns) : IKernel
{
    public Work Work => Work.On("avg_pool_forward", 1, x, y);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, x.Cols, y, x);
        gpu.Launch(
            "average_pool", "average_pool_forward", [("TYPE", type), ("PACK", pack)], PictureTiles.Rows(y, pack),
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

file readonly unsafe struct AvgPoolBackward(Tensor dx, Tensor dy, PoolAxis rows, PoolAxis columns) : IKernel
{
    public Work Work => Work.On("avg_pool_backward", 1, dx, dy);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, dx.Cols, dx, dy);
        gpu.Launch(
            "average_pool", "average_pool_backward", [("TYPE", type), ("PACK", pack)], PictureTiles.Rows(dx, pack),
            dx, dy, rows.Size, columns.Size, dx.Cols, rows.Count, columns.Count, rows.K, rows.Stride, rows.Padding);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>();
        int h = dx.Shape[1], w = dx.Shape[2], c = dx.Shape[3];
        var (rs, cs) = (rows.Windows, columns.Windows);
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
