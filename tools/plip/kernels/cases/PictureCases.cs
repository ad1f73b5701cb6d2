using Plip.Engine;

namespace Plip.Tool;

/// <summary>Pictures (N, H, W, C).</summary>
internal static class PictureCases
{
    public static IEnumerable<KernelCase> All =>
    [
        BatchNorm("batch_norm 2x7x5x8", [2, 7, 5, 8], training: true, relu: false, residual: false),
        BatchNorm("batch_norm 2x280x130x1", [2, 280, 130, 1], training: true, relu: false, residual: false), // more blocks than are merged at once
        BatchNorm("batch_norm_relu 3x11x10x70", [3, 11, 10, 70], training: true, relu: true, residual: false),
        BatchNorm("batch_norm_add_relu 3x11x10x24", [3, 11, 10, 24], training: true, relu: true, residual: true),
        Groups("batch_norm_add_relu 2 groups 4x5x6x24", [4, 5, 6, 24], training: true),
        Groups("batch_norm_add_relu running 2 groups 4x5x6x24", [4, 5, 6, 24], training: false),
        BatchNorm("batch_norm running 2x7x5x8", [2, 7, 5, 8], training: false, relu: false, residual: false),
        new("avg_pool2d 2x6x5x8", i => Ops.AvgPool2d(i.Data(2, 6, 4, 8), 2)),
        new("adaptive_avg_pool2d 2x7x5x5", i => Ops.AdaptiveAvgPool2d(i.Data(2, 7, 5, 5), 3, 2)),
        new("max_pool2d 2x7x6x8 3 stride 2", i => Ops.MaxPool2d(i.Data(2, 7, 6, 8), 3, 2, 1)),
        new("max_pool2d 2x6x4x5", i => Ops.MaxPool2d(i.Data(2, 6, 4, 5), 2)),
        new("max_pixels 2x20x15x20", i => Ops.MaxPixels(i.Data(2, 20, 15, 20))),
        new("max_pixels 2x5x3x7", i => Ops.MaxPixels(i.Data(2, 5, 3, 7))),
        new("mean_pixels 2x20x15x20", i => Ops.MeanPixels(i.Data(2, 20, 15, 20))),
        new("mean_pixels 2x5x3x7", i => Ops.MeanPixels(i.Data(2, 5, 3, 7))),
        new("scale_channels 2x20x15x20", i => Ops.ScaleChannels(i.Data(2, 20, 15, 20), i.Data(2, 20))),
        new("scale_channels 2x5x3x7", i => Ops.ScaleChannels(i.Data(2, 5, 3, 7), i.Data(2, 7))),
        new("upsample_nearest2d 2x4x3x8", i => Ops.UpsampleNearest2d(i.Data(2, 4, 3, 8), 3)),
        new("upsample_bilinear2d 2x4x3x5", i => Ops.UpsampleBilinear2d(i.Data(2, 4, 3, 5), 7, 9)),
    ];

    private static KernelCase BatchNorm(string name, int[] shape, bool training, bool relu, bool residual) => new(name, i =>
    {
        var c = shape[^1];
        return Ops.BatchNorm(
            i.Data(shape), i.Vector(c, 1), i.Vector(c), i.Watch(i.Statistics(c), "running mean"), i.Watch(i.Statistics(c, 1, 0.1f), "running variance"),
            training, relu: relu, residual: residual ? i.Data(shape) : null, batches: i.Watch(Tensor.Zeros(i.Device, new Shape(), DType.I64), "batches"));
    });

    private static KernelCase Groups(string name, int[] shape, bool training) => new(name, i =>
    {
        var c = shape[^1];
        RunningStatistics[] groups =
        [
            new(i.Watch(i.Statistics(c), "running mean"), i.Watch(i.Statistics(c, 1, 0.1f), "running variance"), i.Watch(Tensor.Zeros(i.Device, new Shape(), DType.I64), "batches")),
            new(i.Watch(i.Statistics(c), "second mean"), i.Watch(i.Statistics(c, 1, 0.1f), "second variance")),
        ];
        return Ops.BatchNorm(i.Data(shape), i.Vector(c, 1), i.Vector(c), groups, training, relu: true, residual: i.Data(shape));
    });
}
