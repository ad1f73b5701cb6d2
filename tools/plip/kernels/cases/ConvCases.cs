using Plip.Engine;

namespace Plip.Tool;

/// <summary>Convolutions of pictures (N, H, W, C): those of kernels/conv2d.cu, and of kernels/conv2d_mma*.cu by BF16 and F16.</summary>
internal static class ConvCases
{
    private static readonly DType[] Halves = [DType.BF16, DType.F16];

    public static IEnumerable<KernelCase> All =>
    [
        new("conv2d 2x9x7x5 3x3x6", i => Ops.Conv2d(i.Data(2, 9, 7, 5), i.Data(3, 3, 5, 6), i.Vector(6), 1, 1)),
        new("conv2d 2x9x8x8 3x3x12 stride 2", i => Ops.Conv2d(i.Data(2, 9, 8, 8), i.Data(3, 3, 8, 12), null, 2, 1)),
        new("conv2d 1x40x31x3 3x3x4", i => Ops.Conv2d(i.Data(1, 40, 31, 3), i.Data(3, 3, 3, 4), i.Vector(4), 1, 1)),
        new("conv2d 2x4x5x32 2x2x128", i => Ops.Conv2d(i.Data(2, 4, 5, 32), i.Data(2, 2, 32, 128), null, 1, 0)),
        new("conv2d 2x5x3x8 1x1x12", i => Ops.Conv2d(i.Data(2, 5, 3, 8), i.Data(1, 1, 8, 12), i.Vector(12))),
        new("conv2d 2x64x64x4 2x2x128", i => Ops.Conv2d(i.Fixed(2, 64, 64, 4), i.Fixed(2, 2, 4, 128), null, 1, 1)) { Types = [DType.F32] },
        new("conv_transpose2d 2x4x3x8 3x3x6", i => Ops.ConvTranspose2d(i.Data(2, 4, 3, 8), i.Data(3, 3, 6, 8), i.Vector(6), 2, 1, 1)),
        // Tensor cores: tiles of each size with ragged edges, channels that end within a stage of 32 terms, phases, one element at a time.
        new("conv2d 2x11x9x24 3x3x72", i => Ops.Conv2d(i.Data(2, 11, 9, 24), i.Data(3, 3, 24, 72), i.Vector(72), 1, 1, relu: true)) { Types = Halves },
        new("conv2d 1x9x10x16 5x3x136 stride 3", i => Ops.Conv2d(i.Data(1, 9, 10, 16), i.Data(5, 3, 16, 136), null, 3, 2)) { Types = Halves },
        new("conv2d 3x13x8x3 3x3x24 stride 2", i => Ops.Conv2d(i.Data(3, 13, 8, 3), i.Data(3, 3, 3, 24), i.Vector(24), 2, 1)) { Types = Halves },
        new("conv2d 1x7x9x5 2x2x80", i => Ops.Conv2d(i.Data(1, 7, 9, 5), i.Data(2, 2, 5, 80), null)) { Types = Halves },
        new("conv2d 1x92x90x8 2x2x72", i => Ops.Conv2d(i.Fixed(1, 92, 90, 8), i.Fixed(2, 2, 8, 72), null)) { Types = Halves },
        new("conv2d 1x3x30x8 2x1x16392", i => Ops.Conv2d(i.Fixed(1, 3, 30, 8), i.Fixed(2, 1, 8, 16392), null, 1, 1)) { Types = Halves },
        new("conv2d 5x6x5x136 2x2x8", i => Ops.Conv2d(i.Data(5, 6, 5, 136), i.Data(2, 2, 136, 8), null)) { Types = Halves },
        new("conv_transpose2d 2x4x3x40 3x3x24", i => Ops.ConvTranspose2d(i.Data(2, 4, 3, 40), i.Data(3, 3, 24, 40), i.Vector(24), 2, 1, 1, relu: true)) { Types = Halves },
        new("conv_transpose2d 1x4x32x8 2x1x16392", i => Ops.ConvTranspose2d(i.Fixed(1, 4, 32, 8), i.Fixed(2, 1, 16392, 8), null)) { Types = Halves },
        new("conv2d 2x21x17x16 3x3x24", i => Ops.Conv2d(i.Data(2, 21, 17, 16), i.Data(3, 3, 16, 24), null, 1, 1)) { Types = Halves },
        new("conv_transpose2d 3x5x4x32 3x3x3", i => Ops.ConvTranspose2d(i.Data(3, 5, 4, 32), i.Data(3, 3, 3, 32), i.Vector(3), 2, 1, 1)) { Types = Halves },
        // With batch norm's moments: two groups that tiles do not divide, a stem, 1×1 filters that would be cuBLASLt's.
        Normalized("conv2d_batch_norm 4x9x7x24 3x3x40 2 groups", [4, 9, 7, 24], [3, 3, 24, 40], 1, 1),
        Normalized("conv2d_batch_norm 2x19x15x3 3x3x32 stride 2", [2, 19, 15, 3], [3, 3, 3, 32], 2, 1),
        Normalized("conv2d_batch_norm 2x12x14x16 1x1x72", [2, 12, 14, 16], [1, 1, 16, 72], 1, 0),
        // Hopper's: taps that end within a tile, ragged tiles of both sides, more stages than there is memory for, phases; channels by whole chunks for TMA.
        .. Hopper("conv2d_sm90", MmaKernels.Warpgroups, 40),
        .. Hopper("conv2d_tma", MmaKernels.Maps, 64),
        .. Conv2dLadder.Rungs.Select(r => new KernelCase(r.Name + " 2x9x7x5 3x3x18 stride 2", i => Conv2dLadder.Run(r, i.Fixed(2, 9, 7, 5), i.Fixed(3, 3, 5, 18), 2, 1))),
    ];

    private static IEnumerable<KernelCase> Hopper(string name, MmaKernels by, int channels) =>
    [
        new(FormattableString.Invariant($"{name} 3x7x9x{channels} 3x3x136"), i => Conv2dLadder.By(by, i.Data(3, 7, 9, channels), i.Data(3, 3, channels, 136), 1, 1)) { Types = Halves },
        new(FormattableString.Invariant($"{name} 2x9x8x{channels} 3x2x72 stride 2, with moments"), i =>
            Conv2dLadder.By(by, i.Data(2, 9, 8, channels), i.Data(3, 2, channels, 72), 2, 1, withMoments: true)) { Types = Halves },
    ];

    private static KernelCase Normalized(string name, int[] pictures, int[] filters, int stride, int padding) => new(name, i =>
    {
        var k = filters[^1];
        RunningStatistics[] groups =
        [
            new(i.Watch(i.Statistics(k), "running mean"), i.Watch(i.Statistics(k, 1, 0.1f), "running variance")),
            new(i.Watch(i.Statistics(k), "second mean"), i.Watch(i.Statistics(k, 1, 0.1f), "second variance")),
        ];
        return Ops.Conv2dBatchNorm(i.Data(pictures), i.Data(filters), i.Vector(k, 1), i.Vector(k), groups, true, stride, padding, relu: true);
    });
}
