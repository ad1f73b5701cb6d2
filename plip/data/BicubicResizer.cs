using System.Buffers;
using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Plip.Data;

/// <summary>
/// Bicubic resize, Keys' kernel with a = -0.5 (IEEE ASSP 29(6), 1981), widened by the scale when shrinking so that it also
/// averages: what PIL's BICUBIC and torchvision's antialiased resize do, and what PLIP was trained with.
/// </summary>
/// <remarks>
/// Maths: out(y,x) = Σ_j Σ_i v_j h_i in(y0+j, x0+i), taps normalised to sum 1. Separable; rows first, one output row at a
/// time, so the scratch is one row and stays in L1 whatever the picture's size. PIL rounds and clips to 8 bits between the
/// two passes and we do not: on crops of 40 pixels enlarged to 256×128, 82 % of the values are equal, 18 % differ by one
/// level, and 0.1 % by more (11 at most), where PIL clips an overshoot. Multiply and add are never fused: the bytes are
/// the same on every machine and vector width. Thread-safe.
/// </remarks>
public static class BicubicResizer
{
    private const int MaxCachedTaps = 1024; // sizes in crops vary without end; 1,024 tables of 256 outputs are about 10 MB
    private static readonly ConcurrentDictionary<(int, int), Taps> Cache = new();

    /// <summary>Resizes to <paramref name="height"/> × <paramref name="width"/>.</summary>
    /// <param name="source">The picture.</param>
    /// <param name="height">Output height.</param>
    /// <param name="width">Output width.</param>
    /// <param name="destination">height · width · 3 bytes, RGB; every byte is written.</param>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    public static void Resize(Picture source, int height, int width, Span<byte> destination) =>
        Resize(source.Rgb, source.Height, source.Width, height, width, destination);

    /// <summary>As above, of (sourceHeight, sourceWidth, 3) bytes.</summary>
    internal static void Resize(ReadOnlySpan<byte> source, int sourceHeight, int sourceWidth, int height, int width, Span<byte> destination)
    {
        if (destination.Length != 3 * height * width)
            throw new ArgumentException($"resizing to {height}x{width} writes {3 * height * width} bytes, got room for {destination.Length}", nameof(destination));
        if (sourceHeight == height && sourceWidth == width)
        {
            source.CopyTo(destination);
            return;
        }
        var (rows, columns) = (TapsFor(sourceHeight, height), TapsFor(sourceWidth, width));
        var stride = 3 * sourceWidth;
        // One float more than the row: a pixel is loaded as four floats, of which the fourth is not used.
        var scratch = ArrayPool<float>.Shared.Rent(stride + 1);
        var row = scratch.AsSpan(0, stride + 1);
        row[stride] = 0;
        for (var y = 0; y < height; y++)
        {
            var taps = rows.Of(y);
            WeightRows(row[..stride], source.Slice(rows.First[y] * stride, taps.Length * stride), taps);
            ResizeRow(row, columns, destination.Slice(y * 3 * width, 3 * width));
        }
        ArrayPool<float>.Shared.Return(scratch);
    }

    /// <summary>sum = Σ taps[k] · row k, all taps of some columns before the next columns: a sum is stored once.</summary>
    private static void WeightRows(Span<float> sum, ReadOnlySpan<byte> rows, ReadOnlySpan<float> taps)
    {
        ref var s = ref MemoryMarshal.GetReference(sum);
        ref var b = ref MemoryMarshal.GetReference(rows);
        var (stride, lanes) = (sum.Length, Vector<float>.Count);
        if (stride < Vector<byte>.Count)
        {
            for (var c = 0; c < stride; c++)
            {
                var at = taps[0] * rows[c];
                for (var k = 1; k < taps.Length; k++) at += taps[k] * rows[k * stride + c];
                sum[c] = at;
            }
            return;
        }
        for (var c = 0; c < stride; c += Vector<byte>.Count)
        {
            // The last columns again with those before them: the same sums, and no loop over single columns.
            var i = Math.Min(c, stride - Vector<byte>.Count);
            Vector<float> s0 = default, s1 = default, s2 = default, s3 = default;
            for (var k = 0; k < taps.Length; k++)
            {
                var w = new Vector<float>(taps[k]);
                Vector.Widen(Vector.LoadUnsafe(ref b, (nuint)(k * stride + i)), out var low, out var high);
                Vector.Widen(low, out var v0, out var v1);
                Vector.Widen(high, out var v2, out var v3);
                s0 += w * Vector.ConvertToSingle(Vector.AsVectorInt32(v0));
                s1 += w * Vector.ConvertToSingle(Vector.AsVectorInt32(v1));
                s2 += w * Vector.ConvertToSingle(Vector.AsVectorInt32(v2));
                s3 += w * Vector.ConvertToSingle(Vector.AsVectorInt32(v3));
            }
            s0.StoreUnsafe(ref s, (nuint)i);
            s1.StoreUnsafe(ref s, (nuint)(i + lanes));
            s2.StoreUnsafe(ref s, (nuint)(i + 2 * lanes));
            s3.StoreUnsafe(ref s, (nuint)(i + 3 * lanes));
        }
    }

    /// <summary>
    /// One row across, four pixels at once: a pixel is four lanes (R, G, B and the next R, dropped), two pixels are a vector. The four read
    /// equally many taps, of which those that a pixel has not weigh nothing: adding 0·x changes no bit.
    /// </summary>
    private static void ResizeRow(ReadOnlySpan<float> row, Taps columns, Span<byte> output)
    {
        var four = columns.Four;
        ref var first = ref MemoryMarshal.GetReference(row);
        Span<byte> last = stackalloc byte[16];
        for (var group = 0; 12 * group < output.Length; group++)
        {
            var (a, b, c, d) = (four.First[4 * group], four.First[4 * group + 1], four.First[4 * group + 2], four.First[4 * group + 3]);
            ref var weight = ref four.Weights[group * four.Count * 16];
            Vector256<float> sum01 = default, sum23 = default;
            for (var k = 0; k < four.Count; k++)
            {
                var at01 = Vector256.Create(Vector128.LoadUnsafe(ref first, (nuint)(a + 3 * k)), Vector128.LoadUnsafe(ref first, (nuint)(b + 3 * k)));
                var at23 = Vector256.Create(Vector128.LoadUnsafe(ref first, (nuint)(c + 3 * k)), Vector128.LoadUnsafe(ref first, (nuint)(d + 3 * k)));
                sum01 += at01 * Vector256.LoadUnsafe(ref weight, (nuint)(16 * k));
                sum23 += at23 * Vector256.LoadUnsafe(ref weight, (nuint)(16 * k + 8));
            }
            var (level01, level23) = (Levels(sum01), Levels(sum23));
            var pixels = Vector128.Narrow(Vector128.Narrow(level01.GetLower(), level01.GetUpper()), Vector128.Narrow(level23.GetLower(), level23.GetUpper()));
            var packed = Vector128.Shuffle(pixels, Vector128.Create((byte)0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255));
            // Sixteen bytes are written where twelve are wanted: the next group writes over the rest, and behind the last there is no room.
            if (12 * group + 16 <= output.Length)
            {
                packed.CopyTo(output[(12 * group)..]);
                continue;
            }
            packed.CopyTo(last);
            last[..Math.Min(12, output.Length - 12 * group)].CopyTo(output[(12 * group)..]);
        }
    }

    /// <summary>Rounded, from 0 to 255.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Levels(Vector256<float> sum) =>
        Vector256.ConvertToInt32Native(Vector256.MinNative(Vector256.MaxNative(sum, Vector256<float>.Zero), Vector256.Create(255f)) + Vector256.Create(.5f)).AsUInt32(); // no sum is infinite or not a number

    private static Taps TapsFor(int input, int output)
    {
        if (Cache.TryGetValue((input, output), out var taps)) return taps;
        if (Cache.Count >= MaxCachedTaps) Cache.Clear();
        return Cache[(input, output)] = new Taps(input, output);
    }

    /// <summary>For each output position the first input it reads and the weights of those that follow.</summary>
    private sealed class Taps
    {
        internal readonly int[] First;
        private readonly int[] start;
        private readonly float[] weights;
        private readonly int input;
        private FourTaps? four;

        internal Taps(int input, int output)
        {
            var scale = (double)input / output;
            var stretch = Math.Max(1, scale); // below 1 the kernel interpolates, above it must also average
            this.input = input;
            First = new int[output];
            start = new int[output + 1];
            var all = new List<float>();
            for (var o = 0; o < output; o++)
            {
                var centre = (o + .5) * scale;
                var low = Math.Max(0, (int)(centre - 2 * stretch + .5));
                var high = Math.Min(input, (int)(centre + 2 * stretch + .5));
                var sum = 0.0;
                for (var i = low; i < high; i++) sum += Keys((i + .5 - centre) / stretch);
                for (var i = low; i < high; i++) all.Add((float)(Keys((i + .5 - centre) / stretch) / sum));
                First[o] = low;
                start[o + 1] = all.Count;
            }
            weights = [.. all];
        }

        /// <summary>The same in fours, made when they are first asked for; two threads may both make them.</summary>
        internal FourTaps Four => four ??= new FourTaps(this, input);

        internal ReadOnlySpan<float> Of(int output) => weights.AsSpan(start[output], start[output + 1] - start[output]);

        private static double Keys(double x)
        {
            x = Math.Abs(x);
            return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-.5 * x + 2.5) * x - 4) * x + 2 : 0;
        }
    }

    /// <summary>Taps of pixels in a row, as many for each: index in floats of the first, and each weight four times, for R, G, B and the lane that is dropped.</summary>
    private sealed class FourTaps
    {
        internal readonly int[] First;
        internal readonly float[] Weights;

        internal FourTaps(Taps taps, int input)
        {
            var outputs = taps.First.Length;
            for (var o = 0; o < outputs; o++) Count = Math.Max(Count, taps.Of(o).Length);
            var padded = (outputs + 3) / 4 * 4; // pixels behind the last weigh nothing and are not kept
            (First, Weights) = (new int[padded], new float[padded * 4 * Count]);
            for (var o = 0; o < outputs; o++)
            {
                // So far back that all taps lie in the row.
                var first = Math.Min(taps.First[o], input - Count);
                First[o] = 3 * first;
                var own = taps.Of(o);
                for (var k = 0; k < own.Length; k++)
                    Weights.AsSpan(o / 4 * Count * 16 + (taps.First[o] - first + k) * 16 + o % 4 * 4, 4).Fill(own[k]);
            }
        }

        /// <summary>Taps of each pixel: the most that any has.</summary>
        internal int Count { get; }
    }
}
