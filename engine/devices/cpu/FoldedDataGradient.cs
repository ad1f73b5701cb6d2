using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// The data gradient of a convolution from pictures of few channels, and the transposed convolution to such pictures. With C
/// channels out of a vector's lanes the phases of <see cref="Convolution{V, T}"/> multiply mostly nothing; here all R·S·C products of a
/// pixel of dy are the columns of one product with the filters, dy (pixels × K) · w (K × R·S·C), and are then added to the
/// pixels they belong to: columns (s, c) of one tap row are neighbours in dx as well.
/// A task walks down a band of dx and keeps the products of the last rows of dy only, in its cache. No two tasks write the same place.
/// </summary>
internal static unsafe class FoldedDataGradient<V, T>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    // Pictures fewer than this are cut into bands; the first row of each is multiplied twice.
    private const int Tasks = 32, FewestRows = 8;

    // From so many terms on a tile's pixels come from memory more slowly than they are multiplied, unless they are asked for.
    private const int ManyTerms = 128;

    /// <summary>
    /// Whether the columns and the additions, which cost about two vectors a tap, are fewer than the vectors of the phases.
    /// Those of eight channels are half as wide (<see cref="Convolution"/>).
    /// </summary>
    public static bool Saves(ConvShape s)
    {
        var taps = s.R * s.S;
        long phases = (long)taps * s.K * Vectors(s.C), columns = (long)Vectors(taps * s.C) * s.K + 2 * taps;
        return s.Wo >= V.TileRows && columns <= (s.C <= V.Count / 2 && V.Count == 16 ? phases / 2 : phases);
    }

    /// <summary>dx (N, H, W, C) from dy (N, Ho, Wo, K) and w (R, S, C, K), plus a bias.</summary>
    public static void Run(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, T* dx)
    {
        using var weights = new PackedB<V>(cpu, s.K, s.R * s.S * s.C).Fill(cpu, true, w, s.K);
        var layout = new Layout(s, weights);
        var bands = Math.Clamp(Tasks / s.N, 1, Math.Max(1, layout.High / FewestRows));
        cpu.For(s.N * bands, task =>
        {
            var (n, band) = Math.DivRem(task, bands);
            Band(dy, layout, weights, bias, dx, n, layout.High * band / bands, layout.High * (band + 1) / bands);
        });
    }

    private static int Vectors(int n) => (n + V.Count - 1) / V.Count;

    /// <summary>
    /// dx in blocks of stride² pixels, from its padded corner on: block (a, b) is met by the pixels (a − q, b − q') of dy, and
    /// by taps q·stride, q'·stride and on. A line of products has room for the pixels left and right of dy that blocks ask for.
    /// </summary>
    private readonly struct Layout
    {
        public Layout(ConvShape s, PackedB<V> weights)
        {
            Shape = s;
            High = (s.H + s.Padding + s.Stride - 1) / s.Stride;
            Wide = (s.W + s.Padding + s.Stride - 1) / s.Stride;
            Rows = (s.R + s.Stride - 1) / s.Stride;
            Cols = (s.S + s.Stride - 1) / s.Stride;
            Step = s.Stride * s.C;
            Width = Vectors(Step) * V.Count;
            Pitch = (weights.Panels - 1) * PackedB<V>.Columns + weights.Width(weights.Panels - 1);
            Line = (nint)(Cols - 1 + Math.Max(Wide, s.Wo)) * Pitch;
        }

        public ConvShape Shape { get; }

        /// <summary>Blocks down.</summary>
        public int High { get; }

        /// <summary>Blocks across.</summary>
        public int Wide { get; }

        /// <summary>Rows of dy that meet a block.</summary>
        public int Rows { get; }

        /// <summary>Columns of dy that meet a block.</summary>
        public int Cols { get; }

        /// <summary>Floats in one line of a block.</summary>
        public int Step { get; }

        /// <summary>The same in whole vectors.</summary>
        public int Width { get; }

        /// <summary>Floats from one pixel's products to the next one's.</summary>
        public int Pitch { get; }

        /// <summary>Floats in a line of products.</summary>
        public nint Line { get; }
    }

    private static void Band(T* dy, Layout l, PackedB<V> weights, float* bias, T* dx, int n, int begin, int end)
    {
        var s = l.Shape;
        var memory = TaskMemory.Take((1 + l.Cols) * (long)l.Width + l.Rows * l.Line + (l.Wide + 1L) * l.Step + l.Width + (long)s.Wo * s.K);
        float* start = memory, masks = start + l.Width, lines = masks + l.Cols * l.Width, sums = lines + l.Rows * l.Line, widened = sums + (l.Wide + 1L) * l.Step + l.Width;
        Prepare(l, bias, start, masks);
        new Span<float>(lines, (int)(l.Rows * l.Line)).Clear();
        var met = stackalloc float*[l.Rows];
        for (var a = begin - l.Rows + 1; a < end; a++)
        {
            if (a >= 0 && a < s.Ho) Products(dy + ((nint)n * s.Ho + a) * s.Wo * s.K, l, weights, lines + a % l.Rows * l.Line, widened);
            for (var phase = 0; a >= begin && phase < s.Stride; phase++)
            {
                var h = a * s.Stride + phase - s.Padding;
                if (h < 0 || h >= s.H) continue;
                var count = 0;
                for (int q = 0, r = phase; r < s.R; q++, r += s.Stride)
                    if (a - q >= 0 && a - q < s.Ho) met[count++] = lines + (a - q) % l.Rows * l.Line + (nint)(l.Cols - 1) * l.Pitch + (nint)r * s.S * s.C;
                if (l.Cols == 2 && l.Width == V.Count && count is 1 or 2) AddPairs(sums, l.Wide, l.Step, met[0], count == 2 ? met[1] : null, l.Pitch, start, masks + l.Width);
                else Add(sums, l.Wide, l.Step, met, count, l.Pitch, l.Cols, start, masks, l.Width);
                Rows.Round<V, T>(dx + ((nint)n * s.H + h) * s.W * s.C, sums + s.Padding * s.C, (long)s.W * s.C);
            }
        }
    }

    /// <summary>What a line of a block starts from, and for each column of dy that meets it which of its lanes are its taps'.</summary>
    private static void Prepare(Layout l, float* bias, float* start, float* masks)
    {
        var s = l.Shape;
        for (var i = 0; i < l.Width; i++) start[i] = bias == null || i >= l.Step ? 0f : bias[i % s.C];
        for (var q = 0; q < l.Cols; q++)
            for (var i = 0; i < l.Width; i += V.Count, masks += V.Count)
            {
                var lanes = Math.Clamp(Math.Min(l.Step, s.S * s.C - q * l.Step) - i, 0, V.Count);
                V.Mask((uint)((1L << lanes) - 1)).Store(masks);
            }
    }

    /// <summary>All taps' products of one row of dy.</summary>
    private static void Products(T* dy, Layout l, PackedB<V> weights, float* line, float* widened)
    {
        var s = l.Shape;
        var x = (float*)dy;
        if (typeof(T) != typeof(F32)) Rows.Widen<V, T>(x = widened, dy, (long)s.Wo * s.K);
        // Rows of dy follow each other in memory, so the next tile's pixels are the next ones even at a row's end.
        var asks = typeof(T) == typeof(F32) && s.K >= ManyTerms;
        var pixels = stackalloc float*[MicroKernels.MaxRows];
        for (var p = 0; p < weights.Panels; p++)
        {
            var to = line + (nint)(l.Cols - 1) * l.Pitch + p * PackedB<V>.Columns;
            for (var j = 0; j < s.Wo; j += V.TileRows)
            {
                for (var i = 0; i < V.TileRows; i++) pixels[i] = x + (nint)Math.Min(j + i, s.Wo - 1) * s.K;
                var rows = Math.Min(V.TileRows, s.Wo - j);
                var corner = to + (nint)j * l.Pitch;
                if (asks && p == 0)
                    MicroKernels.RowsAhead<V>(
                        pixels, s.K, weights.Panel(p), weights.Narrow(p), corner, l.Pitch, rows, weights.Width(p), false, null, Ahead.ByRows(x + (nint)(j + V.TileRows) * s.K, s.K, V.TileRows, s.K));
                else MicroKernels.Rows<V>(pixels, 1, 0, s.K, weights.Panel(p), weights.Narrow(p), corner, l.Pitch, rows, weights.Width(p), false, null);
            }
        }
    }

    /// <summary>
    /// A line of dx: each block's is the sum of what meets it. Whole vectors are stored, and what is too much of one is
    /// overwritten by the next.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(float* to, int blocks, nint step, float** met, int count, nint pitch, int cols, float* start, float* masks, nint width)
    {
        for (nint b = 0, at = 0; b < blocks; b++, at += pitch, to += step)
            for (nint v = 0; v < width; v += V.Count)
            {
                var sum = V.Load(start + v);
                for (nint q = 0, from = at + v; q < cols; q++, from += step - pitch)
                {
                    V row = default;
                    for (var m = 0; m < count; m++) row += V.Load(met[m] + from);
                    sum += V.Where(V.Load(masks + q * width + v), row);
                }
                sum.Store(to + v);
            }
    }

    /// <summary>The same where a line of a block is one vector, which two columns and one or two rows of dy meet: a filter of three or four at stride two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddPairs(float* to, int blocks, nint step, float* first, float* second, nint pitch, float* start, float* masks)
    {
        V bias = V.Load(start), mask = V.Load(masks);
        if (second == null)
        {
            for (; blocks > 0; blocks--, first += pitch, to += step) (bias + V.Load(first) + V.Where(mask, V.Load(first + step - pitch))).Store(to);
            return;
        }
        for (; blocks > 0; blocks--, first += pitch, second += pitch, to += step)
            (bias + (V.Load(first) + V.Load(second)) + V.Where(mask, V.Load(first + step - pitch) + V.Load(second + step - pitch))).Store(to);
    }
}
