using Plip.Engine;

namespace Plip.Bench;

/// <summary>Convolutions of plip-rn50 at 256×128, and of plip-tiny at 96×48 and batch 64; each gradient on its own.</summary>
internal static class ConvSpecs
{
    private static Layer[] Layers(int n) =>
    [
        new(n, 64, 32, 64, 64, 3), new(n, 32, 16, 128, 128, 3), new(n, 16, 8, 256, 256, 3), new(n, 8, 4, 512, 512, 3),
        new(n, 8, 4, 512, 2048, 1), new(n, 64, 32, 256, 64, 1), new(n, 64, 32, 64, 256, 1),
        new(n, 64, 32, 128, 128, 3, Stride: 2),
        new(n, 256, 128, 3, 32, 3, Stride: 2), new(n, 128, 64, 32, 32, 3), new(n, 128, 64, 32, 64, 3),
        new(64, 48, 24, 8, 16, 3), new(64, 24, 12, 16, 16, 3), new(64, 12, 6, 64, 64, 3), new(64, 6, 3, 128, 128, 3), new(64, 24, 12, 16, 64, 1),
    ];

    // The colorization decoder: 3×3, stride 2, padding 1, output padding 1. Height and width are the smaller side's.
    private static Layer[] Transposed(int n) => [new(n, 64, 32, 1024, 256, 3, Stride: 2), new(n, 128, 64, 256, 3, 3, Stride: 2)];

    public static IEnumerable<OpSpec> Of(Sizes sizes) => Layers(sizes.Pictures).SelectMany(Convolution).Concat(Transposed(sizes.Pictures).SelectMany(Transpose));

    /// <summary>What is timed on a GPU alone: convolutions with batch norm behind them, and every rung of the ladder on a bottleneck's 3×3 filters.</summary>
    public static IEnumerable<OpSpec> OnGpu(Sizes sizes)
    {
        var layers = Layers(sizes.Pictures);
        return
        [
            .. new[] { layers[0], layers[5], layers[6], layers[4] }.Select(Normalized),
            .. Conv2dLadder.Rungs.Select(r => Convolution(layers[0]).First() with { Op = r.Name, Ours = t => Conv2dLadder.Run(r, t[0], t[1], padding: 1) }),
        ];
    }

    /// <summary>A convolution with batch norm and relu behind it, in training; bytes as if nothing between them were moved.</summary>
    private static OpSpec Normalized(Layer l)
    {
        var plain = Convolution(l).First();
        OpInput y = new(InputKind.Picture, l.N, l.H, l.W, l.To), vector = new(InputKind.Plain, l.To);
        return plain with
        {
            Op = "conv2d_batch_norm_relu",
            Inputs = [.. plain.Inputs, vector, vector],
            Bytes = plain.Inputs[0].Bytes + plain.Inputs[1].Bytes + 3.0 * y.Bytes, // y is written, read again when its statistics are known, and its norm written
            Ours = t => Ops.Conv2dBatchNorm(
                t[0], t[1], t[2], t[3], [new RunningStatistics(t[2], t[3])], training: true, padding: l.Padding, updateRunning: false, relu: true),
        };
    }

    private static IEnumerable<OpSpec> Convolution(Layer l)
    {
        var (ho, wo) = ((l.H + 2 * l.Padding - l.R) / l.Stride + 1, (l.W + 2 * l.Padding - l.R) / l.Stride + 1);
        OpInput x = new(InputKind.Picture, l.N, l.H, l.W, l.From), w = new(InputKind.Filter, l.R, l.R, l.From, l.To) { Scale = 0.05f };
        var stride = l.Stride > 1 ? FormattableString.Invariant($"/{l.Stride}") : "";
        return Passes(new OpSpec(
            "conv", "conv2d", FormattableString.Invariant($"{l.R}x{l.R}{stride} {l.From}->{l.To} {l.N}x{l.H}x{l.W}"), [x, w], Pass.Forward,
            2.0 * l.N * ho * wo * l.To * w.Count / l.To, x.Bytes + w.Bytes + 4.0 * l.N * ho * wo * l.To,
            t => Ops.Conv2d(t[0], t[1], null, l.Stride, l.Padding))
        { Args = (l.Stride, l.Padding) });
    }

    private static IEnumerable<OpSpec> Transpose(Layer l)
    {
        // The filter of the convolution whose transpose it is: (R, S, to, from).
        OpInput x = new(InputKind.Picture, l.N, l.H, l.W, l.From), w = new(InputKind.Filter, l.R, l.R, l.To, l.From) { Scale = 0.05f };
        return Passes(new OpSpec(
            "conv", "conv_transpose2d", FormattableString.Invariant($"{l.R}x{l.R}/{l.Stride} {l.From}->{l.To} {l.N}x{l.H}x{l.W}"), [x, w], Pass.Forward,
            2.0 * l.N * l.H * l.W * w.Count, x.Bytes + w.Bytes + 4.0 * l.N * l.H * l.W * l.Stride * l.Stride * l.To,
            t => Ops.ConvTranspose2d(t[0], t[1], null, l.Stride, l.Padding, outputPadding: 1))
        { Args = (l.Stride, l.Padding) });
    }

    private static IEnumerable<OpSpec> Passes(OpSpec forward) => [forward, forward with { Pass = Pass.DataGradient }, forward with { Pass = Pass.WeightGradient }];

    private sealed record Layer(int N, int H, int W, int From, int To, int R, int Stride = 1)
    {
        public int Padding => R / 2;
    }
}
