using Plip.Engine;
using Xunit;

namespace Plip.Oracle;

/// <summary>The contrastive losses against their formulas in LibTorch's operators, differentiated by LibTorch.</summary>
public class ContrastTests
{
    // A loss adds N² logarithms down to log 1e-8; p·(f − Σ p·f) cancels in its gradient.
    private const double Loss = 1e-5, Gradient = 1e-4;

    [Theory]
    [Trait("op", nameof(Ops.Cmpm))]
    [InlineData(1, 5)]
    [InlineData(6, 7)]
    [InlineData(17, 24)]
    [InlineData(40, 65)]
    public void Cmpm(int n, int d)
    {
        var ids = Identities(n);
        // One pair matches itself: the loss, −2e-8, is all that ε leaves of a difference of logarithms, each rounded to F32's 6e-8.
        var least = n == 1 ? 1e-2 : 1e-12;
        foreach (var (cosines, scale) in new[] { (false, 1f), (false, 0.5f), (true, 1f), (true, 20f) })
            foreach (var labels in new[] { MatchNormalization.Sum, MatchNormalization.L2Norm })
                Torch.Same(
                    t => Ops.Cmpm(t[0], t[1], Torch.Ids(t[0], ids), cosines, scale, labels),
                    t => TorchLosses.Cmpm(t[0], t[1], Torch.Ids(ids), cosines, scale, labels == MatchNormalization.L2Norm), Pairs(n, d), Loss, Gradient, least: least);
    }

    [Theory]
    [Trait("op", nameof(Ops.Sdm))]
    [InlineData(6, 7)]
    [InlineData(17, 24)]
    [InlineData(40, 65)]
    public void Sdm(int n, int d)
    {
        var ids = Identities(n);
        Torch.Same(
            t => Ops.Sdm(t[0], t[1], Torch.Ids(t[0], ids)),
            t => TorchLosses.Cmpm(t[0], t[1], Torch.Ids(ids), cosines: true, 50, labelsByL2: false), Pairs(n, d), Loss, Gradient);
    }

    [Theory]
    [Trait("op", nameof(Ops.InfoNce))]
    [InlineData(6, 7, 50f)]
    [InlineData(17, 24, 50f)]
    [InlineData(40, 65, 14.3f)]
    public void InfoNce(int n, int d, float scale) =>
        Torch.Same(t => Ops.InfoNce(t[0], t[1], scale), t => TorchLosses.InfoNce(t[0], t[1], scale), Pairs(n, d), Loss, Gradient);

    [Theory]
    [Trait("op", nameof(Ops.AlignmentLoss))]
    [InlineData(1, 5)]
    [InlineData(17, 24)]
    [InlineData(40, 65)]
    public void Alignment(int n, int d)
    {
        var ids = Identities(n);
        Torch.Same(
            t => Ops.AlignmentLoss(t[0], t[1], Torch.Ids(t[0], ids)),
            t => TorchLosses.Alignment(t[0], t[1], Torch.Ids(ids)), Pairs(n, d), Loss, Gradient);
        Torch.Same(
            t => Ops.AlignmentLoss(t[0], t[1], Torch.Ids(t[0], ids), 0.5f, 0.25f, 4f, 8f),
            t => TorchLosses.Alignment(t[0], t[1], Torch.Ids(ids), 0.5, 0.25, 4, 8), Pairs(n, d), Loss, Gradient);
    }

    // Some identities once, some up to three times, not side by side.
    private static int[] Identities(int n) => [.. Enumerable.Range(0, n).Select(i => i * i % (2 * n / 3 + 1))];

    private static (float[], int[])[] Pairs(int n, int d) => [Torch.Input(1, n, d), Torch.Input(2, n, d)];
}
