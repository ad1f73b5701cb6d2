using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>
/// Tiles one vector wide, where results have no more channels than that: twice as many rows as <see cref="MicroKernels.Rows{V}"/> takes, in the
/// registers that a second vector would have. Eight of 256 bits wait for each other otherwise (a multiply-add takes four
/// cycles and two begin in each), and a tile's beginning and end, a quarter of a sum over 72 terms, are paid half as often. Rows are evenly
/// spaced, so that four pointers and four indices reach them all. The sums are those of <see cref="MicroKernels.Rows{V}"/>, bit for bit.
/// </summary>
internal static unsafe class NarrowTiles
{
    /// <summary>Rows of a tile: 12 or 16.</summary>
    public static int Rows<V>() where V : struct, IVector<V> => 2 * V.TileRows;

    /// <summary>C (all rows × one vector) = A·B, plus C itself or a bias; the arguments of <see cref="MicroKernels.Rows{V}"/>.</summary>
    /// <param name="a">The first row of A.</param>
    /// <param name="step">Floats from one row of A to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<V>(
        float* a, nint step, nint segments, nint segmentStride, nint length, float* b, nint skip, float* c, nint ldc, bool accumulate, float* bias)
        where V : struct, IVector<V>
    {
        V c0 = default, c1 = default, c2 = default, c3 = default;
        V c4 = default, c5 = default, c6 = default, c7 = default;
        V c8 = default, c9 = default, c10 = default, c11 = default;
        V c12 = default, c13 = default, c14 = default, c15 = default;
        if (!accumulate && segments * length >= MicroKernels.ShortSum && Sse.IsSupported)
            for (var i = 0; i < Rows<V>(); i++) Sse.Prefetch0(c + i * ldc);
        float* from = accumulate ? c : bias;
        if (from != null)
        {
            var line = accumulate ? ldc : 0;
            c0 = V.Load(from + 0 * line);
            c1 = V.Load(from + 1 * line);
            c2 = V.Load(from + 2 * line);
            c3 = V.Load(from + 3 * line);
            c4 = V.Load(from + 4 * line);
            c5 = V.Load(from + 5 * line);
            c6 = V.Load(from + 6 * line);
            c7 = V.Load(from + 7 * line);
            c8 = V.Load(from + 8 * line);
            c9 = V.Load(from + 9 * line);
            c10 = V.Load(from + 10 * line);
            c11 = V.Load(from + 11 * line);
            if (V.TileRows == 8)
            {
                c12 = V.Load(from + 12 * line);
                c13 = V.Load(from + 13 * line);
                c14 = V.Load(from + 14 * line);
                c15 = V.Load(from + 15 * line);
            }
        }
        float* a4 = a + 4 * step, a8 = a4 + 4 * step, a12 = a8 + 4 * step;
        nint start = 0;
        do
        {
            nint k = start, end = start + length, k1 = k + step, k2 = k1 + step, k3 = k2 + step;
            do
            {
                var right = V.Load(b);
                c0 = V.Fma(V.Create(a[k]), right, c0);
                c1 = V.Fma(V.Create(a[k1]), right, c1);
                c2 = V.Fma(V.Create(a[k2]), right, c2);
                c3 = V.Fma(V.Create(a[k3]), right, c3);
                c4 = V.Fma(V.Create(a4[k]), right, c4);
                c5 = V.Fma(V.Create(a4[k1]), right, c5);
                c6 = V.Fma(V.Create(a4[k2]), right, c6);
                c7 = V.Fma(V.Create(a4[k3]), right, c7);
                c8 = V.Fma(V.Create(a8[k]), right, c8);
                c9 = V.Fma(V.Create(a8[k1]), right, c9);
                c10 = V.Fma(V.Create(a8[k2]), right, c10);
                c11 = V.Fma(V.Create(a8[k3]), right, c11);
                if (V.TileRows == 8)
                {
                    c12 = V.Fma(V.Create(a12[k]), right, c12);
                    c13 = V.Fma(V.Create(a12[k1]), right, c13);
                    c14 = V.Fma(V.Create(a12[k2]), right, c14);
                    c15 = V.Fma(V.Create(a12[k3]), right, c15);
                }
                b += V.Count;
                k1++;
                k2++;
                k3++;
            } while (++k != end);
            start += segmentStride;
            b += skip;
        } while (--segments != 0);
        c0.Store(c + 0 * ldc);
        c1.Store(c + 1 * ldc);
        c2.Store(c + 2 * ldc);
        c3.Store(c + 3 * ldc);
        c4.Store(c + 4 * ldc);
        c5.Store(c + 5 * ldc);
        c6.Store(c + 6 * ldc);
        c7.Store(c + 7 * ldc);
        c8.Store(c + 8 * ldc);
        c9.Store(c + 9 * ldc);
        c10.Store(c + 10 * ldc);
        c11.Store(c + 11 * ldc);
        if (V.TileRows != 8) return;
        c12.Store(c + 12 * ldc);
        c13.Store(c + 13 * ldc);
        c14.Store(c + 14 * ldc);
        c15.Store(c + 15 * ldc);
    }

    /// <summary>Floats from each of a tile's rows to the next, or 0 where that differs.</summary>
    public static nint Spacing<V>(float** rows) where V : struct, IVector<V>
    {
        var step = rows[1] - rows[0];
        for (var i = 2; i < Rows<V>(); i++)
            if (rows[i] - rows[i - 1] != step) return 0;
        return (nint)step;
    }
}
