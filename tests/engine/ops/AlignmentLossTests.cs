using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class AlignmentLossTests
{
    [Theory, OnEachDevice("1x4", "5x3", "16x8", "19x17")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var outer = d.BeginStep();
        var ids = ContrastOracle.Identities(shape[0], 4);
        var known = Tensor.From(d, ids, new(ids.Length));
        // Shifted by 5 all cosines are near 1: every negative pair is far on the steep side.
        foreach (var shift in new[] { 0f, 5f })
            Check.Op(d, t => Ops.AlignmentLoss(t[0], t[1], known), x => [Oracle(x[0], x[1], ids, shape[1], 10, 40)],
                [Input.Normal(new(shape), 1, 1f, shift), Input.Normal(new(shape), 2, 1f, shift)], 3e-5);
    }

    /// <summary>The numerical trap: sharp scales, where e^z overflows on one side and 1 + e^z rounds to 1 on the other.</summary>
    [Theory, OnEachDevice]
    public void Keeps_tiny_losses_and_survives_huge_ones(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (v, t) = (Tensor.From(d, [1f, 0f], new(1, 2)), Tensor.From(d, [-1f, 0f], new(1, 2)));
        var id = Tensor.From(d, [4], new(1));
        Assert.Equal(1600, Ops.AlignmentLoss(v, t, id, positiveScale: 1000f).Item(), 1e-3);
        // e^(−50·0.4) = 2.1e-9, which 1 + x would lose.
        Assert.Equal(1, Ops.AlignmentLoss(v, v, id, positiveScale: 50f).Item() / Math.Exp(-20), 1e-5);
    }

    private static double Oracle(double[] v, double[] t, int[] ids, int d, double positive, double negative)
    {
        var s = ContrastOracle.Scores(v, t, d, true, 1);
        double loss = 0;
        for (var i = 0; i < ids.Length; i++)
            for (var j = 0; j < ids.Length; j++)
                loss += Math.Log(1 + Math.Exp(ids[i] == ids[j] ? -positive * (s[i, j] - 0.6) : negative * (s[i, j] - 0.4)));
        return loss / ids.Length;
    }
}
