using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// The loops of <see cref="Ops.BatchNorm"/> over a block of rows: count elements, whose channels repeat every
/// <see cref="ChannelFold.Width"/> of them. Per-channel operands are that wide.
/// </summary>
internal static unsafe class BatchNormKernels
{
    /// <summary>Mean, Σ of deviations and M₂ of a block's channels, each <c>fold.Width</c> floats apart. The second reading is of L2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Moments(float* mean, float* x, nint count, ChannelFold fold, int cols)
    {
        nint width = fold.Width;
        float* d1 = mean + width, d2 = d1 + width;
        new Span<float>(mean, 3 * fold.Width).Clear();
        for (nint o = 0; o < count; o += width) AddRow(mean, x + o, (int)Math.Min(width, count - o));
        fold.Gather(mean);
        var one = 1f / (count / cols);
        for (var c = 0; c < cols; c++) mean[c] *= one;
        fold.Repeat(mean, mean);
        for (nint o = 0; o < count; o += width) MomentsRow(d1, d2, x + o, mean, (int)Math.Min(width, count - o));
        fold.Gather(d1);
        fold.Gather(d2);
        // The rounding of the centre is taken out again, so a block's mean and M₂ are as good as its deviations.
        for (var c = 0; c < cols; c++)
        {
            var d = d1[c] * one;
            mean[c] += d;
            d2[c] -= d1[c] * d;
        }
    }

    /// <summary>y = max(γr·(x−μ) + β, floor).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Normalize(float* y, float* x, float* center, float* scale, float* shift, float floor, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) NormalizeRow(y + o, x + o, center, scale, shift, floor, (int)Math.Min(width, count - o));
    }

    /// <summary>y = max(γr·(x−μ) + β + residual, floor).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void NormalizeAdd(float* y, float* x, float* residual, float* center, float* scale, float* shift, float floor, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) NormalizeAddRow(y + o, x + o, residual + o, center, scale, shift, floor, (int)Math.Min(width, count - o));
    }

    /// <summary>Adds Σ dz and Σ dz·(x−μ), dz = dy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sum(float* sum, float* sumX, float* dy, float* x, float* center, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) SumRow(sum, sumX, dy + o, x + o, center, (int)Math.Min(width, count - o));
    }

    /// <summary>The same with dz = dy where y, worked out again from x, is above 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SumRelu(float* sum, float* sumX, float* dy, float* x, float* center, float* scale, float* shift, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) SumReluRow(sum, sumX, dy + o, x + o, center, scale, shift, (int)Math.Min(width, count - o));
    }

    /// <summary>The same with dz = dy where y is above 0; writes dz.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SumMasked(float* sum, float* sumX, float* dz, float* dy, float* y, float* x, float* center, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) SumMaskedRow(sum, sumX, dz + o, dy + o, y + o, x + o, center, (int)Math.Min(width, count - o));
    }

    /// <summary>dx = γr·dz − a − b·(x−μ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Input(float* dx, float* dz, float* x, float* center, float* scale, float* a, float* b, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) InputRow(dx + o, dz + o, x + o, center, scale, a, b, (int)Math.Min(width, count - o));
    }

    /// <summary>The same with dz = dy where y, worked out again from x, is above 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void InputRelu(float* dx, float* dy, float* x, float* center, float* scale, float* shift, float* a, float* b, nint count, int width)
    {
        for (nint o = 0; o < count; o += width) InputReluRow(dx + o, dy + o, x + o, center, scale, shift, a, b, (int)Math.Min(width, count - o));
    }

    /// <summary>Mean and M₂ of 16 channels from those of the blocks (Chan), in F64; what lies past the last channel is not used.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MergeMoments(double* mean, double* m2, float* partial, ChannelFold fold, int rows)
    {
        nint width = fold.Width, stride = 3 * width;
        Vector512<double> low = default, high = default;
        for (var b = 0; b < fold.Blocks; b++)
        {
            var (m, n) = (Vector512.Load(partial + b * stride), Vector512.Create((double)fold.RowsOf(b)));
            low += Vector512.WidenLower(m) * n;
            high += Vector512.WidenUpper(m) * n;
        }
        var (lowMean, highMean) = (low / rows, high / rows);
        low = high = default;
        for (var b = 0; b < fold.Blocks; b++)
        {
            var (m, n) = (Vector512.Load(partial + b * stride), Vector512.Create((double)fold.RowsOf(b)));
            var d2 = Vector512.Load(partial + b * stride + 2 * width);
            var (lowDelta, highDelta) = (Vector512.WidenLower(m) - lowMean, Vector512.WidenUpper(m) - highMean);
            low += Vector512.WidenLower(d2) + lowDelta * lowDelta * n;
            high += Vector512.WidenUpper(d2) + highDelta * highDelta * n;
        }
        lowMean.Store(mean);
        highMean.Store(mean + 8);
        low.Store(m2);
        high.Store(m2 + 8);
    }

    /// <summary>Σ dz and Σ dz·(x−μ) of 16 channels over the blocks, in F64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MergeSums(double* sum, double* sumX, float* partial, ChannelFold fold)
    {
        nint width = fold.Width;
        Vector512<double> low = default, high = default, lowX = default, highX = default;
        for (var b = 0; b < fold.Blocks; b++, partial += 2 * width)
        {
            var (s, sx) = (Vector512.Load(partial), Vector512.Load(partial + width));
            low += Vector512.WidenLower(s);
            high += Vector512.WidenUpper(s);
            lowX += Vector512.WidenLower(sx);
            highX += Vector512.WidenUpper(sx);
        }
        low.Store(sum);
        high.Store(sum + 8);
        lowX.Store(sumX);
        highX.Store(sumX + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow(float* sum, float* x, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) (Vector512.Load(sum + i) + Vector512.Load(x + i)).Store(sum + i);
        for (; i < n; i++) sum[i] += x[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MomentsRow(float* d1, float* d2, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            (Vector512.Load(d1 + i) + d).Store(d1 + i);
            Vector512.FusedMultiplyAdd(d, d, Vector512.Load(d2 + i)).Store(d2 + i);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            d1[i] += d;
            d2[i] += d * d;
        }
    }

    // x−μ first: γr·x + (β−μγr) would cancel where |μ| ≫ σ, and the subtraction is free in a loop that waits for memory.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NormalizeRow(float* y, float* x, float* center, float* scale, float* shift, float floor, int n)
    {
        var low = Vector512.Create(floor);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var v = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Vector512.Max(v, low).Store(y + i);
        }
        for (; i < n; i++) y[i] = MathF.Max(MathF.FusedMultiplyAdd(x[i] - center[i], scale[i], shift[i]), floor);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NormalizeAddRow(float* y, float* x, float* residual, float* center, float* scale, float* shift, float floor, int n)
    {
        var low = Vector512.Create(floor);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var v = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i)) + Vector512.Load(residual + i);
            Vector512.Max(v, low).Store(y + i);
        }
        for (; i < n; i++) y[i] = MathF.Max(MathF.FusedMultiplyAdd(x[i] - center[i], scale[i], shift[i]) + residual[i], floor);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SumRow(float* sum, float* sumX, float* dy, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) Accumulate(sum + i, sumX + i, Vector512.Load(dy + i), Vector512.Load(x + i) - Vector512.Load(center + i));
        for (; i < n; i++)
        {
            sum[i] += dy[i];
            sumX[i] += dy[i] * (x[i] - center[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SumReluRow(float* sum, float* sumX, float* dy, float* x, float* center, float* scale, float* shift, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var y = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Accumulate(sum + i, sumX + i, Positive(y, Vector512.Load(dy + i)), d);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            if (!(MathF.FusedMultiplyAdd(d, scale[i], shift[i]) > 0)) continue;
            sum[i] += dy[i];
            sumX[i] += dy[i] * d;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SumMaskedRow(float* sum, float* sumX, float* dz, float* dy, float* y, float* x, float* center, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var z = Positive(Vector512.Load(y + i), Vector512.Load(dy + i));
            z.Store(dz + i);
            Accumulate(sum + i, sumX + i, z, Vector512.Load(x + i) - Vector512.Load(center + i));
        }
        for (; i < n; i++)
        {
            dz[i] = y[i] > 0 ? dy[i] : 0f;
            sum[i] += dz[i];
            sumX[i] += dz[i] * (x[i] - center[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InputRow(float* dx, float* dz, float* x, float* center, float* scale, float* a, float* b, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            Gradient(Vector512.Load(dz + i), d, scale + i, a + i, b + i).Store(dx + i);
        }
        for (; i < n; i++) dx[i] = scale[i] * dz[i] - a[i] - b[i] * (x[i] - center[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void InputReluRow(
        float* dx, float* dy, float* x, float* center, float* scale, float* shift, float* a, float* b, int n)
    {
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - Vector512.Load(center + i);
            var y = Vector512.FusedMultiplyAdd(d, Vector512.Load(scale + i), Vector512.Load(shift + i));
            Gradient(Positive(y, Vector512.Load(dy + i)), d, scale + i, a + i, b + i).Store(dx + i);
        }
        for (; i < n; i++)
        {
            var d = x[i] - center[i];
            var dz = MathF.FusedMultiplyAdd(d, scale[i], shift[i]) > 0 ? dy[i] : 0f;
            dx[i] = scale[i] * dz - a[i] - b[i] * d;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Positive(Vector512<float> y, Vector512<float> dy) =>
        Vector512.ConditionalSelect(Vector512.GreaterThan(y, Vector512<float>.Zero), dy, Vector512<float>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Gradient(Vector512<float> dz, Vector512<float> d, float* scale, float* a, float* b) =>
        Vector512.FusedMultiplyAdd(-Vector512.Load(b), d, Vector512.FusedMultiplyAdd(Vector512.Load(scale), dz, -Vector512.Load(a)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(float* sum, float* sumX, Vector512<float> dz, Vector512<float> d)
    {
        (Vector512.Load(sum) + dz).Store(sum);
        Vector512.FusedMultiplyAdd(dz, d, Vector512.Load(sumX)).Store(sumX);
    }
}
