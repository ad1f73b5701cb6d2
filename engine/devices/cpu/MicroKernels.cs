using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>
/// The inner loops of every matrix product and convolution: a tile of C, <c>V.TileRows</c> rows by one or two vectors, held
/// in registers. The sums are named locals because the JIT keeps those, and not array elements, in registers; rows a width
/// has no registers for are conditions on a constant and cost nothing. A is read where it lies; B comes packed in panels.
/// AggressiveOptimization: without it the loop runs some 15 times slower until it is tiered up.
/// </summary>
internal static unsafe class MicroKernels
{
    /// <summary>The most rows any width's tile has: how many row pointers a caller prepares.</summary>
    public const int MaxRows = 8;

    /// <summary>Sums of fewer terms ask for their tile only where the caller does: where it is in L2 already, asking costs 3 %.</summary>
    public const int ShortSum = 128;

    /// <summary>How far ahead the tiles of short sums are asked for: they come from the last cache in the time that two of them take, not one.</summary>
    public const int TilesAhead = 2;

    // Terms from which on a sum is worth interrupting.
    private const int LongStep = 32;

    /// <summary>Columns of a tile, and the width of a packed panel of B: two vectors.</summary>
    public static int Columns<V>() where V : struct, IVector<V> => 2 * V.Count;

    /// <summary>
    /// C[0..rows, 0..n] = A·B for one tile, plus C itself or a bias. Row i of A is <c>segments</c> runs of <c>length</c>
    /// floats, each run <c>segmentStride</c> floats after the last: one run for a plain product, one for each filter row in
    /// a convolution.
    /// </summary>
    /// <param name="a"><c>V.TileRows</c> row pointers (repeat the last valid one where there are fewer rows).</param>
    /// <param name="b">The packed panel: segments·length rows of two vectors (one when <paramref name="narrow"/>).</param>
    /// <param name="c">The tile's corner, <paramref name="ldc"/> floats between rows.</param>
    /// <param name="accumulate">Add to what C holds.</param>
    /// <param name="bias">Added to every row, or null; not together with <paramref name="accumulate"/>. Read to a whole tile's width.</param>
    /// <param name="skip">Floats of B between two segments: the taps of a filter that fall outside the picture.</param>
    [SkipLocalsInit]
    public static void Rows<V>(
        float** a, nint segments, nint segmentStride, nint length, float* b, bool narrow,
        float* c, nint ldc, int rows, int n, bool accumulate, float* bias, nint skip = 0) where V : struct, IVector<V>
    {
        var width = narrow ? V.Count : 2 * V.Count;
        if (rows == V.TileRows && n == width)
        {
            // Sums start from what is added: C's rows, the bias (a row that repeats), or nothing.
            var from = accumulate ? c : bias;
            var stride = accumulate ? ldc : 0;
            if (narrow) Rows<V, One, Whole<V>, Silent>(a, segments, segmentStride, length, b, skip, c, ldc, from, stride, null);
            else Rows<V, Two, Whole<V>, Silent>(a, segments, segmentStride, length, b, skip, c, ldc, from, stride, null);
            return;
        }
        var edge = stackalloc float[V.TileRows * 2 * V.Count];
        if (rows <= Half.Rows) Rows<V, Half>(a, segments, segmentStride, length, b, skip, narrow, edge, width, bias);
        else Rows<V, Whole<V>>(a, segments, segmentStride, length, b, skip, narrow, edge, width, bias);
        StoreEdge<V>(edge, width, c, ldc, rows, n, accumulate);
    }

    /// <summary>The same for a plain product of <paramref name="k"/> terms that asks on its way for what is read next.</summary>
    public static void RowsAhead<V>(
        float** a, int k, float* b, bool narrow, float* c, nint ldc, int rows, int n, bool accumulate, float* bias, Ahead ahead) where V : struct, IVector<V>
    {
        if (rows == V.TileRows && n == 2 * V.Count && k >= LongStep * Ahead.Steps && k % Ahead.Steps == 0)
        {
            var length = k / Ahead.Steps;
            Rows<V, Two, Whole<V>, Asking>(a, Ahead.Steps, length, length, b, 0, c, ldc, accumulate ? c : bias, accumulate ? ldc : 0, &ahead);
            return;
        }
        for (var i = 0; i < Ahead.Steps; i++) ahead.Step();
        Rows<V>(a, 1, 0, k, b, narrow, c, ldc, rows, n, accumulate, bias);
    }

    /// <summary>The same for rows of C that lie anywhere: row i at <c>c[i] + column</c>.</summary>
    [SkipLocalsInit]
    public static void RowsScattered<V>(
        float** a, nint segments, nint segmentStride, nint length, float* b, bool narrow,
        float** c, nint column, int rows, int n, bool accumulate, float* bias, nint skip) where V : struct, IVector<V>
    {
        var width = narrow ? V.Count : 2 * V.Count;
        var tile = stackalloc float[V.TileRows * 2 * V.Count];
        if (rows <= Half.Rows) Rows<V, Half>(a, segments, segmentStride, length, b, skip, narrow, tile, width, bias);
        else Rows<V, Whole<V>>(a, segments, segmentStride, length, b, skip, narrow, tile, width, bias);
        for (var i = 0; i < rows; i++) StoreEdge<V>(tile + i * width, width, c[i] + column, 0, 1, n, accumulate);
    }

    /// <summary>
    /// C[0..rows, 0..n] (+)= Aᵀ·B for one tile: sums over <c>segments</c> runs of <c>count</c> positions the outer product
    /// of <c>V.TileRows</c> neighbouring floats of A and two (one) vectors of B. Gradients of weights are this.
    /// Reads all the floats of A and whole vectors of B even at the edges; memory has slack for it.
    /// </summary>
    [SkipLocalsInit]
    public static void Outer<V>(
        float* a, nint aStep, nint aSegment, float* b, nint bStep, nint bSegment, nint segments, nint count, bool narrow,
        float* c, nint ldc, int rows, int n, bool accumulate) where V : struct, IVector<V>
    {
        var width = narrow ? V.Count : 2 * V.Count;
        if (rows == V.TileRows && n == width)
        {
            var from = accumulate ? c : null;
            if (narrow) Outer<V, One>(a, aStep, aSegment, b, bStep, bSegment, segments, count, c, ldc, from);
            else Outer<V, Two>(a, aStep, aSegment, b, bStep, bSegment, segments, count, c, ldc, from);
            return;
        }
        var edge = stackalloc float[V.TileRows * 2 * V.Count];
        if (narrow) Outer<V, One>(a, aStep, aSegment, b, bStep, bSegment, segments, count, edge, width, null);
        else Outer<V, Two>(a, aStep, aSegment, b, bStep, bSegment, segments, count, edge, width, null);
        StoreEdge<V>(edge, width, c, ldc, rows, n, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreEdge<V>(float* tile, int width, float* c, nint ldc, int rows, int n, bool accumulate) where V : struct, IVector<V>
    {
        for (var i = 0; i < rows; i++, tile += width, c += ldc)
        {
            if (accumulate) Loop.Run<V, Adding>(new Adding(c, tile), 0, n);
            else Loop.Run<V, Copying>(new Copying(c, tile), 0, n);
        }
    }

    private static void Rows<V, H>(float** a, nint segments, nint segmentStride, nint length, float* b, nint skip, bool narrow, float* tile, nint width, float* bias)
        where V : struct, IVector<V>
        where H : struct, IHeight
    {
        if (narrow) Rows<V, One, H, Silent>(a, segments, segmentStride, length, b, skip, tile, width, bias, 0, null);
        else Rows<V, Two, H, Silent>(a, segments, segmentStride, length, b, skip, tile, width, bias, 0, null);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows<V, W, H, P>(
        float** a, nint segments, nint segmentStride, nint length, float* b, nint skip, float* c, nint ldc, float* from, nint fromStride, Ahead* ahead)
        where V : struct, IVector<V>
        where W : struct, IWidth
        where H : struct, IHeight
        where P : struct, IPrefetch
    {
        V c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        V c0b = default, c1b = default, c2b = default, c3b = default, c4b = default, c5b = default, c6b = default, c7b = default;
        if (from != c && segments * length >= ShortSum) Claim<V, W>(c, ldc, H.Rows);
        float* a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = H.Rows > 4 ? a[4] : null, a5 = H.Rows > 4 ? a[5] : null, a6 = H.Rows > 6 ? a[6] : null, a7 = H.Rows > 6 ? a[7] : null;
        if (from != null)
        {
            Load<V, W>(from + 0 * fromStride, out c0a, out c0b);
            Load<V, W>(from + 1 * fromStride, out c1a, out c1b);
            Load<V, W>(from + 2 * fromStride, out c2a, out c2b);
            Load<V, W>(from + 3 * fromStride, out c3a, out c3b);
            if (H.Rows > 4)
            {
                Load<V, W>(from + 4 * fromStride, out c4a, out c4b);
                Load<V, W>(from + 5 * fromStride, out c5a, out c5b);
            }
            if (H.Rows > 6)
            {
                Load<V, W>(from + 6 * fromStride, out c6a, out c6b);
                Load<V, W>(from + 7 * fromStride, out c7a, out c7b);
            }
        }
        nint start = 0;
        do
        {
            if (P.Asks) ahead->Step();
            nint k = start, end = start + length;
            do
            {
                var ba = V.Load(b);
                var bb = W.IsTwo ? V.Load(b + V.Count) : default;
                var x0 = V.Create(a0[k]);
                c0a = V.Fma(x0, ba, c0a);
                if (W.IsTwo) c0b = V.Fma(x0, bb, c0b);
                var x1 = V.Create(a1[k]);
                c1a = V.Fma(x1, ba, c1a);
                if (W.IsTwo) c1b = V.Fma(x1, bb, c1b);
                var x2 = V.Create(a2[k]);
                c2a = V.Fma(x2, ba, c2a);
                if (W.IsTwo) c2b = V.Fma(x2, bb, c2b);
                var x3 = V.Create(a3[k]);
                c3a = V.Fma(x3, ba, c3a);
                if (W.IsTwo) c3b = V.Fma(x3, bb, c3b);
                if (H.Rows > 4)
                {
                    var x4 = V.Create(a4[k]);
                    c4a = V.Fma(x4, ba, c4a);
                    if (W.IsTwo) c4b = V.Fma(x4, bb, c4b);
                    var x5 = V.Create(a5[k]);
                    c5a = V.Fma(x5, ba, c5a);
                    if (W.IsTwo) c5b = V.Fma(x5, bb, c5b);
                }
                if (H.Rows > 6)
                {
                    var x6 = V.Create(a6[k]);
                    c6a = V.Fma(x6, ba, c6a);
                    if (W.IsTwo) c6b = V.Fma(x6, bb, c6b);
                    var x7 = V.Create(a7[k]);
                    c7a = V.Fma(x7, ba, c7a);
                    if (W.IsTwo) c7b = V.Fma(x7, bb, c7b);
                }
                b += W.IsTwo ? 2 * V.Count : V.Count;
            } while (++k != end);
            start += segmentStride;
            b += skip;
        } while (--segments != 0);
        Store<V, W>(c + 0 * ldc, c0a, c0b);
        Store<V, W>(c + 1 * ldc, c1a, c1b);
        Store<V, W>(c + 2 * ldc, c2a, c2b);
        Store<V, W>(c + 3 * ldc, c3a, c3b);
        if (H.Rows > 4)
        {
            Store<V, W>(c + 4 * ldc, c4a, c4b);
            Store<V, W>(c + 5 * ldc, c5a, c5b);
        }
        if (H.Rows > 6)
        {
            Store<V, W>(c + 6 * ldc, c6a, c6b);
            Store<V, W>(c + 7 * ldc, c7a, c7b);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Outer<V, W>(float* a, nint aStep, nint aSegment, float* b, nint bStep, nint bSegment, nint segments, nint count, float* c, nint ldc, float* from)
        where V : struct, IVector<V>
        where W : struct, IWidth
    {
        V c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        V c0b = default, c1b = default, c2b = default, c3b = default, c4b = default, c5b = default, c6b = default, c7b = default;
        if (from != c && segments * count >= ShortSum) Claim<V, W>(c, ldc, V.TileRows);
        if (from != null)
        {
            Load<V, W>(from + 0 * ldc, out c0a, out c0b);
            Load<V, W>(from + 1 * ldc, out c1a, out c1b);
            Load<V, W>(from + 2 * ldc, out c2a, out c2b);
            Load<V, W>(from + 3 * ldc, out c3a, out c3b);
            Load<V, W>(from + 4 * ldc, out c4a, out c4b);
            Load<V, W>(from + 5 * ldc, out c5a, out c5b);
            if (V.TileRows == 8)
            {
                Load<V, W>(from + 6 * ldc, out c6a, out c6b);
                Load<V, W>(from + 7 * ldc, out c7a, out c7b);
            }
        }
        do
        {
            float* p = a, q = b;
            var left = count;
            do
            {
                var ba = V.Load(q);
                var bb = W.IsTwo ? V.Load(q + V.Count) : default;
                var x0 = V.Create(p[0]);
                c0a = V.Fma(x0, ba, c0a);
                if (W.IsTwo) c0b = V.Fma(x0, bb, c0b);
                var x1 = V.Create(p[1]);
                c1a = V.Fma(x1, ba, c1a);
                if (W.IsTwo) c1b = V.Fma(x1, bb, c1b);
                var x2 = V.Create(p[2]);
                c2a = V.Fma(x2, ba, c2a);
                if (W.IsTwo) c2b = V.Fma(x2, bb, c2b);
                var x3 = V.Create(p[3]);
                c3a = V.Fma(x3, ba, c3a);
                if (W.IsTwo) c3b = V.Fma(x3, bb, c3b);
                var x4 = V.Create(p[4]);
                c4a = V.Fma(x4, ba, c4a);
                if (W.IsTwo) c4b = V.Fma(x4, bb, c4b);
                var x5 = V.Create(p[5]);
                c5a = V.Fma(x5, ba, c5a);
                if (W.IsTwo) c5b = V.Fma(x5, bb, c5b);
                if (V.TileRows == 8)
                {
                    var x6 = V.Create(p[6]);
                    c6a = V.Fma(x6, ba, c6a);
                    if (W.IsTwo) c6b = V.Fma(x6, bb, c6b);
                    var x7 = V.Create(p[7]);
                    c7a = V.Fma(x7, ba, c7a);
                    if (W.IsTwo) c7b = V.Fma(x7, bb, c7b);
                }
                p += aStep;
                q += bStep;
            } while (--left != 0);
            a += aSegment;
            b += bSegment;
        } while (--segments != 0);
        Store<V, W>(c + 0 * ldc, c0a, c0b);
        Store<V, W>(c + 1 * ldc, c1a, c1b);
        Store<V, W>(c + 2 * ldc, c2a, c2b);
        Store<V, W>(c + 3 * ldc, c3a, c3b);
        Store<V, W>(c + 4 * ldc, c4a, c4b);
        Store<V, W>(c + 5 * ldc, c5a, c5b);
        if (V.TileRows == 8)
        {
            Store<V, W>(c + 6 * ldc, c6a, c6b);
            Store<V, W>(c + 7 * ldc, c7a, c7b);
        }
    }

    /// <summary>
    /// Asks for the lines of a tile before its sums are made: a store to a line that is not in L1 waits for it, and only so
    /// many can wait. It saves an eighth of a product over 200 terms whose result goes to memory, a quarter over 64.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Claim<V, W>(float* c, nint ldc, int rows)
        where V : struct, IVector<V>
        where W : struct, IWidth
    {
        if (!Sse.IsSupported) return;
        Claim<V, W>(c);
        Claim<V, W>(c + ldc);
        Claim<V, W>(c + 2 * ldc);
        Claim<V, W>(c + 3 * ldc);
        if (rows > 4)
        {
            Claim<V, W>(c + 4 * ldc);
            Claim<V, W>(c + 5 * ldc);
        }
        if (rows > 6)
        {
            Claim<V, W>(c + 6 * ldc);
            Claim<V, W>(c + 7 * ldc);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Claim<V, W>(float* c)
        where V : struct, IVector<V>
        where W : struct, IWidth
    {
        Sse.Prefetch0(c);
        if (W.IsTwo && V.Count == 16) Sse.Prefetch0(c + 16); // a line is 16 floats
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<V, W>(float* p, out V a, out V b)
        where V : struct, IVector<V>
        where W : struct, IWidth
    {
        a = V.Load(p);
        b = W.IsTwo ? V.Load(p + V.Count) : default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V, W>(float* p, V a, V b)
        where V : struct, IVector<V>
        where W : struct, IWidth
    {
        a.Store(p);
        if (W.IsTwo) b.Store(p + V.Count);
    }

    private readonly struct Copying(float* to, float* from) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => V.Load(from + i).Store(to + i);
    }

    private readonly struct Adding(float* to, float* from) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => (V.Load(to + i) + V.Load(from + i)).Store(to + i);
    }

    /// <summary>Whether a tile is two vectors wide or one: a type, so that it is a constant to the JIT.</summary>
    private interface IWidth
    {
        static abstract bool IsTwo { get; }
    }

    private readonly struct One : IWidth
    {
        public static bool IsTwo => false;
    }

    private readonly struct Two : IWidth
    {
        public static bool IsTwo => true;
    }

    /// <summary>Rows of a tile, likewise: all, or where few are left over at the edge, half.</summary>
    private interface IHeight
    {
        static abstract int Rows { get; }
    }

    private readonly struct Whole<V> : IHeight where V : struct, IVector<V>
    {
        public static int Rows => V.TileRows;
    }

    private readonly struct Half : IHeight
    {
        public static int Rows => 4;
    }

    /// <summary>Whether a segment begins by asking for what is read next, likewise.</summary>
    private interface IPrefetch
    {
        static abstract bool Asks { get; }
    }

    private readonly struct Asking : IPrefetch
    {
        public static bool Asks => true;
    }

    private readonly struct Silent : IPrefetch
    {
        public static bool Asks => false;
    }
}
