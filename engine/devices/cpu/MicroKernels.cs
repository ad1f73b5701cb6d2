using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// The inner loops of every matrix product and convolution: an 8×32 (or 8×16) tile of C held in registers. The
/// accumulators are named locals because the JIT keeps those, and not array elements, in registers: 16 of the 32
/// zmm registers. The 8 rows of A are read where they lie, by 8 pointers and one offset; B comes packed in panels.
/// AggressiveOptimization: without it the loop runs some 15 times slower until it is tiered up.
/// </summary>
internal static unsafe class MicroKernels
{
    /// <summary>Rows of a tile.</summary>
    public const int MR = 8;

    /// <summary>Columns of a tile, and the width of a packed panel of B.</summary>
    public const int NR = 32;

    /// <summary>
    /// C[0..rows, 0..n] (+)= A·B for one tile. Row i of A is <c>segments</c> runs of <c>length</c> floats, each run
    /// <c>segmentStride</c> floats after the last: one run for a plain product, one for each filter row in a convolution.
    /// </summary>
    /// <param name="a">Eight row pointers (repeat the last valid one where there are fewer rows).</param>
    /// <param name="b">The packed panel: segments·length rows of NR (or 16 when n ≤ 16 and the panel is narrow).</param>
    /// <param name="c">The tile's corner, <paramref name="ldc"/> floats between rows.</param>
    [SkipLocalsInit]
    public static void Rows(float** a, nint segments, nint segmentStride, nint length, float* b, bool narrow, float* c, nint ldc, int rows, int n, bool accumulate)
    {
        var full = rows == MR && n == (narrow ? 16 : NR);
        var edge = stackalloc float[full ? 0 : MR * NR];
        var target = full ? c : edge;
        var stride = full ? ldc : narrow ? 16 : NR;
        if (narrow) Rows8x16(a, segments, segmentStride, length, b, target, stride, full && accumulate);
        else Rows8x32(a, segments, segmentStride, length, b, target, stride, full && accumulate);
        if (!full) StoreEdge(edge, (int)stride, c, ldc, rows, n, accumulate);
    }

    /// <summary>
    /// C[0..rows, 0..n] (+)= Aᵀ·B for one tile: sums over <c>segments</c> runs of <c>count</c> positions the outer product
    /// of 8 neighbouring floats of A and 32 (16) of B. Gradients of weights are this.
    /// Reads 8 floats of A and a whole vector of B even at the edges; memory has slack for it.
    /// </summary>
    [SkipLocalsInit]
    public static void Outer(float* a, nint aStep, nint aSegment, float* b, nint bStep, nint bSegment, nint segments, nint count, bool narrow, float* c, nint ldc, int rows, int n, bool accumulate)
    {
        var full = rows == MR && n == (narrow ? 16 : NR);
        var edge = stackalloc float[full ? 0 : MR * NR];
        var target = full ? c : edge;
        var stride = full ? ldc : narrow ? 16 : NR;
        if (narrow) Outer8x16(a, aStep, aSegment, b, bStep, bSegment, segments, count, target, stride, full && accumulate);
        else Outer8x32(a, aStep, aSegment, b, bStep, bSegment, segments, count, target, stride, full && accumulate);
        if (!full) StoreEdge(edge, (int)stride, c, ldc, rows, n, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void StoreEdge(float* tile, int stride, float* c, nint ldc, int rows, int n, bool accumulate)
    {
        for (var i = 0; i < rows; i++, tile += stride, c += ldc)
        {
            var j = 0;
            for (; j <= n - 8; j += 8)
            {
                var v = Vector256.Load(tile + j);
                (accumulate ? v + Vector256.Load(c + j) : v).Store(c + j);
            }
            for (; j < n; j++) c[j] = accumulate ? c[j] + tile[j] : tile[j];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8x32(float** a, nint segments, nint segmentStride, nint length, float* b, float* c, nint ldc, bool accumulate)
    {
        Vector512<float> c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        Vector512<float> c0b = default, c1b = default, c2b = default, c3b = default, c4b = default, c5b = default, c6b = default, c7b = default;
        float* a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];
        nint start = 0;
        do
        {
            nint k = start, end = start + length;
            do
            {
                var ba = Vector512.Load(b);
                var bb = Vector512.Load(b + 16);
                var x0 = Vector512.Create(a0[k]);
                c0a = Vector512.FusedMultiplyAdd(x0, ba, c0a);
                c0b = Vector512.FusedMultiplyAdd(x0, bb, c0b);
                var x1 = Vector512.Create(a1[k]);
                c1a = Vector512.FusedMultiplyAdd(x1, ba, c1a);
                c1b = Vector512.FusedMultiplyAdd(x1, bb, c1b);
                var x2 = Vector512.Create(a2[k]);
                c2a = Vector512.FusedMultiplyAdd(x2, ba, c2a);
                c2b = Vector512.FusedMultiplyAdd(x2, bb, c2b);
                var x3 = Vector512.Create(a3[k]);
                c3a = Vector512.FusedMultiplyAdd(x3, ba, c3a);
                c3b = Vector512.FusedMultiplyAdd(x3, bb, c3b);
                var x4 = Vector512.Create(a4[k]);
                c4a = Vector512.FusedMultiplyAdd(x4, ba, c4a);
                c4b = Vector512.FusedMultiplyAdd(x4, bb, c4b);
                var x5 = Vector512.Create(a5[k]);
                c5a = Vector512.FusedMultiplyAdd(x5, ba, c5a);
                c5b = Vector512.FusedMultiplyAdd(x5, bb, c5b);
                var x6 = Vector512.Create(a6[k]);
                c6a = Vector512.FusedMultiplyAdd(x6, ba, c6a);
                c6b = Vector512.FusedMultiplyAdd(x6, bb, c6b);
                var x7 = Vector512.Create(a7[k]);
                c7a = Vector512.FusedMultiplyAdd(x7, ba, c7a);
                c7b = Vector512.FusedMultiplyAdd(x7, bb, c7b);
                b += 32;
            } while (++k != end);
            start += segmentStride;
        } while (--segments != 0);
        if (accumulate)
        {
            (c0a + Vector512.Load(c + 0 * ldc)).Store(c + 0 * ldc);
            (c0b + Vector512.Load(c + 0 * ldc + 16)).Store(c + 0 * ldc + 16);
            (c1a + Vector512.Load(c + 1 * ldc)).Store(c + 1 * ldc);
            (c1b + Vector512.Load(c + 1 * ldc + 16)).Store(c + 1 * ldc + 16);
            (c2a + Vector512.Load(c + 2 * ldc)).Store(c + 2 * ldc);
            (c2b + Vector512.Load(c + 2 * ldc + 16)).Store(c + 2 * ldc + 16);
            (c3a + Vector512.Load(c + 3 * ldc)).Store(c + 3 * ldc);
            (c3b + Vector512.Load(c + 3 * ldc + 16)).Store(c + 3 * ldc + 16);
            (c4a + Vector512.Load(c + 4 * ldc)).Store(c + 4 * ldc);
            (c4b + Vector512.Load(c + 4 * ldc + 16)).Store(c + 4 * ldc + 16);
            (c5a + Vector512.Load(c + 5 * ldc)).Store(c + 5 * ldc);
            (c5b + Vector512.Load(c + 5 * ldc + 16)).Store(c + 5 * ldc + 16);
            (c6a + Vector512.Load(c + 6 * ldc)).Store(c + 6 * ldc);
            (c6b + Vector512.Load(c + 6 * ldc + 16)).Store(c + 6 * ldc + 16);
            (c7a + Vector512.Load(c + 7 * ldc)).Store(c + 7 * ldc);
            (c7b + Vector512.Load(c + 7 * ldc + 16)).Store(c + 7 * ldc + 16);
        }
        else
        {
            c0a.Store(c + 0 * ldc);
            c0b.Store(c + 0 * ldc + 16);
            c1a.Store(c + 1 * ldc);
            c1b.Store(c + 1 * ldc + 16);
            c2a.Store(c + 2 * ldc);
            c2b.Store(c + 2 * ldc + 16);
            c3a.Store(c + 3 * ldc);
            c3b.Store(c + 3 * ldc + 16);
            c4a.Store(c + 4 * ldc);
            c4b.Store(c + 4 * ldc + 16);
            c5a.Store(c + 5 * ldc);
            c5b.Store(c + 5 * ldc + 16);
            c6a.Store(c + 6 * ldc);
            c6b.Store(c + 6 * ldc + 16);
            c7a.Store(c + 7 * ldc);
            c7b.Store(c + 7 * ldc + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows8x16(float** a, nint segments, nint segmentStride, nint length, float* b, float* c, nint ldc, bool accumulate)
    {
        Vector512<float> c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        float* a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];
        nint start = 0;
        do
        {
            nint k = start, end = start + length;
            do
            {
                var ba = Vector512.Load(b);
                var x0 = Vector512.Create(a0[k]);
                c0a = Vector512.FusedMultiplyAdd(x0, ba, c0a);
                var x1 = Vector512.Create(a1[k]);
                c1a = Vector512.FusedMultiplyAdd(x1, ba, c1a);
                var x2 = Vector512.Create(a2[k]);
                c2a = Vector512.FusedMultiplyAdd(x2, ba, c2a);
                var x3 = Vector512.Create(a3[k]);
                c3a = Vector512.FusedMultiplyAdd(x3, ba, c3a);
                var x4 = Vector512.Create(a4[k]);
                c4a = Vector512.FusedMultiplyAdd(x4, ba, c4a);
                var x5 = Vector512.Create(a5[k]);
                c5a = Vector512.FusedMultiplyAdd(x5, ba, c5a);
                var x6 = Vector512.Create(a6[k]);
                c6a = Vector512.FusedMultiplyAdd(x6, ba, c6a);
                var x7 = Vector512.Create(a7[k]);
                c7a = Vector512.FusedMultiplyAdd(x7, ba, c7a);
                b += 16;
            } while (++k != end);
            start += segmentStride;
        } while (--segments != 0);
        if (accumulate)
        {
            (c0a + Vector512.Load(c + 0 * ldc)).Store(c + 0 * ldc);
            (c1a + Vector512.Load(c + 1 * ldc)).Store(c + 1 * ldc);
            (c2a + Vector512.Load(c + 2 * ldc)).Store(c + 2 * ldc);
            (c3a + Vector512.Load(c + 3 * ldc)).Store(c + 3 * ldc);
            (c4a + Vector512.Load(c + 4 * ldc)).Store(c + 4 * ldc);
            (c5a + Vector512.Load(c + 5 * ldc)).Store(c + 5 * ldc);
            (c6a + Vector512.Load(c + 6 * ldc)).Store(c + 6 * ldc);
            (c7a + Vector512.Load(c + 7 * ldc)).Store(c + 7 * ldc);
        }
        else
        {
            c0a.Store(c + 0 * ldc);
            c1a.Store(c + 1 * ldc);
            c2a.Store(c + 2 * ldc);
            c3a.Store(c + 3 * ldc);
            c4a.Store(c + 4 * ldc);
            c5a.Store(c + 5 * ldc);
            c6a.Store(c + 6 * ldc);
            c7a.Store(c + 7 * ldc);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Outer8x32(float* a, nint aStep, nint aSegment, float* b, nint bStep, nint bSegment, nint segments, nint count, float* c, nint ldc, bool accumulate)
    {
        Vector512<float> c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        Vector512<float> c0b = default, c1b = default, c2b = default, c3b = default, c4b = default, c5b = default, c6b = default, c7b = default;
        do
        {
            float* p = a, q = b;
            var left = count;
            do
            {
                var ba = Vector512.Load(q);
                var bb = Vector512.Load(q + 16);
                var x0 = Vector512.Create(p[0]);
                c0a = Vector512.FusedMultiplyAdd(x0, ba, c0a);
                c0b = Vector512.FusedMultiplyAdd(x0, bb, c0b);
                var x1 = Vector512.Create(p[1]);
                c1a = Vector512.FusedMultiplyAdd(x1, ba, c1a);
                c1b = Vector512.FusedMultiplyAdd(x1, bb, c1b);
                var x2 = Vector512.Create(p[2]);
                c2a = Vector512.FusedMultiplyAdd(x2, ba, c2a);
                c2b = Vector512.FusedMultiplyAdd(x2, bb, c2b);
                var x3 = Vector512.Create(p[3]);
                c3a = Vector512.FusedMultiplyAdd(x3, ba, c3a);
                c3b = Vector512.FusedMultiplyAdd(x3, bb, c3b);
                var x4 = Vector512.Create(p[4]);
                c4a = Vector512.FusedMultiplyAdd(x4, ba, c4a);
                c4b = Vector512.FusedMultiplyAdd(x4, bb, c4b);
                var x5 = Vector512.Create(p[5]);
                c5a = Vector512.FusedMultiplyAdd(x5, ba, c5a);
                c5b = Vector512.FusedMultiplyAdd(x5, bb, c5b);
                var x6 = Vector512.Create(p[6]);
                c6a = Vector512.FusedMultiplyAdd(x6, ba, c6a);
                c6b = Vector512.FusedMultiplyAdd(x6, bb, c6b);
                var x7 = Vector512.Create(p[7]);
                c7a = Vector512.FusedMultiplyAdd(x7, ba, c7a);
                c7b = Vector512.FusedMultiplyAdd(x7, bb, c7b);
                p += aStep;
                q += bStep;
            } while (--left != 0);
            a += aSegment;
            b += bSegment;
        } while (--segments != 0);
        if (accumulate)
        {
            (c0a + Vector512.Load(c + 0 * ldc)).Store(c + 0 * ldc);
            (c0b + Vector512.Load(c + 0 * ldc + 16)).Store(c + 0 * ldc + 16);
            (c1a + Vector512.Load(c + 1 * ldc)).Store(c + 1 * ldc);
            (c1b + Vector512.Load(c + 1 * ldc + 16)).Store(c + 1 * ldc + 16);
            (c2a + Vector512.Load(c + 2 * ldc)).Store(c + 2 * ldc);
            (c2b + Vector512.Load(c + 2 * ldc + 16)).Store(c + 2 * ldc + 16);
            (c3a + Vector512.Load(c + 3 * ldc)).Store(c + 3 * ldc);
            (c3b + Vector512.Load(c + 3 * ldc + 16)).Store(c + 3 * ldc + 16);
            (c4a + Vector512.Load(c + 4 * ldc)).Store(c + 4 * ldc);
            (c4b + Vector512.Load(c + 4 * ldc + 16)).Store(c + 4 * ldc + 16);
            (c5a + Vector512.Load(c + 5 * ldc)).Store(c + 5 * ldc);
            (c5b + Vector512.Load(c + 5 * ldc + 16)).Store(c + 5 * ldc + 16);
            (c6a + Vector512.Load(c + 6 * ldc)).Store(c + 6 * ldc);
            (c6b + Vector512.Load(c + 6 * ldc + 16)).Store(c + 6 * ldc + 16);
            (c7a + Vector512.Load(c + 7 * ldc)).Store(c + 7 * ldc);
            (c7b + Vector512.Load(c + 7 * ldc + 16)).Store(c + 7 * ldc + 16);
        }
        else
        {
            c0a.Store(c + 0 * ldc);
            c0b.Store(c + 0 * ldc + 16);
            c1a.Store(c + 1 * ldc);
            c1b.Store(c + 1 * ldc + 16);
            c2a.Store(c + 2 * ldc);
            c2b.Store(c + 2 * ldc + 16);
            c3a.Store(c + 3 * ldc);
            c3b.Store(c + 3 * ldc + 16);
            c4a.Store(c + 4 * ldc);
            c4b.Store(c + 4 * ldc + 16);
            c5a.Store(c + 5 * ldc);
            c5b.Store(c + 5 * ldc + 16);
            c6a.Store(c + 6 * ldc);
            c6b.Store(c + 6 * ldc + 16);
            c7a.Store(c + 7 * ldc);
            c7b.Store(c + 7 * ldc + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Outer8x16(float* a, nint aStep, nint aSegment, float* b, nint bStep, nint bSegment, nint segments, nint count, float* c, nint ldc, bool accumulate)
    {
        Vector512<float> c0a = default, c1a = default, c2a = default, c3a = default, c4a = default, c5a = default, c6a = default, c7a = default;
        do
        {
            float* p = a, q = b;
            var left = count;
            do
            {
                var ba = Vector512.Load(q);
                var x0 = Vector512.Create(p[0]);
                c0a = Vector512.FusedMultiplyAdd(x0, ba, c0a);
                var x1 = Vector512.Create(p[1]);
                c1a = Vector512.FusedMultiplyAdd(x1, ba, c1a);
                var x2 = Vector512.Create(p[2]);
                c2a = Vector512.FusedMultiplyAdd(x2, ba, c2a);
                var x3 = Vector512.Create(p[3]);
                c3a = Vector512.FusedMultiplyAdd(x3, ba, c3a);
                var x4 = Vector512.Create(p[4]);
                c4a = Vector512.FusedMultiplyAdd(x4, ba, c4a);
                var x5 = Vector512.Create(p[5]);
                c5a = Vector512.FusedMultiplyAdd(x5, ba, c5a);
                var x6 = Vector512.Create(p[6]);
                c6a = Vector512.FusedMultiplyAdd(x6, ba, c6a);
                var x7 = Vector512.Create(p[7]);
                c7a = Vector512.FusedMultiplyAdd(x7, ba, c7a);
                p += aStep;
                q += bStep;
            } while (--left != 0);
            a += aSegment;
            b += bSegment;
        } while (--segments != 0);
        if (accumulate)
        {
            (c0a + Vector512.Load(c + 0 * ldc)).Store(c + 0 * ldc);
            (c1a + Vector512.Load(c + 1 * ldc)).Store(c + 1 * ldc);
            (c2a + Vector512.Load(c + 2 * ldc)).Store(c + 2 * ldc);
            (c3a + Vector512.Load(c + 3 * ldc)).Store(c + 3 * ldc);
            (c4a + Vector512.Load(c + 4 * ldc)).Store(c + 4 * ldc);
            (c5a + Vector512.Load(c + 5 * ldc)).Store(c + 5 * ldc);
            (c6a + Vector512.Load(c + 6 * ldc)).Store(c + 6 * ldc);
            (c7a + Vector512.Load(c + 7 * ldc)).Store(c + 7 * ldc);
        }
        else
        {
            c0a.Store(c + 0 * ldc);
            c1a.Store(c + 1 * ldc);
            c2a.Store(c + 2 * ldc);
            c3a.Store(c + 3 * ldc);
            c4a.Store(c + 4 * ldc);
            c5a.Store(c + 5 * ldc);
            c6a.Store(c + 6 * ldc);
            c7a.Store(c + 7 * ldc);
        }
    }
}
