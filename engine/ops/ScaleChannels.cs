using System.Runtime.CompilerServices;

namespace Plip.Engine;

// A factor for each channel of each picture (N, H, W, C): squeeze-and-excitation.   Hu et al., arXiv:1709.01507
//   forward   y_np = x_np ⊙ s_n
//   backward  dx_np = dy_np ⊙ s_n,  ds_n = Σ_p dy_np ⊙ x_np
//   saved     x, s
//   order     pixels are summed in F32 in fixed blocks, the blocks' sums in order: the same bits for any number of threads
// Cost: one pass, 8 bytes an element in F32. The backward reads dy and x once for both gradients: 12 bytes. Large results are streamed.
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
        y.Device.Run(x.DType, new ScaleChannelsForward(y, x, s));
        return Tape.Record(y, [x, s], dy =>
        {
            var dx = x.NeedsGrad ? Tensor.Like(x) : null;
            if (!s.NeedsGrad)
            {
                dx!.Device.Run(x.DType, new ScaleChannelsForward(dx, dy, s));
                return [dx, null];
            }
            var ds = Tensor.Like(s);
            ds.Device.Run(x.DType, new ScaleChannelsBackward(dx, ds, dy, x, s));
            return [dx, ds];
        });
    }
}

file readonly unsafe struct ScaleChannelsForward(Tensor y, Tensor x, Tensor s) : IKernel
{
    public Work Work => Work.On("scale_channels_forward", 1, y, x, s);

    public void Run(CudaDevice gpu, DType type)
    {
        var (pictures, tiles) = (new PictureTiles(x), new ColumnTiles(type, x.Cols, y, x, s));
        gpu.Launch(
            "scale_channels", "scale_channels_forward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(pictures.All), y, x, s, pictures.Pixels, x.Cols, pictures.Blocks, pictures.PerBlock);
    }

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

file readonly unsafe struct ScaleChannelsBackward(Tensor? dx, Tensor ds, Tensor dy, Tensor x, Tensor s) : IKernel
{
    public Work Work => Work.On("scale_channels_backward", 3, dy, x, dx);

    public void Run(CudaDevice gpu, DType type)
    {
        var (pictures, tiles) = (new PictureTiles(x), new ColumnTiles(type, x.Cols, dx, ds, dy, x, s));
        using var partial = PixelSums.Partial(gpu, pictures, x.Cols);
        gpu.Launch(
            "scale_channels", "scale_channels_backward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(pictures.All), dx, ds, PixelSums.OrNull(partial, pictures), dy, x, s,
            pictures.Pixels, x.Cols, pictures.Blocks, pictures.PerBlock);
        PixelSums.Total(gpu, type, ds, partial, pictures, 1f);
    }

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
