namespace Plip.Engine;

/// <summary>A window on pictures in F32, zero outside them; the pictures themselves where the window is all of them and they are F32.</summary>
internal sealed unsafe class PaddedPictures : IDisposable
{
    private readonly Storage? _copy;

    private PaddedPictures(float* at, int n, int h, int w, int c, Storage? copy)
    {
        At = at;
        (N, H, W, C, _copy) = (n, h, w, c, copy);
    }

    public int N { get; }

    public int H { get; }

    public int W { get; }

    public int C { get; }

    public float* At { get; }

    /// <param name="top">Row of the source that becomes row 0 (negative: padding above).</param>
    /// <param name="left">The same for columns.</param>
    public static PaddedPictures Of<V, T>(CpuDevice cpu, T* x, int n, int h, int w, int c, int top, int rows, int left, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (typeof(T) == typeof(F32) && top == 0 && left == 0 && rows == h && cols == w) return new PaddedPictures((float*)x, n, h, w, c, null);
        var copy = cpu.Allocate((long)n * rows * cols * c * sizeof(float), "Convolution");
        var to = (float*)copy.Pointer;
        int begin = Math.Clamp(-left, 0, cols), end = Math.Clamp(w - left, begin, cols);
        cpu.ForRange((long)n * rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols * c)), (a, b) =>
        {
            for (var line = a; line < b; line++)
            {
                var (image, row) = Math.DivRem(line, rows);
                var source = row + top;
                var target = to + line * cols * c;
                if (source < 0 || source >= h)
                {
                    new Span<float>(target, cols * c).Clear();
                    continue;
                }
                new Span<float>(target, begin * c).Clear();
                Rows.Widen<V, T>(target + begin * c, x + ((image * h + source) * w + left + begin) * c, (long)(end - begin) * c);
                new Span<float>(target + (long)end * c, (cols - end) * c).Clear();
            }
        });
        return new PaddedPictures(to, n, rows, cols, c, copy);
    }

    public void Dispose() => _copy?.Release("the convolution was done");
}
