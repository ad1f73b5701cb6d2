using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Pooling of pictures (N, H, W, C): windows of rows h0..h1 and columns w0..w1 for each output pixel.
//   average   y = Σ window / size;                dx = Σ dy/size over the windows that hold the pixel
//   maximum   y = max window, padding is −∞;      dx = Σ dy over the windows whose first maximum the pixel is
//   saved     average nothing; maximum x (the position is found again: cheaper than to write and read an index)
// The windows of AvgPool2d do not overlap; those of AdaptiveAvgPool2d and MaxPool2d may. The backward goes picture by
// picture and adds in a fixed order, so no two threads write one place.
// Cost: every input and output element is touched once a window; vectorised across channels.
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

    /// <summary>Mean over bins ⌊i·H/outH⌋ .. ⌈(i+1)·H/outH⌉, PyTorch's rule: (N, H, W, C) → (N, outH, outW, C). F32.</summary>
    /// <exception cref="ArgumentException">x is not rank 4 or empty, or an output extent is below 1.</exception>
    public static Tensor AdaptiveAvgPool2d(Tensor x, int outH, int outW)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(outH >= 1 && outW >= 1 && x.Shape[1] >= 1 && x.Shape[2] >= 1, $"expected extents of at least 1, got {x.Shape} to {outH}x{outW}");
        return AveragePool(x, PoolWindows.Adaptive(x.Shape[1], outH), PoolWindows.Adaptive(x.Shape[2], outW), nameof(AdaptiveAvgPool2d));
    }

    /// <summary>Largest of k×k windows, stride apart: (N, H, W, C) → (N, ⌊(H+2p−k)/s⌋+1, ⌊(W+2p−k)/s⌋+1, C). F32.</summary>
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

    /// <summary>Largest value of each channel: (N, H, W, C) → (N, C). F32. Equal values and NaN as in <see cref="MaxPool2d"/>.</summary>
    /// <exception cref="ArgumentException">x is not rank 4, or its pictures are empty.</exception>
    public static Tensor GlobalMaxPool2d(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(x.Shape[1] >= 1 && x.Shape[2] >= 1, $"expected pictures of at least one pixel, got {x.Shape}");
        return Reshape(MaximumPool(x, [(0, x.Shape[1])], [(0, x.Shape[2])], nameof(GlobalMaxPool2d)), x.Shape[0], x.Shape[3]);
    }

    private static Tensor MaximumPool(Tensor x, (int From, int To)[] rows, (int From, int To)[] columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Length, columns.Length, x.Shape[3]), madeBy: op);
        y.Device.Run(cpu: cpu => PoolingCpu.Maximum(cpu, y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Zeros(x.Device, x.Shape, madeBy: op);
            dx.Device.Run(cpu: cpu => PoolingCpu.MaximumBackward(cpu, dx, dy, x, rows, columns));
            return [dx];
        }, op: op);
    }

    private static Tensor AveragePool(Tensor x, (int From, int To)[] rows, (int From, int To)[] columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Length, columns.Length, x.Shape[3]), madeBy: op);
        y.Device.Run(cpu: cpu => PoolingCpu.Average(cpu, y, x, rows, columns));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Empty(x.Device, x.Shape, madeBy: op);
            dx.Device.Run(cpu: cpu => PoolingCpu.AverageBackward(cpu, dx, dy, rows, columns));
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
}

file static unsafe class PoolingCpu
{
    public static void Average(CpuDevice cpu, Tensor y, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns)
    {
        float* py = y.F32, px = x.F32;
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        cpu.ForRange((long)y.Shape[0] * rows.Length, RowsPerTask(x, rows.Length), (from, to) =>
        {
            for (var r = from; r < to; r++)
                AverageRow(py + r * columns.Length * c, px + r / rows.Length * h * w * c, rows[r % rows.Length], columns, w, c);
        });
    }

    public static void AverageBackward(CpuDevice cpu, Tensor dx, Tensor dy, (int From, int To)[] rows, (int From, int To)[] columns)
    {
        float* pdx = dx.F32, pdy = dy.F32;
        int h = dx.Shape[1], w = dx.Shape[2], c = dx.Shape[3];
        var (rowsOf, columnsOf) = (PoolWindows.Holding(rows, h), PoolWindows.Holding(columns, w));
        cpu.ForRange((long)dx.Shape[0] * h, RowsPerTask(dx, h), (from, to) =>
        {
            for (var r = from; r < to; r++)
                SpreadRow(pdx + r * w * c, pdy + r / h * rows.Length * columns.Length * c, rows, rowsOf[r % h], columns, columnsOf, c);
        });
    }

    public static void Maximum(CpuDevice cpu, Tensor y, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns)
    {
        float* py = y.F32, px = x.F32;
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        cpu.ForRange((long)y.Shape[0] * rows.Length, RowsPerTask(x, rows.Length), (from, to) =>
        {
            for (var r = from; r < to; r++)
                MaximumRow(py + r * columns.Length * c, px + r / rows.Length * h * w * c, rows[r % rows.Length], columns, w, c);
        });
    }

    public static void MaximumBackward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor x, (int From, int To)[] rows, (int From, int To)[] columns)
    {
        float* pdx = dx.F32, pdy = dy.F32, px = x.F32;
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        // Windows may overlap, so a picture's are one thread's, cut along the channels where pictures are few.
        const int strip = 64;
        var strips = (c + strip - 1) / strip;
        cpu.For(x.Shape[0] * strips, task =>
        {
            var (n, first) = (task / strips, task % strips * strip);
            var end = Math.Min(c, first + strip);
            float* picture = px + (nint)n * h * w * c, d = pdx + (nint)n * h * w * c;
            var g = pdy + (nint)n * rows.Length * columns.Length * c;
            var at = stackalloc int[strip];
            var top = stackalloc float[strip];
            foreach (var (r0, r1) in rows)
                foreach (var (c0, c1) in columns)
                {
                    Positions(top, at, picture + first, end - first, r0, r1, c0, c1, w, c);
                    Scatter(d + first, g + first, at, end - first, c);
                    g += c;
                }
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AverageRow(float* o, float* picture, (int From, int To) row, (int From, int To)[] columns, nint w, nint c)
    {
        foreach (var (c0, c1) in columns)
        {
            float* first = picture + (row.From * w + c0) * c;
            var (high, wide) = (row.To - row.From, c1 - c0);
            var scale = 1f / (high * wide);
            nint i = 0;
            for (; i <= c - 16; i += 16)
            {
                Vector512<float> sum = default;
                for (var a = 0; a < high; a++)
                    for (var b = 0; b < wide; b++) sum += Vector512.Load(first + (a * w + b) * c + i);
                (sum * scale).Store(o + i);
            }
            for (; i < c; i++)
            {
                var sum = 0f;
                for (var a = 0; a < high; a++)
                    for (var b = 0; b < wide; b++) sum += first[(a * w + b) * c + i];
                o[i] = sum * scale;
            }
            o += c;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SpreadRow(
        float* o, float* dy, (int From, int To)[] rows, (int From, int To) rowsOf,
        (int From, int To)[] columns, (int From, int To)[] columnsOf, int c)
    {
        foreach (var (c0, c1) in columnsOf)
        {
            if (rowsOf.From == rowsOf.To || c0 == c1) new Span<float>(o, c).Clear();
            for (var a = rowsOf.From; a < rowsOf.To; a++)
                for (var b = c0; b < c1; b++)
                {
                    var scale = 1f / ((rows[a].To - rows[a].From) * (columns[b].To - columns[b].From));
                    Scaled(o, dy + ((nint)a * columns.Length + b) * c, scale, c, add: a > rowsOf.From || b > c0);
                }
            o += c;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MaximumRow(float* o, float* picture, (int From, int To) row, (int From, int To)[] columns, nint w, nint c)
    {
        foreach (var (c0, c1) in columns)
        {
            float* first = picture + (row.From * w + c0) * c;
            var (high, wide) = (row.To - row.From, c1 - c0);
            nint i = 0;
            for (; i <= c - 16; i += 16)
            {
                var top = Vector512.Create(float.NegativeInfinity);
                for (var a = 0; a < high; a++)
                    for (var b = 0; b < wide; b++) top = Vector512.Max(top, Vector512.Load(first + (a * w + b) * c + i));
                top.Store(o + i);
            }
            for (; i < c; i++)
            {
                var top = float.NegativeInfinity;
                for (var a = 0; a < high; a++)
                    for (var b = 0; b < wide; b++) top = MathF.Max(top, first[(a * w + b) * c + i]);
                o[i] = top;
            }
            o += c;
        }
    }

    /// <summary>The pixel of each channel's first maximum in a window.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Positions(float* top, int* at, float* picture, int n, int r0, int r1, int c0, int c1, int w, int c)
    {
        for (var a = r0; a < r1; a++)
            for (var b = c0; b < c1; b++)
            {
                var (pixel, start) = (a * w + b, a == r0 && b == c0);
                var row = picture + (nint)pixel * c;
                var i = 0;
                for (; i <= n - 16; i += 16)
                {
                    var v = Vector512.Load(row + i);
                    var more = start ? Vector512<float>.AllBitsSet : Vector512.GreaterThan(v, Vector512.Load(top + i));
                    Vector512.ConditionalSelect(more, v, Vector512.Load(top + i)).Store(top + i);
                    Vector512.ConditionalSelect(more.AsInt32(), Vector512.Create(pixel), Vector512.Load(at + i)).Store(at + i);
                }
                for (; i < n; i++)
                {
                    if (!start && !(row[i] > top[i])) continue;
                    top[i] = row[i];
                    at[i] = pixel;
                }
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scatter(float* dx, float* dy, int* at, int n, nint c)
    {
        for (var i = 0; i < n; i++) dx[at[i] * c + i] += dy[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scaled(float* o, float* x, float scale, int n, bool add)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var v = Vector512.Load(x + i) * scale;
            (add ? Vector512.Load(o + i) + v : v).Store(o + i);
        }
        for (; i < n; i++) o[i] = x[i] * scale + (add ? o[i] : 0f);
    }

    /// <summary>Rows of the smaller picture whose share of the larger is about a task's worth of elements.</summary>
    private static long RowsPerTask(Tensor x, int rows) =>
        Math.Max(1, CpuDevice.Grain * (long)rows / Math.Max(1, (long)x.Shape[1] * x.Shape[2] * x.Shape[3]));
}
