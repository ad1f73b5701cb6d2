using Plip.Engine;

namespace Plip.Bench;

/// <summary>The losses of the three tasks.</summary>
internal static class LossSpecs
{
    public static IEnumerable<OpSpec> Of(Sizes sizes) =>
    [
        .. PictureSpecs.Both(
            "cross_entropy", [sizes.Masked, 30522], [new OpInput(InputKind.Plain, sizes.Masked, 30522), new OpInput(InputKind.Index, sizes.Masked) { Range = 30522 }], 1, 2,
            t => Ops.CrossEntropy(t[0], t[1])),
        .. LinearCrossEntropy(sizes.Masked, 768, 30522),
        .. Contrast("cmpm", t => Ops.Cmpm(t[0], t[1], t[2])),
        .. Contrast("info_nce", t => Ops.InfoNce(t[0], t[1], 10f)),
        .. sizes == Sizes.Gpu ? [.. Streamed(4096, 768), .. Streamed(32768, 768)] : Array.Empty<OpSpec>(),
        .. PictureSpecs.Both(
            "euclidean_loss", [sizes.Pictures, 256, 128, 3],
            [new OpInput(InputKind.Picture, sizes.Pictures, 256, 128, 3), new OpInput(InputKind.Picture, sizes.Pictures, 256, 128, 3) { Grad = false }], 2, 3,
            t => Ops.EuclideanLoss(t[0], t[1])),
    ];

    /// <summary>Batches whose pairs are not stored: one product of all pairs forward, and backward that one again and two more.</summary>
    internal static OpSpec[] Streamed(int pairs, int width)
    {
        var side = new OpInput(InputKind.Plain, pairs, width);
        OpInput[] inputs = [side, side, new OpInput(InputKind.Index, pairs) { Range = pairs / 2 }];
        var product = 2.0 * pairs * pairs * width;
        return
        [
            .. Both("cmpm", t => Ops.Cmpm(t[0], t[1], t[2])),
            .. Both("info_nce", t => Ops.InfoNce(t[0], t[1], 10f)),
        ];

        OpSpec[] Both(string op, Func<Tensor[], Tensor> ours)
        {
            var spec = PictureSpecs.Both(op, [pairs, width], inputs, 2, 4, ours);
            return [spec[0] with { Flops = product }, spec[1] with { Flops = 3 * product }];
        }
    }

    // One product forward, two backward: what ours computes again is not counted as work. The weight's gradient is F32.
    private static OpSpec[] LinearCrossEntropy(int rows, int width, int words)
    {
        OpInput x = new(InputKind.Plain, rows, width), w = new(InputKind.Plain, words, width) { Scale = 0.03f };
        var product = 2.0 * rows * width * words;
        var spec = new OpSpec(
            "fused", "linear_cross_entropy", FormattableString.Invariant($"{rows}x{width} of {words}"),
            [x, w, new OpInput(InputKind.Plain, words), new OpInput(InputKind.Index, rows) { Range = words }], Pass.Forward, product, x.Bytes + w.Bytes,
            t => Ops.LinearCrossEntropy(t[0], t[1], t[2], t[3]));
        return [spec, spec with { Pass = Pass.Backward, Flops = 2 * product, Bytes = 2 * (x.Bytes + w.Bytes) }];
    }

    // One product of all pairs forward, two backward.
    private static OpSpec[] Contrast(string op, Func<Tensor[], Tensor> ours)
    {
        const int pairs = 128, width = 768;
        var side = new OpInput(InputKind.Plain, pairs, width);
        var product = 2.0 * pairs * pairs * width;
        var spec = PictureSpecs.Both(op, [pairs, width], [side, side, new OpInput(InputKind.Index, pairs) { Range = 64 }], 2, 4, ours);
        return [spec[0] with { Flops = product, F32Only = true }, spec[1] with { Flops = 2 * product, F32Only = true }];
    }
}
