using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Larger pictures (N, H, W, C).
//   nearest   y[i, j] = x[⌊i/f⌋, ⌊j/f⌋];  dx = Σ dy over its f×f pixels
//   bilinear  source = (i+½)·H/outH − ½, at least 0; y = the four neighbours by distance (align_corners=false, no antialiasing)
//   backward  each input pixel gathers from the outputs that read it, rows first and then columns: no two threads write one place
//   saved     nothing
// Cost: one pass over the larger picture; its rows are independent tasks. A pixel is mixed in registers, four vectors abreast.
public static partial class Ops
{
    /// <summary>Each pixel becomes factor×factor: (N, H, W, C) → (N, H·f, W·f, C). F32 or BF16.</summary>
    /// <exception cref="ArgumentException">x is not rank 4, or factor is below 1.</exception>
    public static Tensor UpsampleNearest2d(Tensor x, int factor)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(factor >= 1, $"expected a factor of at least 1, got {factor}");
        return Upsample(x, UpsampleAxis.Nearest(x.Shape[1], factor), UpsampleAxis.Nearest(x.Shape[2], factor), nameof(UpsampleNearest2d));
    }

    /// <summary>Bilinear interpolation by PyTorch's rule for align_corners=false: (N, H, W, C) → (N, outH, outW, C). F32 or BF16.</summary>
    /// <remarks>Also makes pictures smaller, but then skips pixels as PyTorch does without antialiasing.</remarks>
    /// <exception cref="ArgumentException">x is not rank 4 or empty, or an output extent is below 1.</exception>
    public static Tensor UpsampleBilinear2d(Tensor x, int outH, int outW)
    {
        Require.Rank(x, 4, "pictures (N, H, W, C)");
        Require.That(outH >= 1 && outW >= 1 && x.Shape[1] >= 1 && x.Shape[2] >= 1, $"expected extents of at least 1, got {x.Shape} to {outH}x{outW}");
        return Upsample(x, UpsampleAxis.Bilinear(x.Shape[1], outH), UpsampleAxis.Bilinear(x.Shape[2], outW), nameof(UpsampleBilinear2d));
    }

    private static Tensor Upsample(Tensor x, UpsampleAxis rows, UpsampleAxis columns, string op)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Shape[0], rows.Taps.Count, columns.Taps.Count, x.Shape[3]), x.DType, op);
        y.Device.Run(x.DType, cpu: new UpsampleKernel("upsample_forward", y, x, rows.Taps, columns.Taps));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(x.DType, cpu: new UpsampleKernel("upsample_backward", dx, dy, rows.Turned, columns.Turned));
            return [dx];
        }, op: op);
    }
}

/// <summary>For each position of the result, the positions of the source it is mixed from and their weights; and the reverse.</summary>
internal readonly record struct UpsampleAxis(UpsampleTaps Taps, UpsampleTaps Turned)
{
    public static UpsampleAxis Nearest(int size, int factor)
    {
        var taps = new (int, float)[checked(size * factor)][];
        for (var i = 0; i < taps.Length; i++) taps[i] = [(i / factor, 1f)];
        return From(taps, size);
    }

    public static UpsampleAxis Bilinear(int size, int outSize)
    {
        var taps = new (int, float)[outSize][];
        for (var i = 0; i < outSize; i++)
        {
            var at = Math.Max(0, (i + 0.5) * size / outSize - 0.5);
            var low = Math.Min((int)at, size - 1);
            var high = (float)(at - low);
            taps[i] = low == size - 1 || high == 0 ? [(low, 1f)] : [(low, 1 - high), (low + 1, high)];
        }
        return From(taps, size);
    }

    private static UpsampleAxis From((int At, float Weight)[][] taps, int size)
    {
        var turned = new List<(int, float)>[size];
        for (var i = 0; i < size; i++) turned[i] = [];
        for (var i = 0; i < taps.Length; i++)
            foreach (var (at, weight) in taps[i]) turned[at].Add((i, weight));
        return new UpsampleAxis(new UpsampleTaps(taps), new UpsampleTaps(turned));
    }
}

/// <summary>Lists of (position, weight), one after another.</summary>
internal sealed class UpsampleTaps
{
    public UpsampleTaps(IReadOnlyList<IReadOnlyList<(int At, float Weight)>> lists)
    {
        Start = new int[lists.Count + 1];
        for (var i = 0; i < lists.Count; i++) Start[i + 1] = Start[i] + lists[i].Count;
        (At, Weight) = (new int[Start[^1]], new float[Start[^1]]);
        for (var i = 0; i < lists.Count; i++)
            for (var k = 0; k < lists[i].Count; k++) (At[Start[i] + k], Weight[Start[i] + k]) = lists[i][k];
    }

    /// <summary>Number of lists.</summary>
    public int Count => Start.Length - 1;

    /// <summary>List i runs from Start[i] to Start[i + 1].</summary>
    public int[] Start { get; }

    /// <summary>Position of each tap in the source.</summary>
    public int[] At { get; }

    /// <summary>Weight of each tap.</summary>
    public float[] Weight { get; }
}

/// <summary>y[i, j] = Σ rows[i] Σ columns[j] weight·weight·x: forward, and with the turned taps backward.</summary>
file readonly unsafe struct UpsampleKernel(string name, Tensor y, Tensor x, UpsampleTaps rows, UpsampleTaps columns) : ICpuKernel
{
    public Work Work => Work.On(name, 2, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        int h = x.Shape[1], w = x.Shape[2], c = x.Shape[3];
        var (rowTaps, columnTaps) = (rows, columns);
        if ((long)rows.Count * columns.Count < (long)h * w)
        {
            // Rows that follow each other share half of what they read: four to a task find it in L2.
            cpu.ForRange(y.Shape[0] * rowTaps.Count, 4, (from, to) =>
            {
                for (var r = from; r < to; r++)
                    Gather<V, T>(
                        py + r * columnTaps.Count * c, px + r / rowTaps.Count * h * w * c, rowTaps, (int)(r % rowTaps.Count), columnTaps, w, c);
            });
            return;
        }
        long outH = rows.Count, outW = columns.Count, larger = Math.Max(outH * outW, (long)h * w) * c;
        cpu.ForRange(y.Shape[0] * outH, Math.Max(1, CpuDevice.Grain * outH / Math.Max(1, larger)), (from, to) =>
        {
            for (var r = from; r < to; r++) Row<V, T>(py + r * outW * c, px + r / outH * h * w * c, rowTaps, (int)(r % outH), columnTaps, w, c);
        });
    }

    /// <summary>
    /// A row of a smaller result: the source's rows are summed first, a piece of a row at a time, then that sum's columns. A
    /// pixel at a time, each element of the source would be read once for every pixel that it reaches.
    /// </summary>
    private static void Gather<V, T>(T* y, T* picture, UpsampleTaps rows, int row, UpsampleTaps columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        const int Piece = 4096; // floats: 16 KB of L1
        var line = w * c;
        var sum = TaskMemory.Take(line);
        for (nint from = 0; from < line; from += Piece)
        {
            var count = Math.Min(Piece, line - from);
            new Span<float>(sum + from, (int)count).Clear();
            int k = rows.Start[row], end = rows.Start[row + 1];
            for (; k < end - 1; k += 2)
                AddTwo<V, T>(sum + from, picture + rows.At[k] * line + from, picture + rows.At[k + 1] * line + from, rows.Weight[k], rows.Weight[k + 1], count);
            if (k < end) AddTwo<V, T>(sum + from, picture + rows.At[k] * line + from, null, rows.Weight[k], 0f, count);
        }
        var (first, whole) = (0, 1f); // a single row, as it is
        fixed (int* at = columns.At)
        fixed (float* weight = columns.Weight)
            for (var j = 0; j < columns.Count; j++, y += c)
            {
                int b = columns.Start[j], wide = columns.Start[j + 1] - b;
                Pixel<V, F32, T>(y, new Mix<F32>((F32*)sum, w, c, &first, &whole, 1, at + b, weight + b, wide), c);
            }
    }

    /// <summary>sum += by·x + byNext·next, where there is a next.</summary>
    /// <remarks>A method of its own: with the pixels' loops in one it is more than the JIT inlines.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AddTwo<V, T>(float* sum, T* x, T* next, float by, float byNext, nint count)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (next == null) Loop.Run<V, AddScaled<T>>(new(sum, x, by), 0, count);
        else Loop.Run<V, AddScaledTwo<T>>(new(sum, x, next, by, byNext), 0, count);
    }

    private readonly struct AddScaled<T>(float* sum, T* x, float by) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => V.Fma(T.Load<V>(x + i), V.Create(by), V.Load(sum + i)).Store(sum + i);
    }

    private readonly struct AddScaledTwo<T>(float* sum, T* x, T* next, float by, float byNext) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var v = V.Fma(T.Load<V>(x + i), V.Create(by), V.Load(sum + i));
            V.Fma(T.Load<V>(next + i), V.Create(byNext), v).Store(sum + i);
        }
    }

    private static void Row<V, T>(T* y, T* picture, UpsampleTaps rows, int row, UpsampleTaps columns, nint w, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int a = rows.Start[row], high = rows.Start[row + 1] - a;
        fixed (int* rowAt = rows.At, columnAt = columns.At)
        fixed (float* rowWeight = rows.Weight, columnWeight = columns.Weight)
        {
            for (var j = 0; j < columns.Count; j++, y += c)
            {
                int b = columns.Start[j], wide = columns.Start[j + 1] - b;
                Pixel<V, T, T>(y, new Mix<T>(picture, w, c, rowAt + a, rowWeight + a, high, columnAt + b, columnWeight + b, wide), c);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pixel<V, T, TResult>(TResult* y, Mix<T> mix, int c)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TResult : unmanaged, IElement<TResult>
    {
        var i = 0;
        for (; i <= c - 4 * V.Count; i += 4 * V.Count) mix.Four<V, TResult>(y + i, i);
        for (; i <= c - V.Count; i += V.Count) mix.One<V, TResult>(y + i, i);
        if (i < c && c >= V.Count) mix.One<V, TResult>(y + c - V.Count, c - V.Count); // overlaps the one before
        else
            for (; i < c; i++) mix.One<Vec1, TResult>(y + i, i);
    }

    /// <summary>What one pixel is mixed from.</summary>
    private readonly struct Mix<T>(
        T* picture, nint w, nint c, int* rowAt, float* rowWeight, int high, int* columnAt, float* columnWeight, int wide)
        where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void One<V, TResult>(TResult* y, nint i)
            where V : struct, IVector<V>
            where TResult : unmanaged, IElement<TResult>
        {
            V sum = default;
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++)
                    sum = V.Fma(T.Load<V>(picture + (rowAt[a] * w + columnAt[b]) * c + i), V.Create(rowWeight[a] * columnWeight[b]), sum);
            TResult.Store(sum, y);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Four<V, TResult>(TResult* y, nint i)
            where V : struct, IVector<V>
            where TResult : unmanaged, IElement<TResult>
        {
            V s0 = default, s1 = default, s2 = default, s3 = default;
            for (var a = 0; a < high; a++)
                for (var b = 0; b < wide; b++)
                {
                    var x = picture + (rowAt[a] * w + columnAt[b]) * c + i;
                    var weight = V.Create(rowWeight[a] * columnWeight[b]);
                    s0 = V.Fma(T.Load<V>(x), weight, s0);
                    s1 = V.Fma(T.Load<V>(x + V.Count), weight, s1);
                    s2 = V.Fma(T.Load<V>(x + 2 * V.Count), weight, s2);
                    s3 = V.Fma(T.Load<V>(x + 3 * V.Count), weight, s3);
                }
            TResult.Store(s0, y);
            TResult.Store(s1, y + V.Count);
            TResult.Store(s2, y + 2 * V.Count);
            TResult.Store(s3, y + 3 * V.Count);
        }
    }
}
