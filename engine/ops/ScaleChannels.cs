using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Channels of pictures (N, H, W, C) as a whole: what squeeze-and-excitation and the visual head need.   Hu et al., arXiv:1709.01507
//   ScaleChannels  y_np = x_np ⊙ s_n           dx_np = dy_np ⊙ s_n,  ds_n = Σ_p dy_np ⊙ x_np     saved x, s
//   MeanPixels     y_n = 1/P Σ_p x_np          dx_np = dy_n / P
//   MaxPixels      y_n = max_p x_np            dx_np = dy_n at the first largest pixel, else 0    saved its number, I32
//   order          pixels are summed in blocks of 64, the blocks' sums in order: the same bits for any number of threads
// Cost: one pass. The backward of ScaleChannels reads dy and x once for both gradients: 12 bytes an element.
public static partial class Ops
{
    /// <summary>Multiplies each picture's channels by its own factors: x (N, H, W, C), s (N, C) → (N, H, W, C). F32.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or s is not (N, C).</exception>
    public static Tensor ScaleChannels(Tensor x, Tensor s)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        var expected = new Shape(x.Shape[0], x.Cols);
        Require.That(s.Shape == expected, $"expected factors {expected} for pictures {x.Shape}, got {s.Shape}");
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => ChannelsCpu.Scale(cpu, y, x, s));
        return Tape.Record(y, [x, s], dy =>
        {
            var dx = x.NeedsGrad ? Tensor.Like(x) : null;
            if (!s.NeedsGrad)
            {
                dx!.Device.Run(cpu: cpu => ChannelsCpu.Scale(cpu, dx, dy, s));
                return [dx, null];
            }
            var ds = Tensor.Like(s);
            ds.Device.Run(cpu: cpu => ChannelsCpu.ScaleBackward(cpu, dx, ds, dy, x, s));
            return [dx, ds];
        });
    }

    /// <summary>Mean over the pixels of each picture (global average pooling): x (N, H, W, C) → (N, C). F32.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels.</exception>
    public static Tensor MeanPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        var pixels = x.Shape[1] * x.Shape[2];
        Require.That(pixels > 0, $"pictures {x.Shape} have no pixels");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols));
        y.Device.Run(cpu: cpu => ChannelsCpu.Mean(cpu, y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => ChannelsCpu.SpreadMean(cpu, dx, dy));
            return [dx];
        });
    }

    /// <summary>Largest value over the pixels of each picture (global max pooling): x (N, H, W, C) → (N, C). A NaN wins. F32.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels.</exception>
    public static Tensor MaxPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(x.Shape[1] * x.Shape[2] > 0, $"pictures {x.Shape} have no pixels");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols));
        var at = Tensor.Empty(x.Device, y.Shape, DType.I32);
        y.Device.Run(cpu: cpu => ChannelsCpu.Max(cpu, y, at, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => ChannelsCpu.MaxBackward(cpu, dx, dy, at));
            return [dx];
        }, [at]);
    }
}

file static unsafe class ChannelsCpu
{
    // Pixels whose sums one task forms: 256 KB of a 1024-channel map, and 32 tasks for one picture of 64×32.
    private const int PixelBlock = 64;

    public static void Scale(CpuDevice cpu, Tensor y, Tensor x, Tensor s)
    {
        float* py = y.F32, px = x.F32, ps = s.F32;
        var cols = x.Cols;
        ForBlocks(cpu, x, (n, from, to, _) =>
        {
            var factor = ps + (long)n * cols;
            for (var p = from; p < to; p++)
            {
                float* o = py + p * cols, i = px + p * cols;
                var c = 0;
                for (; c <= cols - 16; c += 16) (Vector512.Load(i + c) * Vector512.Load(factor + c)).Store(o + c);
                for (; c < cols; c++) o[c] = i[c] * factor[c];
            }
        });
    }

    public static void ScaleBackward(CpuDevice cpu, Tensor? dx, Tensor ds, Tensor dy, Tensor x, Tensor s)
    {
        float* pdx = dx == null ? null : dx.F32, pdy = dy.F32, px = x.F32, ps = s.F32;
        var cols = x.Cols;
        Reduce(cpu, ds, x, 1f, (n, from, to, sum) =>
        {
            var factor = ps + (long)n * cols;
            for (var p = from; p < to; p++)
            {
                float* o = pdx + p * cols, g = pdy + p * cols, i = px + p * cols;
                var c = 0;
                for (; c <= cols - 16; c += 16)
                {
                    var d = Vector512.Load(g + c);
                    if (pdx != null) (d * Vector512.Load(factor + c)).Store(o + c);
                    Vector512.FusedMultiplyAdd(d, Vector512.Load(i + c), Vector512.Load(sum + c)).Store(sum + c);
                }
                for (; c < cols; c++)
                {
                    if (pdx != null) o[c] = g[c] * factor[c];
                    sum[c] += g[c] * i[c];
                }
            }
        });
    }

    public static void Mean(CpuDevice cpu, Tensor y, Tensor x)
    {
        var px = x.F32;
        var cols = x.Cols;
        Reduce(cpu, y, x, 1f / (x.Shape[1] * x.Shape[2]), (_, from, to, sum) =>
        {
            for (var p = from; p < to; p++) Simd.AddTo(new Span<float>(sum, cols), new ReadOnlySpan<float>(px + p * cols, cols));
        });
    }

    public static void SpreadMean(CpuDevice cpu, Tensor dx, Tensor dy)
    {
        float* pdx = dx.F32, pdy = dy.F32;
        var cols = dx.Cols;
        var scale = 1f / (dx.Shape[1] * dx.Shape[2]);
        ForBlocks(cpu, dx, (n, from, to, _) =>
        {
            float* first = pdx + from * cols, g = pdy + (long)n * cols;
            for (var c = 0; c < cols; c++) first[c] = g[c] * scale;
            for (var p = from + 1; p < to; p++) new ReadOnlySpan<float>(first, cols).CopyTo(new Span<float>(pdx + p * cols, cols));
        });
    }

    public static void Max(CpuDevice cpu, Tensor y, Tensor at, Tensor x)
    {
        float* py = y.F32, px = x.F32;
        var pa = at.I32;
        int cols = x.Cols, pixels = x.Shape[1] * x.Shape[2];
        cpu.For(x.Shape[0], n =>
        {
            float* best = py + (long)n * cols, picture = px + (long)n * pixels * cols;
            var where = pa + (long)n * cols;
            new ReadOnlySpan<float>(picture, cols).CopyTo(new Span<float>(best, cols));
            new Span<int>(where, cols).Clear();
            for (var p = 1; p < pixels; p++)
            {
                var row = picture + (long)p * cols;
                var c = 0;
                for (; c <= cols - 16; c += 16)
                {
                    Vector512<float> v = Vector512.Load(row + c), b = Vector512.Load(best + c);
                    var better = Vector512.GreaterThan(v, b) | ~Vector512.Equals(v, v); // v ≠ v: a NaN
                    Vector512.ConditionalSelect(better, v, b).Store(best + c);
                    Vector512.ConditionalSelect(better.AsInt32(), Vector512.Create(p), Vector512.Load(where + c)).Store(where + c);
                }
                for (; c < cols; c++)
                {
                    if (!(row[c] > best[c] || float.IsNaN(row[c]))) continue;
                    best[c] = row[c];
                    where[c] = p;
                }
            }
        });
    }

    public static void MaxBackward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor at)
    {
        float* pdx = dx.F32, pdy = dy.F32;
        var pa = at.I32;
        int cols = dx.Cols, pixels = dx.Shape[1] * dx.Shape[2];
        cpu.For(dx.Shape[0], n =>
        {
            var picture = pdx + (long)n * pixels * cols;
            for (var p = 0; p < pixels; p++) new Span<float>(picture + (long)p * cols, cols).Clear();
            for (var c = 0; c < cols; c++) picture[(long)pa[(long)n * cols + c] * cols + c] = pdy[(long)n * cols + c];
        });
    }

    /// <summary>Work on pixels <paramref name="from"/> … <paramref name="to"/>−1 (counted over all pictures) of picture n; block is its number.</summary>
    private delegate void Block(int n, long from, long to, int block);

    /// <summary>The same, adding to <paramref name="sum"/> (C).</summary>
    private delegate void Sum(int n, long from, long to, float* sum);

    private static int BlocksPerPicture(Tensor x) => (x.Shape[1] * x.Shape[2] + PixelBlock - 1) / PixelBlock;

    private static void ForBlocks(CpuDevice cpu, Tensor x, Block body)
    {
        int pixels = x.Shape[1] * x.Shape[2], blocks = BlocksPerPicture(x);
        cpu.For(x.Shape[0] * blocks, task =>
        {
            var (n, b) = (task / blocks, task % blocks);
            body(n, (long)n * pixels + b * PixelBlock, (long)n * pixels + Math.Min(pixels, (b + 1) * PixelBlock), task);
        });
    }

    /// <summary>y_n = scale·Σ over the blocks of picture n, in order.</summary>
    private static void Reduce(CpuDevice cpu, Tensor y, Tensor x, float scale, Sum body)
    {
        int cols = x.Cols, blocks = BlocksPerPicture(x), pictures = x.Shape[0];
        var partial = Tensor.Empty(x.Device, new Shape(pictures * blocks, cols));
        float* sums = partial.F32, py = y.F32;
        ForBlocks(cpu, x, (n, from, to, block) =>
        {
            var sum = sums + (long)block * cols;
            new Span<float>(sum, cols).Clear();
            body(n, from, to, sum);
        });
        cpu.For(pictures, n =>
        {
            var total = new Span<float>(py + (long)n * cols, cols);
            total.Clear();
            for (var b = 0; b < blocks; b++) Simd.AddTo(total, new ReadOnlySpan<float>(sums + ((long)n * blocks + b) * cols, cols));
            for (var c = 0; c < cols; c++) total[c] *= scale;
        });
        partial.Release();
    }
}
