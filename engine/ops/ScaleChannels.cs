using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Channels of pictures (N, H, W, C) as a whole: what squeeze-and-excitation and the visual head need.   Hu et al., arXiv:1709.01507
//   ScaleChannels  y_np = x_np ⊙ s_n           dx_np = dy_np ⊙ s_n,  ds_n = Σ_p dy_np ⊙ x_np     saved x, s
//   MeanPixels     y_n = 1/P Σ_p x_np          dx_np = dy_n / P
//   MaxPixels      y_n = max_p x_np            dx_np = dy_n at the first largest pixel, else 0    saved its number, as F32
//   order          pixels are summed in F32 in fixed blocks, the blocks' sums in order: the same bits for any number of threads
// Cost: one pass. The backward of ScaleChannels reads dy and x once for both gradients: 12 bytes an element in F32.
public static partial class Ops
{
    /// <summary>Multiplies each picture's channels by its own factors: x (N, H, W, C), s (N, C) → (N, H, W, C). All F32 or all BF16.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or s is not (N, C).</exception>
    public static Tensor ScaleChannels(Tensor x, Tensor s)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        var expected = new Shape(x.Shape[0], x.Cols);
        Require.That(s.Shape == expected, $"expected factors {expected} for pictures {x.Shape}, got {s.Shape}");
        Require.Type(s, x.DType);
        var y = Tensor.Like(x);
        y.Device.Run(x.DType, cpu: new ScaleChannelsForward(y, x, s));
        return Tape.Record(y, [x, s], dy =>
        {
            var dx = x.NeedsGrad ? Tensor.Like(x) : null;
            if (!s.NeedsGrad)
            {
                dx!.Device.Run(x.DType, cpu: new ScaleChannelsForward(dx, dy, s));
                return [dx, null];
            }
            var ds = Tensor.Like(s);
            ds.Device.Run(x.DType, cpu: new ScaleChannelsBackward(dx, ds, dy, x, s));
            return [dx, ds];
        });
    }

    /// <summary>Mean over the pixels of each picture (global average pooling): x (N, H, W, C) → (N, C). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels.</exception>
    public static Tensor MeanPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        var pixels = x.Shape[1] * x.Shape[2];
        Require.That(pixels > 0, $"pictures {x.Shape} have no pixels");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols), x.DType);
        y.Device.Run(x.DType, cpu: new MeanPixelsForward(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(x.DType, cpu: new MeanPixelsBackward(dx, dy));
            return [dx];
        });
    }

    /// <summary>Largest value over the pixels of each picture (global max pooling): x (N, H, W, C) → (N, C). A NaN wins. F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels or more than 2²⁴.</exception>
    public static Tensor MaxPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(x.Shape[1] * x.Shape[2] > 0, $"pictures {x.Shape} have no pixels");
        Require.That(x.Shape[1] * x.Shape[2] <= 1 << 24, $"an F32 counts no further than 2^24 pixels, got pictures {x.Shape}");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols), x.DType);
        var at = Tensor.Empty(x.Device, y.Shape);
        y.Device.Run(x.DType, cpu: new MaxPixelsForward(y, at, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(x.DType, cpu: new MaxPixelsBackward(dx, dy, at));
            return [dx];
        }, [at]);
    }
}

/// <summary>The fixed blocks of pixels that tasks take: of about 128 KB of F32, and never across two pictures.</summary>
file readonly struct PixelBlocks
{
    private readonly int _size;

    public PixelBlocks(Tensor x)
    {
        Pixels = x.Shape[1] * x.Shape[2];
        _size = Math.Max(16, 32768 / Math.Max(1, x.Cols));
        PerPicture = (Pixels + _size - 1) / _size;
        Count = x.Shape[0] * PerPicture;
    }

    public int Pixels { get; }

    public int PerPicture { get; }

    public int Count { get; }

    /// <summary>Picture, first pixel counted over all pictures, and number of pixels.</summary>
    public (int Picture, nint From, int Count) this[int block]
    {
        get
        {
            var (n, first) = (block / PerPicture, block % PerPicture * _size);
            return (n, (nint)n * Pixels + first, Math.Min(_size, Pixels - first));
        }
    }
}

file readonly unsafe struct ScaleChannelsForward(Tensor y, Tensor x, Tensor s) : ICpuKernel
{
    public Work Work => Work.On("scale_channels_forward", 1, y, x, s);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* px = x.At<T>(), ps = s.At<T>();
        var (blocks, cols, to) = (new PixelBlocks(x), x.Cols, Target<T>.Of(y, x.Cols));
        cpu.For(blocks.Count, task =>
        {
            var (n, from, count) = blocks[task];
            Pixels<V, T>(to + from * cols, px + from * cols, ps + (nint)n * cols, count, cols);
        });
    }

    private static void Pixels<V, T>(Target<T> y, T* x, T* s, int count, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (var p = 0; p < count; p++, y += cols, x += cols) Columns.Each<V, Product<T>>(new(y, x, s), cols);
    }

    private readonly struct Product<T>(Target<T> y, T* x, T* s) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => y.Store(T.Load<V>(x + i) * T.Load<V>(s + i), i);
    }
}

file readonly unsafe struct ScaleChannelsBackward(Tensor? dx, Tensor ds, Tensor dy, Tensor x, Tensor s) : ICpuKernel
{
    public Work Work => Work.On("scale_channels_backward", 3, dy, x, dx);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdy = dy.At<T>(), px = x.At<T>(), ps = s.At<T>();
        var cols = x.Cols;
        var to = dx == null ? default : Target<T>.Of(dx, cols);
        PixelSums.Run<V, T>(cpu, ds, x, 1f, (n, from, count, sum, spare) =>
        {
            if (to.At == null) Columns.Fold<V, Factor<T>>(new(pdy, px), sum, spare, from * cols, cols, count, cols);
            else Columns.Fold<V, FactorAndInput<T>>(new(to, pdy, px, ps + (nint)n * cols), sum, spare, from * cols, cols, count, cols);
        });
    }

    private readonly struct Factor<T>(T* dy, T* x) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V> =>
            a = V.Fma(T.Load<V>(dy + i), T.Load<V>(x + i), a);
    }

    private readonly struct FactorAndInput<T>(Target<T> dx, T* dy, T* x, T* s) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
        {
            var d = T.Load<V>(dy + i);
            dx.Store(d * T.Load<V>(s + c), i);
            a = V.Fma(d, T.Load<V>(x + i), a);
        }
    }
}

file readonly unsafe struct MeanPixelsForward(Tensor y, Tensor x) : ICpuKernel
{
    public Work Work => Work.On("mean_pixels_forward", 1, x, y);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var px = x.At<T>();
        var cols = x.Cols;
        PixelSums.Run<V, T>(cpu, y, x, 1f / (x.Shape[1] * x.Shape[2]), (_, from, count, sum, spare) =>
            Columns.Fold<V, Total<T>>(new(px), sum, spare, from * cols, cols, count, cols));
    }

    private readonly struct Total<T>(T* x) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V> => a += T.Load<V>(x + i);
    }
}

file readonly unsafe struct MeanPixelsBackward(Tensor dx, Tensor dy) : ICpuKernel
{
    public Work Work => Work.On("mean_pixels_backward", 1, dx, dy);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>();
        var (blocks, cols) = (new PixelBlocks(dx), dx.Cols);
        var scale = 1f / blocks.Pixels;
        cpu.For(blocks.Count, task =>
        {
            var (n, from, count) = blocks[task];
            var first = pdx + from * cols;
            Columns.Each<V, Scaled<T>>(new(first, pdy + (nint)n * cols, scale), cols);
            for (var p = 1; p < count; p++) new ReadOnlySpan<T>(first, cols).CopyTo(new Span<T>(first + (nint)p * cols, cols));
        });
    }

    private readonly struct Scaled<T>(T* dx, T* dy, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(dy + i) * V.Create(scale), dx + i);
    }
}

file readonly unsafe struct MaxPixelsForward(Tensor y, Tensor at, Tensor x) : ICpuKernel
{
    public Work Work => Work.On("max_pixels_forward", 1, x, y, at);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var pa = at.F32;
        int cols = x.Cols, pixels = x.Shape[1] * x.Shape[2];
        using var scratch = cpu.Scratch(y.Count);
        var best = scratch.At;
        cpu.For(x.Shape[0], n =>
        {
            var o = (nint)n * cols;
            new Span<float>(best + o, cols).Fill(float.NegativeInfinity);
            new Span<float>(pa + o, cols).Clear();
            Columns.Fold<V, Largest<T>>(new(px), best + o, pa + o, o * pixels, cols, pixels, cols);
            Columns.Each<V, Stored<T>>(new(py + o, best + o), cols);
        });
    }

    private readonly struct Largest<T>(T* x) : IColumns where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>
        {
            var v = T.Load<V>(x + i);
            var kept = V.Select(V.Less(a, v), default, V.Equal(v, v)); // v ≠ v: a NaN
            (a, b) = (V.Select(kept, a, v), V.Select(kept, b, V.Create(row)));
        }
    }

    private readonly struct Stored<T>(T* y, float* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Load(x + i), y + i);
    }
}

file readonly unsafe struct MaxPixelsBackward(Tensor dx, Tensor dy, Tensor at) : ICpuKernel
{
    public Work Work => Work.On("max_pixels_backward", 1, dx, dy, at);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>();
        var pa = at.F32;
        int cols = dx.Cols, pixels = dx.Shape[1] * dx.Shape[2];
        cpu.For(dx.Shape[0], n => Picture(pdx + (nint)n * pixels * cols, pdy + (nint)n * cols, pa + (nint)n * cols, pixels, cols));
    }

    // Clearing does not read what it overwrites, as a loop over all elements would: half the traffic.
    private static void Picture<T>(T* dx, T* dy, float* at, int pixels, int cols) where T : unmanaged, IElement<T>
    {
        for (var p = 0; p < pixels; p++) new Span<T>(dx + (nint)p * cols, cols).Clear();
        for (var c = 0; c < cols; c++) dx[(nint)at[c] * cols + c] = dy[c];
    }
}

file static unsafe class PixelSums
{
    /// <summary>Adds so many pixels of picture n to <paramref name="sum"/> (C); <paramref name="spare"/> is as long and nobody's.</summary>
    public delegate void Block(int n, nint from, int count, float* sum, float* spare);

    /// <summary>y_n = scale·Σ over the blocks of picture n, in order.</summary>
    public static void Run<V, T>(CpuDevice cpu, Tensor y, Tensor x, float scale, Block body)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (blocks, cols) = (new PixelBlocks(x), x.Cols);
        using var partial = cpu.Scratch(2L * blocks.Count * cols);
        var sums = partial.At;
        var py = y.At<T>();
        cpu.For(blocks.Count, task =>
        {
            var (n, from, count) = blocks[task];
            var sum = sums + 2L * task * cols;
            new Span<float>(sum, 2 * cols).Clear();
            body(n, from, count, sum, sum + cols);
        });
        cpu.For(x.Shape[0], n =>
        {
            var total = sums + 2L * n * blocks.PerPicture * cols;
            for (var b = 1; b < blocks.PerPicture; b++) Rows.AddTo<V, F32>(total, (F32*)(total + 2L * b * cols), cols);
            Columns.Each<V, Scaled<T>>(new(py + (nint)n * cols, total, scale), cols);
        });
    }

    private readonly struct Scaled<T>(T* y, float* x, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Load(x + i) * V.Create(scale), y + i);
    }
}
