using Plip.Engine;

namespace Plip.Tool;

/// <summary>Losses; those over pairs take F32 embeddings.</summary>
internal static class LossCases
{
    private static readonly DType[] s_wide = [DType.F32];

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
        new("cmpm 37x24", i => Ops.Cmpm(i.Wide(37, 24), i.Wide(37, 24), i.Indices(37, 9))) { Types = s_wide },
        new("cmpm both 140x9", i => Ops.Cmpm(i.Wide(140, 9), i.Wide(140, 9), i.Indices(140, 30), true, 3f, MatchNormalization.L2Norm)) { Types = s_wide },
        new("sdm 37x24", i => Ops.Sdm(i.Wide(37, 24), i.Wide(37, 24), i.Indices(37, 9), 10f)) { Types = s_wide },
        new("info_nce 140x9", i => Ops.InfoNce(i.Wide(140, 9), i.Wide(140, 9), 10f)) { Types = s_wide },
        new("alignment_loss 37x24", i => Ops.AlignmentLoss(i.Wide(37, 24), i.Wide(37, 24), i.Indices(37, 9))) { Types = s_wide },
    ];

    private static KernelCase LinearCrossEntropy(int rows, int width, int words, long part) => new(
        FormattableString.Invariant($"linear_cross_entropy {rows}x{width} of {words} by {(part > (long)rows * words ? words : part / rows)}"),
        i => Ops.LinearCrossEntropy(
            i.Data(rows, width), i.Data(words, width), i.Vector(words), i.Integers([.. Enumerable.Range(0, rows).Select(t => t % 4 == 1 ? -100 : t * 31 % words)]), -100, part));
}
