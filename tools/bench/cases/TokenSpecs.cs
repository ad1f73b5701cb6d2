using Plip.Engine;

namespace Plip.Bench;

/// <summary>Ops on tokens: attention and what stands between the products of a BERT block.</summary>
internal static class TokenSpecs
{
    public static IEnumerable<OpSpec> Of(Sizes sizes) =>
    [
        .. Attention(sizes.Captions, 768, 12),
        .. Attention(sizes.Captions, 64, 4),
        .. new[] { 768, 64 }.SelectMany(c => PictureSpecs.Both(
            "layer_norm", [sizes.Tokens, c], [Plain(sizes.Tokens, c), Plain(c) with { Shift = 1, Scale = 0.1f }, Plain(c)], 2, 3, t => Ops.LayerNorm(t[0], t[1], t[2], 1e-12f))),
        .. PictureSpecs.Both(
            "add_layer_norm", [sizes.Tokens, 768],
            [Plain(sizes.Tokens, 768), Plain(sizes.Tokens, 768), Plain(768) with { Shift = 1, Scale = 0.1f }, Plain(768)], 3, 4,
            t => Ops.AddLayerNorm(t[0], t[1], t[2], t[3], 1e-12f, 0.1f, new Philox(1, 1, 1))),
        .. LinearGelu(sizes.Tokens, 768, 3072),
        .. PictureSpecs.Both("softmax", [sizes.Tokens, 64], [Plain(sizes.Tokens, 64)], 2, 3, t => Ops.Softmax(t[0])),
        .. PictureSpecs.Both("gelu", [sizes.Tokens, 3072], [Plain(sizes.Tokens, 3072)], 2, 3, t => Ops.Gelu(t[0])),
        .. PictureSpecs.Both("dropout", [sizes.Tokens, 768], [Plain(sizes.Tokens, 768)], 2, 2, t => Ops.Dropout(t[0], 0.1f, new Philox(1, 1, 1))),
        .. PictureSpecs.Both("l2_normalize", [sizes.Tokens, 768], [Plain(sizes.Tokens, 768)], 2, 3, t => Ops.L2Normalize(t[0])),
        .. Embedding(sizes.Tokens, 30522, 768),
    ];

    internal static OpSpec[] Attention(int captions, int width, int heads)
    {
        var lengths = SyntheticText.Lengths(captions, 20, 64);
        var tokens = lengths.Sum();
        var pairs = lengths.Sum(l => (double)l * l) * width;
        var qkv = Plain(tokens, width);
        var spec = new OpSpec(
            "fused", "attention", FormattableString.Invariant($"{captions} captions of 20-64 tokens {heads}x{width / heads}"),
            [qkv, qkv, qkv, new OpInput(InputKind.Offsets, captions + 1)], Pass.Forward, 4 * pairs, 4 * qkv.Bytes, t => Ops.Attention(t[0], t[1], t[2], t[3], heads))
        { Args = (heads, 0) };
        return [spec, spec with { Pass = Pass.Backward, Flops = 10 * pairs, Bytes = 7 * qkv.Bytes }];
    }

    // One product forward, two backward; h is written where a backward comes, and read by it.
    private static OpSpec[] LinearGelu(int tokens, int width, int inner)
    {
        OpInput x = Plain(tokens, width), w = Plain(inner, width) with { Scale = 0.03f };
        double product = 2.0 * tokens * width * inner, h = 4.0 * tokens * inner;
        var spec = new OpSpec(
            "fused", "linear_gelu", FormattableString.Invariant($"{tokens}x{width}x{inner}"), [x, w, Plain(inner)], Pass.Forward, product, x.Bytes + w.Bytes + h,
            t => Ops.LinearGelu(t[0], t[1], t[2]));
        return [spec, spec with { Pass = Pass.Backward, Flops = 2 * product, Bytes = 2 * (x.Bytes + w.Bytes + h) }];
    }

    // The backward writes the whole table's gradient, zeros included.
    private static OpSpec[] Embedding(int tokens, int words, int width)
    {
        var rows = 4.0 * tokens * width;
        var spec = new OpSpec(
            "fused", "embedding", FormattableString.Invariant($"{tokens} of {words}x{width}"),
            [Plain(words, width), new OpInput(InputKind.Index, tokens) { Range = words }], Pass.Forward, 0, 2 * rows, t => Ops.Embedding(t[0], t[1]));
        return [spec, spec with { Pass = Pass.Backward, Bytes = rows + 4.0 * words * width }];
    }

    private static OpInput Plain(params int[] shape) => new(InputKind.Plain, shape);
}
