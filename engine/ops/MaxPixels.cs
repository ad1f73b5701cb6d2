using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Global max pooling of pictures (N, H, W, C).
//   forward   y_n = max_p x_np
//   backward  dx_np = dy_n at the first largest pixel, else 0
//   saved     its number, as F32
// Cost: x read once, or dx written once without being read: 4 bytes an element in F32.
public static partial class Ops
{
    /// <summary>Largest value over the pixels of each picture (global max pooling): x (N, H, W, C) → (N, C). A NaN wins. F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not four-dimensional or has no pixels or more than 2²⁴.</exception>
    public static Tensor MaxPixels(Tensor x)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(x.Shape[1] * x.Shape[2] > 0, $"pictures {x.Shape} have no pixels");
        Require.That(x.Shape[1] * x.Shape[2] <= 1 << 24, $"an F32 counts no further than 2^24 pixels, got pictures {x.Shape}");
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], x.Cols), x.DType);
        var at = Tensor.Empty(x.Device, y.Shape);
        y.Device.Run(x.DType, new MaxPixelsForward(y, at, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(x.DType, new MaxPixelsBackward(dx, dy, at));
            return [dx];
        }, [at]);
    }
}

file readonly unsafe struct MaxPixelsForward(Tensor y, Tensor at, Tensor x) : IKernel
{
    public Work Work => Work.On("max_pixels_forward", 1, x, y, at);

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new ColumnTiles(type, x.Cols, y, x);
        gpu.Launch(
            "max_pixels", "max_pixels_forward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(x.Shape[0]), y, at, x, x.Shape[1] * x.Shape[2], x.Cols);
    }

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

file readonly unsafe struct MaxPixelsBackward(Tensor dx, Tensor dy, Tensor at) : IKernel
{
    public Work Work => Work.On("max_pixels_backward", 1, dx, dy, at);

    public void Run(CudaDevice gpu, DType type)
    {
        var (pictures, tiles) = (new PictureTiles(dx), new ColumnTiles(type, dx.Cols, dx, dy));
        gpu.Launch(
            "max_pixels", "max_pixels_backward", [("TYPE", type), ("PACK", tiles.Pack), ("LANES", tiles.Lanes)],
            tiles.Over(pictures.All), dx, dy, at, pictures.Pixels, dx.Cols, pictures.Blocks, pictures.PerBlock);
    }

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
