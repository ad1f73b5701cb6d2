using Plip.Engine;

namespace Plip.Bench;

/// <summary>Attention in the shapes that a GPU meets beside captions, and the rungs below the kernel that ships. The CPU's list has captions alone.</summary>
internal static class AttentionSpecs
{
    /// <summary>Pooling (the released head: one query, 33 keys, 8 heads of 256), long sequences, and every rung on captions.</summary>
    public static IEnumerable<OpSpec> OnGpu(Sizes sizes) =>
    [
        .. Even("attention_pool", sizes.Pictures, 1, 33, 8, 256),
        .. Even("attention_long", 4, 16 * sizes.Captions, 16 * sizes.Captions, 16, 64),
        .. AttentionLadder.Rungs.Select(r => OnCaptions(r, sizes.Captions, 768, 12)),
    ];

    private static OpSpec[] Even(string op, int sequences, int queries, int keys, int heads, int headWidth)
    {
        var width = heads * headWidth;
        OpInput q = new(InputKind.Plain, sequences * queries, width), kv = new(InputKind.Plain, sequences * keys, width);
        var products = (double)sequences * queries * keys * width;
        var spec = new OpSpec(
            "fused", op, FormattableString.Invariant($"{sequences} of {queries} queries and {keys} keys {heads}x{headWidth}"), [q, kv, kv], Pass.Forward,
            4 * products, 2 * q.Bytes + 2 * kv.Bytes, t => Attend(t, sequences, queries, keys, heads));
        return [spec, spec with { Pass = Pass.Backward, Flops = 10 * products, Bytes = 3 * q.Bytes + 4 * kv.Bytes }];
    }

    private static Tensor Attend(Tensor[] t, int sequences, int queries, int keys, int heads)
    {
        var ofQueries = Ops.EvenOffsets(t[0].Device, sequences, queries);
        return Ops.Attention(t[0], t[1], t[2], ofQueries, keys == queries ? ofQueries : Ops.EvenOffsets(t[0].Device, sequences, keys), heads);
    }

    private static OpSpec OnCaptions(Rung rung, int captions, int width, int heads)
    {
        var ours = TokenSpecs.Attention(captions, width, heads)[0];
        return ours with { Op = rung.Name, Ours = t => AttentionLadder.Run(rung, t[0], t[1], t[2], t[3], t[3], heads) };
    }
}
