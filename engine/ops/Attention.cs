using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

// Multi-head attention over packed sequences.    Vaswani et al., arXiv:1706.03762; recomputation as in Dao et al., arXiv:2205.14135
//   forward   S = s·Q·Kᵀ,  P = softmax_rows S,  O = P·V          for each sequence and head; s = 1/√D
//   backward  dV = Pᵀ·dO;  dP = dO·Vᵀ;  dS = P⊙(dP − Σ_k P⊙dP);  dQ = s·dS·K;  dK = s·dSᵀ·Q
//   saved     q, k, v and the log-sum-exp of each row of S: one float a (head, token). P is recomputed as exp(S − lse).
//             At 25 tokens of 64 that is one product of five and an exp, and no (heads, T, T) tensor is written, kept
//             through the step and read back; on the GPU the choice is the same, so both devices save the same.
//   layout    scores are kept transposed, (keys × queries): then softmax runs down columns, 16 queries abreast with no
//             horizontal sums; P·V and dS·K read their operands where they lie; only Q, dO are packed, and no K or V.
//   care      the largest score is taken off before exp; the delta term is Σ P⊙dP, so O is not needed
// Cost: 4·Tq·Tk·D flops a head forward, 10 backward. One task a (sequence, head); no reduction crosses tasks.
public static partial class Ops
{
    /// <summary>Self-attention within each packed sequence: q, k, v (T, C), offsets I32 (B+1) → (T, C). F32.</summary>
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
    /// each → (Tq, C). Cross-attention; with one query a sequence, attention pooling. F32.
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
        int[] queries = Packed.Offsets(cuQuery, q.Rows), keys = ReferenceEquals(cuQuery, cuKey) && q.Rows == k.Rows ? queries : Packed.Offsets(cuKey, k.Rows);
        Require.That(queries.Length == keys.Length, $"{queries.Length - 1} sequences of queries, {keys.Length - 1} of keys");
        for (var b = 0; b + 1 < keys.Length; b++)
            Require.That(keys[b] < keys[b + 1] || queries[b] == queries[b + 1], $"sequence {b} has queries but no keys to attend to");
        var s = scale ?? 1f / MathF.Sqrt(q.Cols / heads);
        var y = Tensor.Like(q);
        var lse = Tensor.Empty(q.Device, new Shape(heads, q.Rows));
        y.Device.Run(cpu: cpu => AttentionCpu.Forward(cpu, y, lse, q, k, v, queries, keys, heads, s));
        return Tape.Record(y, [q, k, v], dy =>
        {
            var dq = q.NeedsGrad ? Tensor.Like(q) : null;
            var dk = k.NeedsGrad ? Tensor.Like(k) : null;
            var dv = v.NeedsGrad ? Tensor.Like(v) : null;
            dy.Device.Run(cpu: cpu => AttentionCpu.Backward(cpu, dq, dk, dv, dy, lse, q, k, v, queries, keys, heads, s));
            return [dq, dk, dv];
        }, [lse]);
    }
}

file static unsafe class AttentionCpu
{
    // Queries handled at once: two panels. A block of scores is keys × 64, so memory grows with a sequence, not its square.
    private const int QueryBlock = 2 * MicroKernels.NR;

    public static void Forward(CpuDevice cpu, Tensor y, Tensor lse, Tensor q, Tensor k, Tensor v, int[] queries, int[] keys, int heads, float scale)
    {
        float* py = y.F32, pl = lse.F32, pq = q.F32, pk = k.F32, pv = v.F32;
        int c = q.Cols, d = c / heads, total = q.Rows;
        cpu.For((queries.Length - 1) * heads, task =>
        {
            var (b, h) = (task / heads, task % heads);
            var nk = keys[b + 1] - keys[b];
            float* kh = pk + (long)keys[b] * c + h * d, vh = pv + (long)keys[b] * c + h * d;
            using var scratch = new Scratch((d + nk) * QueryBlock);
            float* packed = scratch.At, scores = packed + d * QueryBlock;
            for (var i = queries[b]; i < queries[b + 1]; i += QueryBlock)
            {
                var nq = Math.Min(QueryBlock, queries[b + 1] - i);
                var ld = Pad(nq);
                PackTransposed(pq + (long)i * c + h * d, c, nq, d, packed, scale);
                Product(nk, ld, d, kh, c, packed, scores, ld, accumulate: false);
                SoftmaxColumns(scores, nk, nq, ld, pl + (long)h * total + i);
                Gemm.OuterSerial(nq, d, nk, scores, ld, vh, c, py + (long)i * c + h * d, c, accumulate: false);
            }
        });
    }

    public static void Backward(
        CpuDevice cpu, Tensor? dq, Tensor? dk, Tensor? dv, Tensor dy, Tensor lse, Tensor q, Tensor k, Tensor v, int[] queries, int[] keys, int heads, float scale)
    {
        float* pdq = dq == null ? null : dq.F32, pdk = dk == null ? null : dk.F32, pdv = dv == null ? null : dv.F32;
        float* pdy = dy.F32, pl = lse.F32, pq = q.F32, pk = k.F32, pv = v.F32;
        int c = q.Cols, d = c / heads, total = q.Rows;
        cpu.For((queries.Length - 1) * heads, task =>
        {
            var (b, h) = (task / heads, task % heads);
            var nk = keys[b + 1] - keys[b];
            var atKey = (long)keys[b] * c + h * d;
            if (queries[b] == queries[b + 1])
            {
                for (var r = 0; r < nk; r++)
                {
                    if (pdk != null) new Span<float>(pdk + atKey + (long)r * c, d).Clear();
                    if (pdv != null) new Span<float>(pdv + atKey + (long)r * c, d).Clear();
                }
                return;
            }
            using var scratch = new Scratch((Pad(d) + 2 * nk) * QueryBlock);
            float* packed = scratch.At, p = packed + Pad(d) * QueryBlock, dp = p + nk * QueryBlock;
            for (var i = queries[b]; i < queries[b + 1]; i += QueryBlock)
            {
                var nq = Math.Min(QueryBlock, queries[b + 1] - i);
                var ld = Pad(nq);
                var accumulate = i > queries[b];
                float* qi = pq + (long)i * c + h * d, dyi = pdy + (long)i * c + h * d;
                PackTransposed(qi, c, nq, d, packed, scale);
                Product(nk, ld, d, pk + atKey, c, packed, p, ld, accumulate: false);
                PackTransposed(dyi, c, nq, d, packed, 1f);
                Product(nk, ld, d, pv + atKey, c, packed, dp, ld, accumulate: false);
                ScoreGradient(p, dp, nk, nq, ld, pl + (long)h * total + i, scale);
                if (pdv != null)
                {
                    Pack(dyi, c, nq, d, packed);
                    Product(nk, d, nq, p, ld, packed, pdv + atKey, c, accumulate);
                }
                if (pdk != null)
                {
                    Pack(qi, c, nq, d, packed);
                    Product(nk, d, nq, dp, ld, packed, pdk + atKey, c, accumulate);
                }
                if (pdq != null) Gemm.OuterSerial(nq, d, nk, dp, ld, pk + atKey, c, pdq + (long)i * c + h * d, c, accumulate: false);
            }
        });
    }

    /// <summary>Scores (keys × queries) become probabilities down each column; lse gets log Σ exp of the scores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SoftmaxColumns(float* s, int nk, int nq, int ld, float* lse)
    {
        for (var j = 0; j < ld; j += 16)
        {
            var max = Vector512.Load(s + j);
            for (var r = 1; r < nk; r++) max = Vector512.Max(max, Vector512.Load(s + (nint)r * ld + j));
            Vector512<float> sum = default;
            for (var r = 0; r < nk; r++)
            {
                var e = Simd.Exp(Vector512.Load(s + (nint)r * ld + j) - max);
                sum += e;
                e.Store(s + (nint)r * ld + j);
            }
            var inverse = Vector512<float>.One / sum;
            for (var r = 0; r < nk; r++) (Vector512.Load(s + (nint)r * ld + j) * inverse).Store(s + (nint)r * ld + j);
            for (var i = j; i < Math.Min(nq, j + 16); i++) lse[i] = max[i - j] + MathF.Log(sum[i - j]);
        }
    }

    /// <summary>p: scores in, probabilities out; dp: gradient of the probabilities in, of the unscaled scores out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private static void ScoreGradient(float* p, float* dp, int nk, int nq, int ld, float* lse, float scale)
    {
        var shift = stackalloc float[QueryBlock];
        for (var i = 0; i < ld; i++) shift[i] = i < nq ? lse[i] : 0f; // columns that pad hold score 0 and must stay finite
        for (var j = 0; j < ld; j += 16)
        {
            var off = Vector512.Load(shift + j);
            Vector512<float> delta = default;
            for (var r = 0; r < nk; r++)
            {
                var e = Simd.Exp(Vector512.Load(p + (nint)r * ld + j) - off);
                e.Store(p + (nint)r * ld + j);
                delta = Vector512.FusedMultiplyAdd(e, Vector512.Load(dp + (nint)r * ld + j), delta);
            }
            for (var r = 0; r < nk; r++)
            {
                var at = (nint)r * ld + j;
                (Vector512.Load(p + at) * (Vector512.Load(dp + at) - delta) * scale).Store(dp + at);
            }
        }
    }

    /// <summary>C (m×n) (+)= A (m×k, rows where they lie) · packed panels.</summary>
    [SkipLocalsInit]
    private static void Product(int m, int n, int k, float* a, nint lda, float* packed, float* c, nint ldc, bool accumulate)
    {
        var rows = stackalloc float*[MicroKernels.MR];
        for (var j = 0; j < n; j += MicroKernels.NR, packed += (nint)k * MicroKernels.NR)
        {
            var nj = Math.Min(MicroKernels.NR, n - j);
            var narrow = nj <= 16;
            for (var i = 0; i < m; i += MicroKernels.MR)
            {
                var count = Math.Min(MicroKernels.MR, m - i);
                for (var r = 0; r < MicroKernels.MR; r++) rows[r] = a + (i + Math.Min(r, count - 1)) * lda;
                MicroKernels.Rows(rows, 1, 0, k, packed, narrow, c + i * ldc + j, ldc, count, nj, accumulate);
            }
        }
    }

    /// <summary>Panels of X (rows × d) as it stands: the right operand of a product with inner extent <paramref name="rows"/>.</summary>
    private static void Pack(float* x, nint ldx, int rows, int d, float* packed)
    {
        for (var j = 0; j < d; j += MicroKernels.NR, packed += (nint)rows * MicroKernels.NR)
        {
            var count = Math.Min(MicroKernels.NR, d - j);
            PackedB.PackRows(x + j, ldx, rows, packed, count <= 16 ? 16 : MicroKernels.NR, count);
        }
    }

    /// <summary>Panels of factor·Xᵀ (d × rows), zero-filled to their width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackTransposed(float* x, nint ldx, int rows, int d, float* packed, float factor)
    {
        for (var j = 0; j < rows; j += MicroKernels.NR, packed += (nint)d * MicroKernels.NR)
        {
            var width = rows - j <= 16 ? 16 : MicroKernels.NR;
            for (var i = 0; i < width; i += 4)
            {
                float* source = x + (j + i) * ldx, to = packed + i;
                var there = Math.Clamp(rows - j - i, 0, 4);
                var e = 0;
                // Four by four in registers: a quarter of the loads and stores of a scalar transpose.
                if (Sse.IsSupported && there == 4)
                    for (; e <= d - 4; e += 4)
                    {
                        var f = Vector128.Create(factor);
                        Vector128<float> r0 = Vector128.Load(source + e) * f, r1 = Vector128.Load(source + ldx + e) * f;
                        Vector128<float> r2 = Vector128.Load(source + 2 * ldx + e) * f, r3 = Vector128.Load(source + 3 * ldx + e) * f;
                        Vector128<float> a = Sse.UnpackLow(r0, r1), b = Sse.UnpackLow(r2, r3), g = Sse.UnpackHigh(r0, r1), h = Sse.UnpackHigh(r2, r3);
                        Sse.MoveLowToHigh(a, b).Store(to + (nint)e * width);
                        Sse.MoveHighToLow(b, a).Store(to + (nint)(e + 1) * width);
                        Sse.MoveLowToHigh(g, h).Store(to + (nint)(e + 2) * width);
                        Sse.MoveHighToLow(h, g).Store(to + (nint)(e + 3) * width);
                    }
                for (; e < d; e++)
                    for (var r = 0; r < 4; r++) to[(nint)e * width + r] = r < there ? source[r * ldx + e] * factor : 0f;
            }
        }
    }

    /// <summary>Columns a block of scores takes: whole vectors, as the narrow or the wide panel writes them.</summary>
    private static int Pad(int n) => (n + 15) & ~15;

    /// <summary>A task's working memory from the runtime's pool, aligned to a cache line. Tasks are many and short; the pool keeps a buffer for each thread.</summary>
    private ref struct Scratch
    {
        private readonly float[] _array;
        private System.Runtime.InteropServices.GCHandle _pin;

        public Scratch(int floats)
        {
            _array = ArrayPool<float>.Shared.Rent(floats + 48); // 32 to read past the end, 16 to align
            _pin = System.Runtime.InteropServices.GCHandle.Alloc(_array, System.Runtime.InteropServices.GCHandleType.Pinned);
            At = (float*)((_pin.AddrOfPinnedObject() + 63) & ~(nint)63);
        }

        public float* At { get; }

        public void Dispose()
        {
            _pin.Free();
            ArrayPool<float>.Shared.Return(_array);
        }
    }
}
