using Plip.Engine;

namespace Plip.Tool;

/// <summary>
/// Losses over all pairs. The small ones take the path with stored pairs by themselves; the others are made to take the one without, whose tiles are
/// 128 × 128: three by three of them, ragged, in two parts, over five steps of terms where copies run ahead.
/// </summary>
internal static class ContrastCases
{
    private const int Parts = 2;

    public static IEnumerable<KernelCase> All =>
    [
        new("cmpm 37x24", i => Ops.Cmpm(i.Data(37, 24), i.Data(37, 24), i.Indices(37, 9))),
        new("cmpm both 140x9", i => Stored(() => Ops.Cmpm(i.Data(140, 9), i.Data(140, 9), i.Indices(140, 30), true, 3f, MatchNormalization.L2Norm))),
        new("sdm 37x24", i => Ops.Sdm(i.Data(37, 24), i.Data(37, 24), i.Indices(37, 9), 10f)),
        new("info_nce 140x9", i => Stored(() => Ops.InfoNce(i.Data(140, 9), i.Data(140, 9), 10f))),
        new("alignment_loss 37x24", i => Ops.AlignmentLoss(i.Data(37, 24), i.Data(37, 24), i.Indices(37, 9))),
        new("cmpm streamed 300x160", i => Streamed(() => Ops.Cmpm(i.Data(300, 160), i.Data(300, 160), i.Indices(300, 60)))),
        new("info_nce streamed 265x7", i => Streamed(() => Ops.InfoNce(i.Data(265, 7), i.Data(265, 7), 10f))),
        new("alignment_loss streamed 140x24", i => Streamed(() => Ops.AlignmentLoss(i.Data(140, 24), i.Data(140, 24), i.Indices(140, 30)))),
        new("contrast rung 1 70x24", i => Rung(0, i, i.Fixed(70, 24), i.Fixed(70, 24))),
        new("contrast rung 2 150x72", i => Rung(1, i, i.Fixed(150, 72), i.Fixed(150, 72))) { Types = [DType.BF16, DType.F16] },
        new("contrast rung 2 70x9", i => Rung(1, i, i.Fixed(70, 9), i.Fixed(70, 9))) { Types = [DType.BF16, DType.F16] },
    ];

    private static Tensor Stored(Func<Tensor> loss)
    {
        using var forced = Contrast.Force(ContrastPath.Stored);
        return loss();
    }

    private static Tensor Streamed(Func<Tensor> loss)
    {
        using var forced = Contrast.Force(ContrastPath.Streamed, Parts);
        return loss();
    }

    /// <summary>A rung on a GPU, the op on the CPU.</summary>
    private static Tensor Rung(int number, CaseInputs inputs, Tensor images, Tensor texts) =>
        inputs.Device is CudaDevice ? ContrastLadder.Loss(ContrastLadder.Rungs[number], images, texts, 10f) : Ops.InfoNce(images, texts, 10f);
}
