using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Multi-head attention over packed sequences.    Vaswani et al., arXiv:1706.03762; recomputation as in Dao et al., arXiv:2205.14135
//   forward   S = s·Q·Kᵀ,  P = softmax_rows S,  O = P·V          for each sequence and head; s = 1/√D
//   backward  dV = Pᵀ·dO;  dP = dO·Vᵀ;  dS = P⊙(dP − Σ_k P⊙dP);  dQ = s·dS·K;  dK = s·dSᵀ·Q
//   saved     q, k, v and the log-sum-exp of each row of S: one float a (head, token). P is recomputed as exp(S − lse).
//             At 25 tokens of 64 that is one product of five and an exp, and no (heads, T, T) tensor is written, kept
//             through the step and read back; on the GPU the choice is the same, so both devices save the same.
//   layout    scores are kept transposed, (keys × queries): then softmax runs down columns, a vector of queries abreast with no
//             horizontal sums; P·V and dS·K read their operands where they lie; only Q, dO are packed, and no K or V.
//   care      the largest score is taken off before exp; the delta term is Σ P⊙dP, so the CPU needs no O. A GPU takes Σ dO⊙O, which is
//             the same and needs no pass over the keys before the one that uses it; O waits for the backward anyway
// Cost: 4·Tq·Tk·D flops a head forward, 10 backward. One task a (sequence, head); no reduction crosses tasks.
public static partial class Ops
{
    /// <summary>Self-attention within each packed sequence: q, k, v (T, C), offsets I32 (B+1) → (T, C). F32 or BF16.</summary>
    /// <param name="q">Queries; head h is columns h·C/heads and on.</param>
    /// <param name="k">Keys.</param>
    /// <param name="v">Values.</param>
    /// <param name="cuSeqlens">Where each sequence starts, and T at the end.</param>
    /// <param name="heads">Number of heads; divides C.</param>
    /// <param name="scale">Factor on the scores; 1/√(C/heads) unless given.</param>
    /// <exception cref="ArgumentException">Shapes, offsets or heads do not fit.</exception>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor cuSeqlens, int heads, float? scale = null) =>
        Attention(q, k, v, cuSeqlens, cuSeqlens, heads, scale);

    /// <summary>
    /// Attention of each sequence's queries to the same sequence's keys: q (Tq, C), k and v (Tk, C), offsets I32 (B+1)
    /// each → (Tq, C). Cross-attention; with one query a sequence, attention pooling. F32 or BF16.
    /// </summary>
    /// <param name="q">Queries; head h is columns h·C/heads and on.</param>
    /// <param name="k">Keys.</param>
    /// <param name="v">Values.</param>
    /// <param name="cuQuery">Where each sequence's queries start, and Tq at the end.</param>
    /// <param name="cuKey">Where each sequence's keys start, and Tk at the end.</param>
    /// <param name="heads">Number of heads; divides C.</param>
    /// <param name="scale">Factor on the scores; 1/√(C/heads) unless given.</param>
    /// <exception cref="ArgumentException">Shapes, offsets or heads do not fit, or a sequence has queries and no keys.</exception>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor cuQuery, Tensor cuKey, int heads, float? scale = null)
    {
        Require.Rank(q, 2, "queries (T, C)");
        Require.Rank(k, 2, "keys (T, C)");
        Require.SameShape(k, v);
        Require.That(q.Cols == k.Cols, $"queries {q.Shape} and keys {k.Shape} differ in width");
        Require.That(heads > 0 && q.Cols > 0 && q.Cols % heads == 0, $"{heads} heads do not divide a width of {q.Cols}");
        var own = ReferenceEquals(cuQuery, cuKey) && q.Rows == k.Rows;
        int sequences = Packed.Count(cuQuery, q.Rows), others = own ? sequences : Packed.Count(cuKey, k.Rows);
        Require.That(sequences == others, $"{sequences} sequences of queries, {others} of keys");
        if (!own) Packed.RequireKeys(cuQuery, cuKey);
        var s = scale ?? 1f / MathF.Sqrt(q.Cols / heads);
        var y = Tensor.Like(q);
        var lse = Tensor.Empty(q.Device, new Shape(heads, q.Rows));
        y.Device.Run(q.DType, new AttentionForward(y, lse, q, k, v, cuQuery, cuKey, heads, s));
        return Tape.Record(y, [q, k, v], dy =>
        {
            var dq = q.NeedsGrad ? Tensor.Like(q) : null;
            var dk = k.NeedsGrad ? Tensor.Like(k) : null;
            var dv = v.NeedsGrad ? Tensor.Like(v) : null;
            dy.Device.Run(q.DType, new AttentionBackward(dq, dk, dv, dy, y, lse, q, k, v, cuQuery, cuKey, heads, s));
            return [dq, dk, dv];
        }, [lse]);
    }
}

file readonly unsafe struct AttentionForward(
    Tensor y, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor cuQuery, Tensor cuKey, int heads, float scale) : IKernel
{
    public Work Work => new("attention_forward", y.Bytes + q.Bytes + k.Bytes + v.Bytes, 4.0 * q.Cols * AttentionLoops.Pairs(cuQuery, cuKey));

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new AttentionTiles(q.Cols / heads);
        gpu.Launch(
            "attention", "attention_forward", [("TYPE", type), ("HEAD", tiles.Width), ("PACK", Pack.Of(type, tiles.Width, q, k, v))],
            tiles.Grid(q, cuQuery, heads).Shared(tiles.ForwardBytes),
            y, lse, q, k, v, cuQuery, cuKey, (int)cuQuery.Count - 1, q.Rows, q.Cols, scale);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), pq = q.At<T>(), pk = k.At<T>(), pv = v.At<T>();
        var pl = lse.F32;
        int c = q.Cols, h = heads, total = q.Rows;
        int* queries = cuQuery.I32, keys = cuKey.I32;
        var s = scale;
        cpu.For(((int)cuQuery.Count - 1) * heads, task =>
        {
            var (b, head) = Math.DivRem(task, h);
            AttentionLoops.Forward<V, T>(py, pl + (long)head * total, pq, pk, pv, queries[b], queries[b + 1], keys[b], keys[b + 1], c, head * (c / h), c / h, s);
        });
    }
}

file readonly unsafe struct AttentionBackward(
    Tensor? dq, Tensor? dk, Tensor? dv, Tensor dy, Tensor y, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor cuQuery, Tensor cuKey,
    int heads, float scale) : IKernel
{
    public Work Work => new(
        "attention_backward", 2 * (q.Bytes + k.Bytes + v.Bytes) + dy.Bytes, 10.0 * q.Cols * AttentionLoops.Pairs(cuQuery, cuKey));

    public void Run(CudaDevice gpu, DType type)
    {
        var tiles = new AttentionTiles(q.Cols / heads);
        var sequences = (int)cuQuery.Count - 1;
        using var delta = gpu.Scratch((long)heads * q.Rows);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("HEAD", tiles.Width), ("PACK", Pack.Of(type, tiles.Width, q, k, v, dy))];
        gpu.Launch("attention", "attention_delta", constants, Launch.WarpPerRow((long)q.Rows * heads), delta, dy, y, (long)q.Rows, heads);
        if (dq != null)
            gpu.Launch(
                "attention", "attention_backward_queries", constants, tiles.Grid(q, cuQuery, heads).Shared(tiles.BackwardBytes(1)),
                dq, dy, lse, delta, q, k, v, cuQuery, cuKey, sequences, q.Rows, q.Cols, scale);
        if (dk != null || dv != null)
            gpu.Launch(
                "attention", "attention_backward_keys", constants, tiles.Grid(k, cuKey, heads).Shared(tiles.BackwardBytes(2)),
                dk, dv, dy, lse, delta, q, k, v, cuQuery, cuKey, sequences, q.Rows, q.Cols, scale);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdq = dq == null ? null : dq.At<T>(), pdk = dk == null ? null : dk.At<T>(), pdv = dv == null ? null : dv.At<T>();
        T* pdy = dy.At<T>(), pq = q.At<T>(), pk = k.At<T>(), pv = v.At<T>();
        var pl = lse.F32;
        int c = q.Cols, h = heads, total = q.Rows;
        int* queries = cuQuery.I32, keys = cuKey.I32;
        var s = scale;
        cpu.For(((int)cuQuery.Count - 1) * heads, task =>
        {
            var (b, head) = Math.DivRem(task, h);
            AttentionLoops.Backward<V, T>(
                pdq, pdk, pdv, pdy, pl + (long)head * total, pq, pk, pv, queries[b], queries[b + 1], keys[b], keys[b + 1], c, head * (c / h), c / h, s);
        });
    }
}

/// <summary>How kernels/attention.cu cuts a head of this width, and the shared memory it takes.</summary>
file readonly struct AttentionTiles(int width)
{
    public int Width => width;

    private int Rows => width <= 64 ? 64 : width <= 128 ? 32 : 16;

    private int Walked => width <= 64 ? 32 : 16;

    private int Stride => (width + 15) / 16 * 16 + 4;

    public int ForwardBytes => (2 * Rows * Stride + Rows * (Rows + 4)) * sizeof(float);

    public int BackwardBytes(int scores) => (2 * (Rows + Walked) * Stride + scores * Rows * (Walked + 4)) * sizeof(float);

    /// <summary>⌊T/Rows⌋ + B tiles are enough for sequences of any lengths.</summary>
    public Launch Grid(Tensor x, Tensor offsets, int heads) => Launch.Grid(x.Rows / Rows + offsets.Count - 1, heads).Of(16, 16);
}

/// <summary>One sequence and head. T's rows are c elements apart and the head's d columns begin at <c>column</c>.</summary>
file static unsafe class AttentionLoops
{
    public static double Pairs(Tensor cuQuery, Tensor cuKey)
    {
        ReadOnlySpan<int> queries = Packed.OnHost(cuQuery), keys = Packed.OnHost(cuKey);
        double pairs = 0;
        for (var b = 0; b + 1 < queries.Length; b++) pairs += (double)(queries[b + 1] - queries[b]) * (keys[b + 1] - keys[b]);
        return pairs;
    }

    // Queries handled at once: two panels. A block of scores is keys × that, so memory grows with a sequence, not its square.
    private static int QueryBlock<V>() where V : struct, IVector<V> => 2 * MicroKernels.Columns<V>();

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
    private static void SoftmaxColumns<V>(float* s, int nk, int nq, int ld, float* lse) where V : struct, IVector<V>
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
    private static void ScoreGradient<V>(float* p, float* dp, int nk, int nq, int ld, float* lse, float scale) where V : struct, IVector<V>
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
    private static void Product<V>(int m, int n, int k, float* a, nint lda, float* packed, float* c, nint ldc, bool accumulate) where V : struct, IVector<V>
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
    private static void Pack<V, T>(T* x, nint ldx, int rows, int d, float* packed)
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
    private static void PackTransposed<V, T>(T* x, nint ldx, int rows, int d, float* packed, float factor)
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
    private static int Pad<V>(int n) where V : struct, IVector<V> => (n + V.Count - 1) / V.Count * V.Count;

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
