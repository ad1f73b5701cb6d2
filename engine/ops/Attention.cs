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
//   on a GPU  BF16 and F16 go to tensor cores (AttentionMma), F32 and what does not fit there to the plain units (AttentionPlain), in F32
// Cost: 4·Tq·Tk·D flops a head forward, 10 backward. One task a (sequence, head); no reduction crosses tasks.
public static partial class Ops
{
    /// <summary>Self-attention within each packed sequence: q, k, v (T, C), offsets I32 (B+1) → (T, C). F32 or BF16, and F16 on a GPU.</summary>
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
    /// each → (Tq, C). Cross-attention; with one query a sequence, attention pooling. F32 or BF16, and F16 on a GPU.
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
        var x = new AttentionInputs(q, k, v, cuQuery, cuKey, heads, scale ?? 1f / MathF.Sqrt(q.Cols / heads));
        var y = Tensor.Like(q);
        var lse = Tensor.Empty(q.Device, new Shape(heads, q.Rows));
        y.Device.Run(q.DType, new AttentionForward(y, lse, x));
        return Tape.Record(y, [q, k, v], dy =>
        {
            var dq = q.NeedsGrad ? Tensor.Like(q) : null;
            var dk = k.NeedsGrad ? Tensor.Like(k) : null;
            var dv = v.NeedsGrad ? Tensor.Like(v) : null;
            dy.Device.Run(q.DType, new AttentionBackward(dq, dk, dv, dy, y, lse, x));
            return [dq, dk, dv];
        }, [lse]);
    }
}

/// <summary>What every way of doing attention takes: (T, C) each, offsets I32 (B+1).</summary>
internal readonly record struct AttentionInputs(Tensor Q, Tensor K, Tensor V, Tensor CuQuery, Tensor CuKey, int Heads, float Scale)
{
    /// <summary>Columns of a head.</summary>
    public int Width => Q.Cols / Heads;

    /// <summary>How many sequences are packed.</summary>
    public int Sequences => (int)CuQuery.Count - 1;

    /// <summary>Whether queries and keys have the same offsets, so that their tiles are the same.</summary>
    public bool PackedAlike => ReferenceEquals(CuQuery, CuKey);

    /// <summary>C times the pairs of a query and a key that it attends to; on a GPU this waits for the offsets.</summary>
    public double Products => Q.Cols * AttentionLoops.Pairs(CuQuery, CuKey);
}

file readonly unsafe struct AttentionForward(Tensor y, Tensor lse, AttentionInputs x) : IKernel
{
    public Work Work => new("attention_forward", y.Bytes + x.Q.Bytes + x.K.Bytes + x.V.Bytes, 4 * x.Products);

    public void Run(CudaDevice gpu, DType type)
    {
        if (AttentionMma.Takes(gpu, type, x.Width)) AttentionMma.Forward(gpu, type, y, lse, x);
        else AttentionPlain.Forward(gpu, type, y, lse, x);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), pq = x.Q.At<T>(), pk = x.K.At<T>(), pv = x.V.At<T>();
        var pl = lse.F32;
        int c = x.Q.Cols, h = x.Heads, total = x.Q.Rows;
        int* queries = x.CuQuery.I32, keys = x.CuKey.I32;
        var s = x.Scale;
        cpu.For(x.Sequences * h, task =>
        {
            var (b, head) = Math.DivRem(task, h);
            AttentionLoops.Forward<V, T>(py, pl + (long)head * total, pq, pk, pv, queries[b], queries[b + 1], keys[b], keys[b + 1], c, head * (c / h), c / h, s);
        });
    }
}

file readonly unsafe struct AttentionBackward(
    Tensor? dq, Tensor? dk, Tensor? dv, Tensor dy, Tensor y, Tensor lse, AttentionInputs x) : IKernel
{
    public Work Work => new("attention_backward", 2 * (x.Q.Bytes + x.K.Bytes + x.V.Bytes) + dy.Bytes, 10 * x.Products);

    public void Run(CudaDevice gpu, DType type)
    {
        if (AttentionMma.Takes(gpu, type, x.Width)) AttentionMma.Backward(gpu, type, dq, dk, dv, dy, y, lse, x);
        else AttentionPlain.Backward(gpu, type, dq, dk, dv, dy, y, lse, x);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdq = dq == null ? null : dq.At<T>(), pdk = dk == null ? null : dk.At<T>(), pdv = dv == null ? null : dv.At<T>();
        T* pdy = dy.At<T>(), pq = x.Q.At<T>(), pk = x.K.At<T>(), pv = x.V.At<T>();
        var pl = lse.F32;
        int c = x.Q.Cols, h = x.Heads, total = x.Q.Rows;
        int* queries = x.CuQuery.I32, keys = x.CuKey.I32;
        var s = x.Scale;
        cpu.For(x.Sequences * h, task =>
        {
            var (b, head) = Math.DivRem(task, h);
            AttentionLoops.Backward<V, T>(
                pdq, pdk, pdv, pdy, pl + (long)head * total, pq, pk, pv, queries[b], queries[b + 1], keys[b], keys[b + 1], c, head * (c / h), c / h, s);
        });
    }
}
