using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Plip.Evaluation;

/// <summary>
/// Normalised rows and their dot products. A score is one accumulator of 16 lanes, filled in the order of the
/// dimensions by multiply then add (never fused) and summed in one fixed tree. So a pair has the same bits in a tile or
/// alone, in the first pass or the second, on any thread, and on any vector width.
/// </summary>
internal static class Similarity
{
    private const int Lanes = 16;

    /// <summary>Dimensions after padding with zeros to whole vectors: no tail to handle, no change to a sum.</summary>
    public static int Padded(int dim) => (dim + Lanes - 1) / Lanes * Lanes;

    /// <summary>
    /// Writes L2-normalised rows, padded. A row of zeros stays zero: its cosine with everything is 0.
    /// </summary>
    /// <exception cref="ArgumentException">A value is not finite; names the row.</exception>
    public static void Normalise(ReadOnlyMemory<float> source, int dim, float[] target, int rows, string what, long firstRow, ParallelOptions parallel)
    {
        var padded = Padded(dim);
        Parallel.For(0, rows, parallel, row =>
        {
            var from = source.Span.Slice(row * dim, dim);
            var to = target.AsSpan(row * padded, padded);
            double squares = 0;
            foreach (var x in from) squares += (double)x * x;
            if (!double.IsFinite(squares))
                throw new ArgumentException($"Row {firstRow + row} of the {what} embeddings holds a value that is not finite.");
            var scale = squares > 0 ? 1 / Math.Sqrt(squares) : 0;
            for (var i = 0; i < dim; i++) to[i] = (float)(from[i] * scale);
            to[dim..].Clear();
        });
    }

    /// <summary>One score.</summary>
    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        ref var pa = ref MemoryMarshal.GetReference(a);
        ref var pb = ref MemoryMarshal.GetReference(b);
        var sum = Vector512<float>.Zero;
        for (nuint i = 0; i < (nuint)a.Length; i += Lanes)
            sum += Vector512.LoadUnsafe(ref pa, i) * Vector512.LoadUnsafe(ref pb, i);
        return Sum(sum);
    }

    /// <summary>Eight scores: two consecutive queries × four consecutive gallery rows; each vector loaded feeds two or four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // the first tiers of the JIT run this loop many times slower
    public static void Tile(ReadOnlySpan<float> queries, ReadOnlySpan<float> rows, int padded, Span<float> scores)
    {
        if (queries.Length < 2 * padded || rows.Length < 4 * padded || scores.Length < 8)
            throw new ArgumentException("A tile takes two queries, four rows and eight scores.");
        ref var q = ref MemoryMarshal.GetReference(queries);
        ref var g = ref MemoryMarshal.GetReference(rows);
        nuint d = (nuint)padded;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        for (nuint i = 0; i < d; i += Lanes)
        {
            var q0 = Vector512.LoadUnsafe(ref q, i);
            var q1 = Vector512.LoadUnsafe(ref q, i + d);
            var g0 = Vector512.LoadUnsafe(ref g, i);
            s00 += q0 * g0;
            s10 += q1 * g0;
            var g1 = Vector512.LoadUnsafe(ref g, i + d);
            s01 += q0 * g1;
            s11 += q1 * g1;
            var g2 = Vector512.LoadUnsafe(ref g, i + 2 * d);
            s02 += q0 * g2;
            s12 += q1 * g2;
            var g3 = Vector512.LoadUnsafe(ref g, i + 3 * d);
            s03 += q0 * g3;
            s13 += q1 * g3;
        }
        scores[0] = Sum(s00);
        scores[1] = Sum(s01);
        scores[2] = Sum(s02);
        scores[3] = Sum(s03);
        scores[4] = Sum(s10);
        scores[5] = Sum(s11);
        scores[6] = Sum(s12);
        scores[7] = Sum(s13);
    }

    private static float Sum(Vector512<float> v)
    {
        var v256 = v.GetLower() + v.GetUpper();
        var v128 = v256.GetLower() + v256.GetUpper();
        return (v128.GetElement(0) + v128.GetElement(1)) + (v128.GetElement(2) + v128.GetElement(3));
    }
}
