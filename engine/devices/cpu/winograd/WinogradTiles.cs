using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>Pictures (N, h, w, C) cut into the tiles of an algorithm; what a tile reads outside its picture is zero.</summary>
/// <param name="first">Row and column of the first tile's first input; negative in the padding.</param>
/// <param name="rows">Rows of tiles a picture has.</param>
/// <param name="cols">Columns of tiles.</param>
internal readonly unsafe struct WinogradTiles<V, T>(T* x, int h, int w, int c, int first, int rows, int cols)
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    /// <summary>
    /// The transformed inputs of tile <paramref name="tile"/>, channels <paramref name="channel"/> to +<paramref name="count"/>:
    /// each product's at <paramref name="to"/> + product · <paramref name="plane"/>, a vector of channels every <paramref name="step"/> floats.
    /// </summary>
    /// <remarks>A loads of a vector for each input, a store for each product, and twice as many to and from L1 between the axes.</remarks>
    [SkipLocalsInit]
    public void Input<A>(int tile, int channel, int count, float* to, nint plane, nint step) where A : struct, IWinogradAxis
    {
        var (line, col) = Math.DivRem(tile, cols);
        var (n, row) = Math.DivRem(line, rows);
        int top = first + row * A.Step, left = first + col * A.Step, inputs = A.Inputs;
        var inside = top >= 0 && left >= 0 && top + inputs <= h && left + inputs <= w;
        float* patch = stackalloc float[A.Inputs * A.Inputs * V.Count + CacheLines.Slack];
        patch = CacheLines.Aligned(patch);
        float* half = stackalloc float[A.Points * A.Inputs * V.Count + CacheLines.Slack];
        half = CacheLines.Aligned(half);
        T* at = x + (((nint)n * h + top) * w + left) * c + channel;
        for (var i = 0; i < count; i += V.Count, at += V.Count, to += step)
        {
            AskBelow(at, A.Inputs, A.Step);
            if (inside && typeof(T) == typeof(F32))
            {
                Transform<A>((float*)at, (nint)w * c, c, half, to, plane);
                continue;
            }
            Gather(at, top, left, inputs, patch);
            Transform<A>(patch, A.Inputs * V.Count, V.Count, half, to, plane);
        }
    }

    private void Gather(T* at, int top, int left, int size, float* patch)
    {
        for (var i = 0; i < size; i++)
            for (var j = 0; j < size; j++, patch += V.Count)
            {
                var there = (uint)(top + i) < (uint)h && (uint)(left + j) < (uint)w;
                (there ? T.Load<V>(at + ((nint)i * w + j) * c) : default).Store(patch);
            }
    }

    /// <summary>
    /// Asks for the pixels that the tile below reads or writes and this one does not: a line of tiles is time enough. Tiles jump from line to line, which
    /// the processor does not foresee, and waiting for memory cost a third of the time. Below a picture lies the next.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AskBelow(T* at, int from, int count)
    {
        if (!Sse.IsSupported) return;
        for (var i = 0; i < count; i++)
            for (var j = 0; j < count; j++) Sse.Prefetch1(at + ((nint)(from + i) * w + j) * c);
    }

    private static void Transform<A>(float* x, nint row, nint col, float* half, float* to, nint plane) where A : struct, IWinogradAxis
    {
        for (var j = 0; j < A.Inputs; j++) A.Input<V>(x + j * col, row, half + j * V.Count, A.Inputs * V.Count);
        for (var i = 0; i < A.Points; i++) A.Input<V>(half + i * A.Inputs * V.Count, V.Count, to + i * A.Points * plane, plane);
    }

    /// <summary>What the outputs' gradient is multiplied with, for the filters' gradient; x is dy then. As <see cref="Input"/>.</summary>
    [SkipLocalsInit]
    public void OutputGradient<A>(int tile, int channel, int count, float* to, nint plane, nint step) where A : struct, IWinogradGradientAxis
    {
        var (line, col) = Math.DivRem(tile, cols);
        var (n, row) = Math.DivRem(line, rows);
        int top = row * A.Outputs, left = col * A.Outputs;
        float* patch = stackalloc float[A.Outputs * A.Outputs * V.Count + CacheLines.Slack];
        patch = CacheLines.Aligned(patch);
        float* half = stackalloc float[A.Points * A.Outputs * V.Count + CacheLines.Slack];
        half = CacheLines.Aligned(half);
        T* at = x + (((nint)n * h + top) * w + left) * c + channel;
        for (var i = 0; i < count; i += V.Count, at += V.Count, to += step)
        {
            AskBelow(at, A.Outputs, A.Outputs);
            Gather(at, top, left, A.Outputs, patch);
            for (var j = 0; j < A.Outputs; j++) A.OutputGradient<V>(patch + j * V.Count, A.Outputs * V.Count, half + j * V.Count, A.Outputs * V.Count);
            for (var r = 0; r < A.Points; r++) A.OutputGradient<V>(half + r * A.Outputs * V.Count, V.Count, to + r * A.Points * plane, plane);
        }
    }

    /// <summary>Outputs of a tile, channels <paramref name="channel"/> to +<paramref name="count"/>, from its products, plus a bias; x is y then.</summary>
    /// <param name="products">As many floats of each product, <paramref name="plane"/> floats apart.</param>
    /// <param name="bias">All channels', or null.</param>
    [SkipLocalsInit]
    public void Output<A>(int tile, int channel, int count, float* products, nint plane, float* bias) where A : struct, IWinogradAxis
    {
        var (line, col) = Math.DivRem(tile, cols);
        var (n, row) = Math.DivRem(line, rows);
        int top = row * A.Outputs, left = col * A.Outputs, high = Math.Min(A.Outputs, h - top), wide = Math.Min(A.Outputs, w - left);
        float* half = stackalloc float[A.Outputs * A.Points * V.Count + CacheLines.Slack];
        half = CacheLines.Aligned(half);
        float* made = stackalloc float[A.Outputs * V.Count + CacheLines.Slack];
        made = CacheLines.Aligned(made);
        T* at = x + (((nint)n * h + top) * w + left) * c + channel;
        for (var k = 0; k < count; k += V.Count, products += V.Count, at += V.Count)
        {
            AskBelow(at, A.Outputs, A.Outputs);
            for (var j = 0; j < A.Points; j++) A.Output<V>(products + j * plane, A.Points * plane, half + j * V.Count, A.Points * V.Count);
            var add = bias == null ? default : V.Load(bias + channel + k);
            var to = at;
            for (var i = 0; i < high; i++, to += (nint)w * c)
            {
                A.Output<V>(half + i * A.Points * V.Count, V.Count, made, V.Count);
                for (var j = 0; j < wide; j++) T.Store(V.Load(made + j * V.Count) + add, to + (nint)j * c);
            }
        }
    }
}
