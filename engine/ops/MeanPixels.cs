using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Global average pooling of pictures (N, H, W, C).
//   forward   y_n = 1/P Σ_p x_np
//   backward  dx_np = dy_n / P
//   saved     nothing
//   order     pixels are summed in F32 in fixed blocks, the blocks' sums in order: the same bits for any number of threads
// Cost: x read once, or dx written once without being read: 4 bytes an element in F32.
public static partial class Ops
{
    /// <summary>Mean over the pixels of each picture (global average pooling): x (N, H, W, C) → (N, C). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels.</exception>
    public static Tensor MeanPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        var pixels = x.Shape[1] * x.Shape[2];
        Require.That(pixels > 0, $"pictures {x.Shape} have no pixels");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols), x.DType);
        y.Device.Run(x.DType, new MeanPixelsForward(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(x.DType, new MeanPixelsBackward(dx, dy));
            return [dx];
        });
    }
}

file readonly unsafe struct MeanPixelsForward(Tensor y, Tensor x) : IKernel
{
    public Work Work => Work.On("mean_pixels_forward", 1, x, y);

    public void Run(CudaDevice gpu, DType type)
    {
        var (pictures, tiles) = (new PictureTiles(x), new ColumnTiles(type, x.Cols, y, x));
        var scale = 1f / pictures.Pixels;
        using var partial = PixelSums.Partial(gpu, pictures, x.Cols);
        gpu.Launch(
            "mean_pixels", "mean_pixels_forward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(pictures.All), y, PixelSums.OrNull(partial, pictures), x,
            pictures.Pixels, x.Cols, pictures.Blocks, pictures.PerBlock, scale);
        PixelSums.Total(gpu, type, y, partial, pictures, scale);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var px = x.At<T>();
        var cols = x.Cols;
        PixelSums.Run<V, T>(cpu, y, x, 1f / (x.Shape[1] * x.Shape[2]), (_, from, count, sum, _) =>
            Add<V, T>(sum, px + from * cols, count, cols));
    }

    // A row after the other: four at a time would save loads of the sum, but reading in four places takes a third longer.
    private static void Add<V, T>(float* sum, T* x, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (; rows > 0; rows--, x += cols) Rows.AddTo<V, T>(sum, x, cols);
    }
}

file readonly unsafe struct MeanPixelsBackward(Tensor dx, Tensor dy) : IKernel
{
    public Work Work => Work.On("mean_pixels_backward", 1, dx, dy);

    public void Run(CudaDevice gpu, DType type)
    {
        var (pictures, tiles) = (new PictureTiles(dx), new ColumnTiles(type, dx.Cols, dx, dy));
        gpu.Launch(
            "mean_pixels", "mean_pixels_backward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(pictures.All), dx, dy, pictures.Pixels, dx.Cols, pictures.Blocks, pictures.PerBlock, 1f / pictures.Pixels);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var pdy = dy.At<T>();
        var (blocks, cols, to) = (new PixelBlocks(dx), dx.Cols, Target<T>.Of(dx, dx.Cols));
        var scale = 1f / blocks.Pixels;
        cpu.For(blocks.Count, task =>
        {
            var (n, from, count) = blocks[task];
            Pixels<V, T>(to + from * cols, pdy + (nint)n * cols, scale, count, cols);
        });
    }

    private static void Pixels<V, T>(Target<T> dx, T* dy, float scale, int count, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (; count > 0; count--, dx += cols) Columns.Each<V, Scaled<T>>(new(dx, dy, scale), cols);
    }

    private readonly struct Scaled<T>(Target<T> dx, T* dy, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => dx.Store(T.Load<V>(dy + i) * V.Create(scale), i);
    }
}
