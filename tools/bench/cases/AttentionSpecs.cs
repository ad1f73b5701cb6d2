using Plip.Engine;

namespace Plip.Bench;

/// <summary>Attention in the shapes that a GPU meets beside captions, in windows too, and the rungs below the kernel that ships. The CPU's list has captions alone.</summary>
internal static class AttentionSpecs
{
    /// <summary>Pooling (the released head: one query, 33 keys, 8 heads of 256), long sequences, and every rung on captions.</summary>
    public static IEnumerable<OpSpec> OnGpu(Sizes sizes) =>
    [
        .. Even("attention_pool", sizes.Pictures, 1, 33, 8, 256),
        .. Even("attention_long", 4, 16 * sizes.Captions, 16 * sizes.Captions, 16, 64),
        .. AttentionLadder.Rungs.Select(r => OnCaptions(r, sizes.Captions, 768, 12)),
        .. Windows(sizes.Pictures, 64, 32, 4),
        .. Windows(sizes.Pictures, 16, 8, 16),
        .. PictureSpecs.Both(
            "stochastic_depth", [sizes.Pictures, 64, 32, 128], [Map(sizes.Pictures, 64, 32, 128), Map(sizes.Pictures, 64, 32, 128)], 2.5, 2,
            t => Ops.AddStochasticDepth(t[0], t[1], 0.5f, new Philox(1, 1, 1))),
    ];

    /// <summary>Swin-B's windows of 7 by heads of 32, shifted, on the maps it has of pictures of 256×128. The table is handed over as a vector: vectors stay F32.</summary>
    private static OpSpec[] Windows(int pictures, int height, int width, int heads)
    {
        const int Window = 7, Distances = (2 * Window - 1) * (2 * Window - 1);
        var c = 32 * heads;
        var qkv = Map(pictures, height, width, 3 * c);
        var products = (double)pictures * height * width * Window * Window * c;
        var spec = new OpSpec(
            "fused", "window_attention", FormattableString.Invariant($"{pictures}x{height}x{width} {heads}x32 windows of 7"),
            [qkv, new OpInput(InputKind.Plain, 3 * c), new OpInput(InputKind.Plain, Distances * heads)], Pass.Forward, 4 * products, qkv.Bytes * 4 / 3,
            t => Ops.WindowAttention(t[0], t[1], Ops.Reshape(t[2], Distances, heads), heads, Window, Window / 2));
        return [spec, spec with { Pass = Pass.Backward, Flops = 10 * products, Bytes = qkv.Bytes * 8 / 3 }];
    }

    private static OpInput Map(params int[] shape) => new(InputKind.Picture, shape);

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
