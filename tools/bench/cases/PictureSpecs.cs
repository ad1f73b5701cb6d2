using Plip.Engine;

namespace Plip.Bench;

/// <summary>Fused and memory-bound ops on maps (N, H, W, C).</summary>
internal static class PictureSpecs
{
    private static readonly int[] Tiny = [64, 24, 12, 64];

    public static IEnumerable<OpSpec> Of(Sizes sizes)
    {
        var n = sizes.Pictures;
        int[] stage1 = [n, 64, 32, 256], stage2 = [n, 32, 16, 512], last = [n, 8, 4, 2048], decoder = [n, 64, 32, 1024], small = [n, 8, 4, 256];
        return
        [
            .. new[] { stage1, stage2, Tiny }.SelectMany(s => Both("batch_norm_relu", s, Norm(s), 2, 3, t => Ops.BatchNorm(t[0], t[1], t[2], t[3], t[4], training: true, relu: true))),
            .. new[] { stage1, Tiny }.SelectMany(s => Both("batch_norm_add_relu", s, [.. Norm(s), Map(s)], 3, 5,
                t => Ops.BatchNorm(t[0], t[1], t[2], t[3], t[4], training: true, relu: true, residual: t[5]))),
            .. Both("relu", stage1, [Map(stage1)], 2, 3, t => Ops.Relu(t[0])),
            .. Both("add", stage1, [Map(stage1), Map(stage1)], 3, 0, t => Ops.Add(t[0], t[1]))[..1],
            .. Both("avg_pool2d", stage1, [Map(stage1)], 1.25, 1.25, t => Ops.AvgPool2d(t[0], 2), 2),
            .. Both("max_pool2d", stage1, [Map(stage1)], 1.25, 2.25, t => Ops.MaxPool2d(t[0], 2), 2),
            .. Both("max_pixels", last, [Map(last)], 1, 2, t => Ops.MaxPixels(t[0])),
            .. Both("mean_pixels", decoder, [Map(decoder)], 1, 1, t => Ops.MeanPixels(t[0])),
            .. Both("scale_channels", decoder, [Map(decoder), new OpInput(InputKind.Plain, n, 1024)], 2, 3, t => Ops.ScaleChannels(t[0], t[1])),
            .. Both("upsample_bilinear2d_x8", small, [Map(small)], 65, 65, t => Ops.UpsampleBilinear2d(t[0], 64, 32)),
            .. Both("concat_4", stage1, [Map(stage1), Map(stage1), Map(stage1), Map(stage1)], 8, 8, t => Ops.Concat(t, 3)),
        ];
    }

    /// <summary>Forward and backward.</summary>
    /// <param name="forward">Maps the size of the first input that the forward moves, at least.</param>
    /// <param name="backward">The same of the backward.</param>
    internal static OpSpec[] Both(string op, int[] shape, OpInput[] inputs, double forward, double backward, Func<Tensor[], Tensor> ours, int argument = 0)
    {
        var spec = new OpSpec("fused", op, string.Join('x', shape), inputs, Pass.Forward, 0, forward * inputs[0].Bytes, ours) { Args = (argument, 0) };
        return [spec, spec with { Pass = Pass.Backward, Bytes = backward * inputs[0].Bytes }];
    }

    private static OpInput Map(int[] shape) => new(InputKind.Picture, shape);

    private static OpInput[] Norm(int[] shape) =>
    [
        Map(shape), new(InputKind.Plain, shape[^1]) { Shift = 1, Scale = 0.1f }, new(InputKind.Plain, shape[^1]) { Scale = 0.1f },
        new(InputKind.Plain, shape[^1]) { Grad = false }, new(InputKind.Plain, shape[^1]) { Grad = false, Shift = 1, Scale = 0.01f },
    ];
}
