using Plip.Engine;

namespace Plip.Bench;

/// <summary>
/// Contrast of batches whose pairs no memory holds, and the rungs below it, in BF16 on a GPU: the naive one where N×N floats still fit, and the
/// tiled one of the literature, which the issue sets ours beside. Rungs have no backward.
/// </summary>
internal static class ContrastCases
{
    private static readonly (int Pairs, int Width)[] s_sizes = [(4096, 768), (32768, 768), (262144, 512)];

    private const int MostStored = 32768; // 4.3 GB

    public static IEnumerable<BenchCase> All =>
    [
        .. LossSpecs.Streamed(262144, 512).Concat(LossSpecs.Streamed(262144, 768)).Select(s => OpWork.Case(s.InBF16()!)),
        .. s_sizes.SelectMany(s => ContrastLadder.Rungs.Where(r => r.Number > 1 || s.Pairs <= MostStored).Select(r => Rung(r, s.Pairs, s.Width))),
    ];

    private static BenchCase Rung(Rung rung, int pairs, int width) =>
        new("fused", FormattableString.Invariant($"{rung.Name} {pairs}x{width} forward bf16"), 2.0 * pairs * pairs * width, 4.0 * pairs * width, device =>
        {
            var outer = device.BeginStep(recordGradients: false);
            var (images, texts) = (Upload(device, pairs, width, 0), Upload(device, pairs, width, 1));
            return new Timed(() =>
            {
                using var step = device.BeginStep(recordGradients: false);
                ContrastLadder.Loss(rung, images, texts, 10f);
            }, release: outer.Dispose);
        });

    private static Tensor Upload(Device device, int pairs, int width, int stream) =>
        Ops.Cast(Tensor.From(device, Noise.Normal((long)pairs * width, stream), new Shape(pairs, width)), DType.BF16);
}
