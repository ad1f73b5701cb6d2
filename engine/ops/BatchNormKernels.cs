using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Per-channel μ, γr and β, each as wide as the <see cref="ChannelFold"/>: y = γr·(x−μ) + β.</summary>
internal readonly unsafe struct ChannelAffine(float* center, float* scale, float* shift)
{
    public float* Center { get; } = center;

    public float* Scale { get; } = scale;

    public float* Shift { get; } = shift;

    /// <summary>
    /// x−μ. Subtracted first, always: γr·x + (β−μγr) would cancel where |μ| ≫ σ, and the subtraction is free in a loop that
    /// waits for memory.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Deviation<V, T>(T* x, long c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => T.Load<V>(x) - V.Load(Center + c);

    /// <summary>y of a deviation; the same bits wherever it is worked out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Value<V>(V d, long c) where V : struct, IVector<V> => V.Fma(d, V.Load(Scale + c), V.Load(Shift + c));
}

/// <summary>The loops of batch norm (BatchNorm.cs). Partial sums of a block: two rows of <c>cols</c> floats.</summary>
internal static unsafe class BatchNormKernels
{
    /// <summary>Channels whose blocks are merged by one task.</summary>
    public const int MergeCols = 16;

    /// <summary>Fills 3 × the fold's width floats from vectors of so many channels.</summary>
    public static ChannelAffine Affine(float* at, ChannelFold fold, int cols, float* mean, float* rstd, float* gamma, float* beta)
    {
        float* center = at, scale = center + fold.Width, shift = scale + fold.Width;
        for (var c = 0; c < cols; c++) scale[c] = gamma[c] * rstd[c];
        fold.Repeat(mean, center);
        fold.Repeat(scale, scale);
        fold.Repeat(beta, shift);
        return new ChannelAffine(center, scale, shift);
    }

    /// <summary>Mean and Σ of squared deviations of a block's channels.</summary>
    public static void Moments<V, T>(float* partial, T* x, ChannelBlock block)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        float* center = stackalloc float[3 * block.Width], d1 = center + block.Width, d2 = d1 + block.Width;
        new Span<float>(center, 3 * block.Width).Clear();
        // The head is read again from L1, or L2 where channels are many.
        var head = block.WideRows == 0 ? block : block with { WideRows = (block.WideRows + 7) / 8, Rest = 0 };
        // Long rows come with few pixels, from a convolution whose result is still in L3; short ones from memory as likely.
        var abreast = block.Width >= 512 ? 4 : 1;
        head.Fold<V, Total<T>>(new Total<T>(x), center, d1, abreast);
        head.Gather<V>(center);
        var one = (float)block.Cols / ((long)head.WideRows * block.Width + head.Rest);
        for (var c = 0; c < block.Cols; c++) center[c] *= one;
        for (var c = block.Cols; c < block.Width; c++) center[c] = center[c - block.Cols];
        block.Fold<V, Moment<T>>(new Moment<T>(x, center), d1, d2, abreast);
        block.Gather<V>(d1);
        block.Gather<V>(d2);
        float* mean = partial + 2L * block.Index * block.Cols, m2 = mean + block.Cols;
        for (var c = 0; c < block.Cols; c++)
        {
            var d = d1[c] / block.Rows;
            mean[c] = center[c] + d;
            m2[c] = d2[c] - d1[c] * d;
        }
    }

    /// <summary>Σ dz and Σ dz·(x−μ) of a block's channels.</summary>
    public static void Sums<V, TBody>(float* partial, TBody body, ChannelBlock block)
        where V : struct, IVector<V>
        where TBody : struct, IColumns
    {
        float* sum = stackalloc float[2 * block.Width], sumX = sum + block.Width;
        new Span<float>(sum, 2 * block.Width).Clear();
        block.Fold<V, TBody>(body, sum, sumX);
        block.Gather<V>(sum);
        block.Gather<V>(sumX);
        var to = partial + 2L * block.Index * block.Cols;
        new ReadOnlySpan<float>(sum, block.Cols).CopyTo(new Span<float>(to, block.Cols));
        new ReadOnlySpan<float>(sumX, block.Cols).CopyTo(new Span<float>(to + block.Cols, block.Cols));
    }

    /// <summary>Mean and Σ of squared deviations of n ≤ 16 channels from those of the blocks.</summary>
    public static void MergeMoments(double* mean, double* m2, float* partial, int n, int cols, ChannelFold fold, int rows)
    {
        new Span<double>(mean, n).Clear();
        new Span<double>(m2, n).Clear();
        var at = partial;
        for (var b = 0; b < fold.Blocks; b++, at += 2L * cols)
        {
            double count = fold.RowsOf(b);
            for (var c = 0; c < n; c++) mean[c] += count * at[c];
        }
        for (var c = 0; c < n; c++) mean[c] /= rows;
        at = partial;
        for (var b = 0; b < fold.Blocks; b++, at += 2L * cols)
        {
            double count = fold.RowsOf(b);
            for (var c = 0; c < n; c++)
            {
                var d = at[c] - mean[c];
                m2[c] += at[cols + c] + d * d * count;
            }
        }
    }

    /// <summary>Σ dz and Σ dz·(x−μ) of n ≤ 16 channels over the blocks.</summary>
    public static void MergeSums(double* sum, double* sumX, float* partial, int n, int cols, int blocks)
    {
        new Span<double>(sum, n).Clear();
        new Span<double>(sumX, n).Clear();
        for (var b = 0; b < blocks; b++, partial += 2L * cols)
            for (var c = 0; c < n; c++)
            {
                sum[c] += partial[c];
                sumX[c] += partial[cols + c];
            }
    }

    /// <summary>y = max(γr·(x−μ) + β, floor).</summary>
    public static void Normalize<V, T>(Target<T> y, T* x, ChannelAffine channels, float floor, nint count, int width)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (nint o = 0; o < count; o += width)
            Loop.Run<V, NormalizeLoop<T>>(new(y + o, x + o, channels, floor), 0, Math.Min(width, count - o));
    }

    /// <summary>y = max(γr·(x−μ) + β + residual, floor).</summary>
    public static void NormalizeAdd<V, T>(Target<T> y, T* x, T* residual, ChannelAffine channels, float floor, nint count, int width)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (nint o = 0; o < count; o += width)
            Loop.Run<V, NormalizeAddLoop<T>>(new(y + o, x + o, residual + o, channels, floor), 0, Math.Min(width, count - o));
    }

    /// <summary>dx = γr·dz − a − b·(x−μ).</summary>
    public static void Input<V, T>(Target<T> dx, T* dz, T* x, ChannelAffine channels, float* a, float* b, nint count, int width)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (nint o = 0; o < count; o += width)
            Loop.Run<V, InputLoop<T>>(new(dx + o, dz + o, x + o, channels, a, b), 0, Math.Min(width, count - o));
    }

    /// <summary>The same with dz = dy where y, worked out again from x, is above 0.</summary>
    public static void InputRelu<V, T>(Target<T> dx, T* dy, T* x, ChannelAffine channels, float* a, float* b, nint count, int width)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (nint o = 0; o < count; o += width)
            Loop.Run<V, InputReluLoop<T>>(new(dx + o, dy + o, x + o, channels, a, b), 0, Math.Min(width, count - o));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Gradient<V>(V dz, V d, float* scale, float* a, float* b) where V : struct, IVector<V> =>
        V.Fma(V.Load(scale), dz, -V.Fma(V.Load(b), d, V.Load(a)));

    private readonly struct NormalizeLoop<T>(Target<T> y, T* x, ChannelAffine channels, float floor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var v = channels.Value(channels.Deviation<V, T>(x + i, i), i);
            y.Store(V.MaxOr(V.Create(floor), v), i); // a NaN stays one
        }
    }

    private readonly struct NormalizeAddLoop<T>(Target<T> y, T* x, T* residual, ChannelAffine channels, float floor) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var v = channels.Value(channels.Deviation<V, T>(x + i, i), i) + T.Load<V>(residual + i);
            y.Store(V.MaxOr(V.Create(floor), v), i);
        }
    }

    private readonly struct InputLoop<T>(Target<T> dx, T* dz, T* x, ChannelAffine channels, float* a, float* b) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var d = channels.Deviation<V, T>(x + i, i);
            dx.Store(Gradient(T.Load<V>(dz + i), d, channels.Scale + i, a + i, b + i), i);
        }
    }

    private readonly struct InputReluLoop<T>(Target<T> dx, T* dy, T* x, ChannelAffine channels, float* a, float* b) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var d = channels.Deviation<V, T>(x + i, i);
            var dz = V.Where(V.Less(default, channels.Value(d, i)), T.Load<V>(dy + i));
            dx.Store(Gradient(dz, d, channels.Scale + i, a + i, b + i), i);
        }
    }

    /// <summary>a += x.</summary>
    private readonly struct Total<T>(T* x) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V> => a += T.Load<V>(x + i);
    }

    /// <summary>a += x−K, b += (x−K)².</summary>
    private readonly struct Moment<T>(T* x, float* center) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
        {
            var d = T.Load<V>(x + i) - V.Load(center + c);
            a += d;
            b = V.Fma(d, d, b);
        }
    }
}

/// <summary>a += dz, b += dz·(x−μ), dz = dy.</summary>
internal readonly unsafe struct SumPlain<T>(T* dy, T* x, ChannelAffine channels) : IColumns where T : unmanaged, IElement<T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
    {
        var dz = T.Load<V>(dy + i);
        a += dz;
        b = V.Fma(dz, channels.Deviation<V, T>(x + i, c), b);
    }
}

/// <summary>The same with dz = dy where y, worked out again from x, is above 0.</summary>
internal readonly unsafe struct SumRelu<T>(T* dy, T* x, ChannelAffine channels) : IColumns where T : unmanaged, IElement<T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
    {
        var d = channels.Deviation<V, T>(x + i, c);
        var dz = V.Where(V.Less(default, channels.Value(d, c)), T.Load<V>(dy + i));
        a += dz;
        b = V.Fma(dz, d, b);
    }
}

/// <summary>The same with dz = dy where y is above 0; writes dz.</summary>
internal readonly unsafe struct SumMasked<T>(Target<T> dz, T* dy, T* y, T* x, ChannelAffine channels) : IColumns where T : unmanaged, IElement<T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
    {
        var v = V.Where(V.Less(default, T.Load<V>(y + i)), T.Load<V>(dy + i));
        dz.Store(v, i);
        a += v;
        b = V.Fma(v, channels.Deviation<V, T>(x + i, c), b);
    }
}
