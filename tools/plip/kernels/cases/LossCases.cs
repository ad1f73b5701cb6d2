using Plip.Engine;

namespace Plip.Tool;

/// <summary>Losses; those over pairs are in <see cref="ContrastCases"/>.</summary>
internal static class LossCases
{
    public static IEnumerable<KernelCase> All =>
    [
        new("cross_entropy 9x53", i => Ops.CrossEntropy(i.Data(9, 53), i.Integers(5, -100, 52, 0, 7, 7, -100, 31, 2))),
        new("cross_entropy 4x1500", i => Ops.CrossEntropy(i.Data(4, 1500), i.Integers(5, -100, 1499, 0))),
        LinearCrossEntropy(9, 24, 150, long.MaxValue),
        LinearCrossEntropy(70, 16, 206, 70 * 64),
        LinearCrossEntropy(3, 8, 2305, 3 * 1216),
        new("euclidean_loss norm 3x64x43x3", i => Ops.EuclideanLoss(i.Data(3, 64, 43, 3), i.Data(3, 64, 43, 3))),
        new("euclidean_loss mean 3x5x7x3", i => Ops.EuclideanLoss(i.Data(3, 5, 7, 3), i.Data(3, 5, 7, 3), EuclideanReduction.MeanSquare)),
        new("manhattan_loss 3x64x43x4", i => Ops.ManhattanLoss(i.Data(3, 64, 43, 4), i.Fixed(3, 64, 43, 4))),
        .. ContrastCases.All,
    ];

    private static KernelCase LinearCrossEntropy(int rows, int width, int words, long part) => new(
        FormattableString.Invariant($"linear_cross_entropy {rows}x{width} of {words} by {(part > (long)rows * words ? words : part / rows)}"),
        i => Ops.LinearCrossEntropy(
            i.Data(rows, width), i.Data(words, width), i.Vector(words), i.Integers([.. Enumerable.Range(0, rows).Select(t => t % 4 == 1 ? -100 : t * 31 % words)]), -100, part));
}
