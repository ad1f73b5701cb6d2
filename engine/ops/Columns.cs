using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>What row <c>row</c> adds to two values of its channels: a and b are those of channels c …, i is the element.</summary>
internal interface IColumns
{
    void At<V>(nint i, int c, int row, ref V a, ref V b) where V : struct, IVector<V>;
}

/// <summary>Loops over rows of channels: (N, H, W, C) as N·H·W rows of C, or ranges of them.</summary>
internal static unsafe class Columns
{
    /// <summary>
    /// Folds rows into the two values a and b of each channel, which the caller has set. They stay in registers for all rows
    /// where a row is at most four vectors, and otherwise in L1: rows that come from memory are read in its order, since jumping
    /// between rows, two of them or four, long or short, costs more time than the loads of a and b it saves. Where they are in a
    /// cache it does not.
    /// </summary>
    /// <param name="start">The first element.</param>
    /// <param name="stride">Elements from a row to the next.</param>
    /// <param name="abreast">Rows of which four vectors each are folded before the next four.</param>
    public static void Fold<V, TBody>(TBody body, float* a, float* b, nint start, nint stride, int rows, int cols, int abreast = 1)
        where V : struct, IVector<V>
        where TBody : struct, IColumns
    {
        var tile = cols <= 4 * V.Count ? rows : abreast;
        for (var r = 0; r < rows; r += tile, start += tile * stride)
        {
            var (end, c) = (Math.Min(rows, r + tile), 0);
            for (; c <= cols - 4 * V.Count; c += 4 * V.Count) Four<V, TBody>(body, a + c, b + c, start + c, stride, r, end, c);
            for (; c <= cols - V.Count; c += V.Count) One<V, TBody>(body, a + c, b + c, start + c, stride, r, end, c);
            for (; c < cols; c++) One<Vec1, TBody>(body, a + c, b + c, start + c, stride, r, end, c);
        }
    }

    /// <summary>
    /// An elementwise loop over 0 … cols whose last vector overlaps the one before. The body may run twice for an element,
    /// so it must not read what it writes.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Each<V, TLoop>(TLoop body, int cols)
        where V : struct, IVector<V>
        where TLoop : struct, ILoop
    {
        if (cols >= V.Count)
        {
            for (var c = 0; c <= cols - V.Count; c += V.Count) body.At<V>(c);
            if (cols % V.Count != 0) body.At<V>(cols - V.Count);
        }
        else
        {
            for (var c = 0; c < cols; c++) body.At<Vec1>(c);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four<V, TBody>(TBody body, float* a, float* b, nint i, nint stride, int row, int end, int c)
        where V : struct, IVector<V>
        where TBody : struct, IColumns
    {
        V a0 = V.Load(a), a1 = V.Load(a + V.Count), a2 = V.Load(a + 2 * V.Count), a3 = V.Load(a + 3 * V.Count);
        V b0 = V.Load(b), b1 = V.Load(b + V.Count), b2 = V.Load(b + 2 * V.Count), b3 = V.Load(b + 3 * V.Count);
        for (; row < end; row++, i += stride)
        {
            body.At(i, c, row, ref a0, ref b0);
            body.At(i + V.Count, c + V.Count, row, ref a1, ref b1);
            body.At(i + 2 * V.Count, c + 2 * V.Count, row, ref a2, ref b2);
            body.At(i + 3 * V.Count, c + 3 * V.Count, row, ref a3, ref b3);
        }
        a0.Store(a);
        a1.Store(a + V.Count);
        a2.Store(a + 2 * V.Count);
        a3.Store(a + 3 * V.Count);
        b0.Store(b);
        b1.Store(b + V.Count);
        b2.Store(b + 2 * V.Count);
        b3.Store(b + 3 * V.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void One<V, TBody>(TBody body, float* a, float* b, nint i, nint stride, int row, int end, int c)
        where V : struct, IVector<V>
        where TBody : struct, IColumns
    {
        V va = V.Load(a), vb = V.Load(b);
        for (; row < end; row++, i += stride) body.At(i, c, row, ref va, ref vb);
        va.Store(a);
        vb.Store(b);
    }
}
