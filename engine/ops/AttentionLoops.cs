using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Attention on the CPU, one sequence and head at a time. T's rows are c elements apart and the head's d columns begin at <c>column</c>.</summary>
internal static unsafe class AttentionLoops
{
    public static double Pairs(Tensor cuQuery, Tensor cuKey)
    {
        ReadOnlySpan<int> queries = Packed.OnHost(cuQuery), keys = Packed.OnHost(cuKey);
        double pairs = 0;
        for (var b = 0; b + 1 < queries.Length; b++) pairs += (double)(queries[b + 1] - queries[b]) * (keys[b + 1] - keys[b]);
        return pairs;
    }

    // Queries handled at once: two panels. A block of scores is keys × that, so memory grows with a sequence, not its square.
    public static int QueryBlock<V>() where V : struct, IVector<V> => 2 * MicroKernels.Columns<V>();

    public static void Forward<V, T>(T* y, float* lse, T* q, T* k, T* v, int q0, int q1, int k0, int k1, nint c, int column, int d, float scale)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int block = QueryBlock<V>(), nk = k1 - k0;
        var copies = typeof(T) == typeof(F32) ? 0 : (2 * nk + block) * Pad<V>(d);
        var memory = TaskMemory.Take((long)(d + nk) * block + copies);
        float* packed = memory, scores = packed + d * block, copy = scores + nk * block;
        var keys = Side.Of<V, T>(k + k0 * c + column, c, nk, d, ref copy);
        var values = Side.Of<V, T>(v + k0 * c + column, c, nk, d, ref copy);
        for (var i = q0; i < q1; i += block)
        {
            var nq = Math.Min(block, q1 - i);
            var ld = Pad<V>(nq);
            T* at = q + i * c + column, to = y + i * c + column;
            PackTransposed<V, T>(at, c, nq, d, packed, scale);
            Product<V>(nk, ld, d, keys.At, keys.Stride, packed, scores, ld, accumulate: false);
            SoftmaxColumns<V>(scores, nk, nq, ld, lse + i);
            var (sums, stride) = typeof(T) == typeof(F32) ? ((nint)to, c) : ((nint)copy, Pad<V>(d));
            Gemm.OuterSerial<V>(nq, d, nk, scores, ld, values.At, values.Stride, (float*)sums, stride, accumulate: false);
            Round<V, T>(to, c, (float*)sums, stride, nq, d);
        }
    }

    public static void Backward<V, T>(
        T* dq, T* dk, T* dv, T* dy, float* lse, T* q, T* k, T* v, int q0, int q1, int k0, int k1, nint c, int column, int d, float scale)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        int block = QueryBlock<V>(), nk = k1 - k0, wide = Pad<V>(d);
        var plain = typeof(T) == typeof(F32);
        var memory = TaskMemory.Take((long)(wide + 2 * nk) * block + (plain ? 0 : (4L * nk + block) * wide));
        float* packed = memory, p = packed + wide * block, dp = p + nk * block, copy = dp + nk * block;
        var at = k0 * c + column;
        var keys = Side.Of<V, T>(k + at, c, nk, d, ref copy);
        var values = Side.Of<V, T>(v + at, c, nk, d, ref copy);
        var (dKeys, dValues) = (Side.For<V, T>(dk == null ? null : dk + at, c, nk, d, ref copy), Side.For<V, T>(dv == null ? null : dv + at, c, nk, d, ref copy));
        if (q0 == q1)
        {
            dKeys.Clear(nk, d);
            dValues.Clear(nk, d);
        }
        for (var i = q0; i < q1; i += block)
        {
            var nq = Math.Min(block, q1 - i);
            var ld = Pad<V>(nq);
            var accumulate = i > q0;
            T* qi = q + i * c + column, dyi = dy + i * c + column;
            PackTransposed<V, T>(qi, c, nq, d, packed, scale);
            Product<V>(nk, ld, d, keys.At, keys.Stride, packed, p, ld, accumulate: false);
            PackTransposed<V, T>(dyi, c, nq, d, packed, 1f);
            Product<V>(nk, ld, d, values.At, values.Stride, packed, dp, ld, accumulate: false);
            ScoreGradient<V>(p, dp, nk, nq, ld, lse + i, scale);
            if (dv != null)
            {
                Pack<V, T>(dyi, c, nq, d, packed);
                Product<V>(nk, d, nq, p, ld, packed, dValues.At, dValues.Stride, accumulate);
            }
            if (dk != null)
            {
                Pack<V, T>(qi, c, nq, d, packed);
                Product<V>(nk, d, nq, dp, ld, packed, dKeys.At, dKeys.Stride, accumulate);
            }
            if (dq == null) continue;
            var to = dq + i * c + column;
            var (sums, stride) = plain ? ((nint)to, c) : ((nint)copy, wide);
            Gemm.OuterSerial<V>(nq, d, nk, dp, ld, keys.At, keys.Stride, (float*)sums, stride, accumulate: false);
            Round<V, T>(to, c, (float*)sums, stride, nq, d);
        }
        if (dk != null) Round<V, T>(dk + at, c, dKeys.At, dKeys.Stride, nk, d);
        if (dv != null) Round<V, T>(dv + at, c, dValues.At, dValues.Stride, nk, d);
    }

    /// <summary>Scores (keys × queries) become probabilities down each column; lse gets log Σ exp of the scores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void SoftmaxColumns<V>(float* s, int nk, int nq, int ld, float* lse) where V : struct, IVector<V>
    {
        var lanes = stackalloc float[2 * V.Count];
        for (var j = 0; j < ld; j += V.Count)
        {
            var max = V.Load(s + j);
            for (var r = 1; r < nk; r++) max = V.Max(max, V.Load(s + (nint)r * ld + j));
            V sum = default;
            for (var r = 0; r < nk; r++)
            {
                var e = VectorMath.Exp(V.Load(s + (nint)r * ld + j) - max);
                sum += e;
                e.Store(s + (nint)r * ld + j);
            }
            var inverse = V.Create(1f) / sum;
            for (var r = 0; r < nk; r++) (V.Load(s + (nint)r * ld + j) * inverse).Store(s + (nint)r * ld + j);
            max.Store(lanes);
            sum.Store(lanes + V.Count);
            for (var i = j; i < Math.Min(nq, j + V.Count); i++) lse[i] = lanes[i - j] + MathF.Log(lanes[V.Count + i - j]);
        }
    }

    /// <summary>p: scores in, probabilities out; dp: gradient of the probabilities in, of the unscaled scores out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void ScoreGradient<V>(float* p, float* dp, int nk, int nq, int ld, float* lse, float scale) where V : struct, IVector<V>
    {
        var shift = stackalloc float[QueryBlock<V>()];
        for (var i = 0; i < ld; i++) shift[i] = i < nq ? lse[i] : 0f; // columns that pad hold score 0 and must stay finite
        for (var j = 0; j < ld; j += V.Count)
        {
            var off = V.Load(shift + j);
            V delta = default;
            for (var r = 0; r < nk; r++)
            {
                var e = VectorMath.Exp(V.Load(p + (nint)r * ld + j) - off);
                e.Store(p + (nint)r * ld + j);
                delta = V.Fma(e, V.Load(dp + (nint)r * ld + j), delta);
            }
            for (var r = 0; r < nk; r++)
            {
                var at = (nint)r * ld + j;
                (V.Load(p + at) * (V.Load(dp + at) - delta) * V.Create(scale)).Store(dp + at);
            }
        }
    }

    /// <summary>C (m×n) (+)= A (m×k, rows where they lie) · packed panels.</summary>
    [SkipLocalsInit]
    public static void Product<V>(int m, int n, int k, float* a, nint lda, float* packed, float* c, nint ldc, bool accumulate) where V : struct, IVector<V>
    {
        var rows = stackalloc float*[MicroKernels.MaxRows];
        var width = MicroKernels.Columns<V>();
        for (var j = 0; j < n; j += width, packed += (nint)k * width)
        {
            var nj = Math.Min(width, n - j);
            for (var i = 0; i < m; i += V.TileRows)
            {
                var count = Math.Min(V.TileRows, m - i);
                for (var r = 0; r < V.TileRows; r++) rows[r] = a + (i + Math.Min(r, count - 1)) * lda;
                MicroKernels.Rows<V>(rows, 1, 0, k, packed, nj <= V.Count, c + i * ldc + j, ldc, count, nj, accumulate, null);
            }
        }
    }

    /// <summary>Panels of X (rows × d) as it stands: the right operand of a product with inner extent <paramref name="rows"/>.</summary>
    public static void Pack<V, T>(T* x, nint ldx, int rows, int d, float* packed)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var width = MicroKernels.Columns<V>();
        for (var j = 0; j < d; j += width, packed += (nint)rows * width)
        {
            var count = Math.Min(width, d - j);
            PackedB<V>.PackRows(x + j, ldx, rows, packed, count <= V.Count ? V.Count : width, count);
        }
    }

    /// <summary>Panels of factor·Xᵀ (d × rows), zero-filled to their width.</summary>
    public static void PackTransposed<V, T>(T* x, nint ldx, int rows, int d, float* packed, float factor)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var width = MicroKernels.Columns<V>();
        for (var j = 0; j < rows; j += width, packed += (nint)d * width)
        {
            var count = Math.Min(width, rows - j);
            PackedB<V>.PackTransposed(x + j * ldx, ldx, d, packed, count <= V.Count ? V.Count : width, count, factor);
        }
    }

    /// <summary>Sums kept apart from what is stored are rounded into it.</summary>
    private static void Round<V, T>(T* to, nint c, float* sums, nint stride, int rows, int d)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (typeof(T) == typeof(F32)) return;
        for (var r = 0; r < rows; r++) Rows.Round<V, T>(to + r * c, sums + r * stride, d);
    }

    /// <summary>Columns a block of scores takes: whole vectors, as the narrow or the wide panel writes them.</summary>
    public static int Pad<V>(int n) where V : struct, IVector<V> => (n + V.Count - 1) / V.Count * V.Count;

    /// <summary>A head's rows in F32: where they lie, or a copy in the task's memory.</summary>
    private readonly struct Side(float* at, nint stride)
    {
        public float* At => at;

        public nint Stride => stride;

        public static Side Of<V, T>(T* x, nint c, int rows, int d, ref float* copy)
            where V : struct, IVector<V>
            where T : unmanaged, IElement<T>
        {
            var side = For<V, T>(x, c, rows, d, ref copy);
            if (typeof(T) != typeof(F32))
                for (var r = 0; r < rows; r++) Rows.Widen<V, T>(side.At + r * side.Stride, x + r * c, d);
            return side;
        }

        public static Side For<V, T>(T* x, nint c, int rows, int d, ref float* copy)
            where V : struct, IVector<V>
            where T : unmanaged, IElement<T>
        {
            if (x == null || typeof(T) == typeof(F32)) return new((float*)x, c);
            var side = new Side(copy, Pad<V>(d));
            copy += (nint)rows * Pad<V>(d);
            return side;
        }

        public void Clear(int rows, int d)
        {
            if (at == null) return;
            for (var r = 0; r < rows; r++) new Span<float>(at + r * stride, d).Clear();
        }
    }
}
