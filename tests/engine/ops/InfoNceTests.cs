using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class InfoNceTests
{
    [Theory, OnEachDevice("1x4", "5x3", "16x8", "19x17")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var (scale, shift) in new[] { (1f, 0f), (14f, 0f), (50f, 5f) })
            Check.Op(d, t => Ops.InfoNce(t[0], t[1], scale), x => [Oracle(x[0], x[1], shape[1], scale)],
                [Input.Normal(new(shape), 1, 1f, shift), Input.Normal(new(shape), 2, 1f, shift)], 5e-5);
    }

    /// <summary>The numerical trap: pairs so certain that p rounds to 1 still have a gradient, that of the other columns.</summary>
    [Theory, OnEachDevice]
    public void A_certain_pair_keeps_a_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        // cos 1 with its own, cos 0.6 with the other, times 50: the other's p is e⁻²⁰ = 2e-9.
        var v = Tensor.From(d, [1f, 0f, 0.6f, 0.8f], new(2, 2)).WithGrad();
        var t = Tensor.From(d, [1f, 0f, 0.6f, 0.8f], new(2, 2));
        Ops.InfoNce(v, t, 50f).Backward();
        // dC for the pair (1,2) is 50·p/2 from each direction's mean of ½; only its part along (0, 1) survives v's normalisation.
        var p = Math.Exp(-20) / (1 + Math.Exp(-20));
        Assert.Equal(1, v.Grad!.ToArray()[1] / (50 * p * 0.8 / 2), 1e-4);
    }

    private static double Oracle(double[] v, double[] t, int d, double scale)
    {
        double loss = 0;
        var n = v.Length / d;
        foreach (var scores in new[] { ContrastOracle.Scores(v, t, d, true, scale), ContrastOracle.Scores(t, v, d, true, scale) })
            for (var i = 0; i < n; i++) loss -= ContrastOracle.LogSoftmax(scores, i)[i] / (2 * n);
        return loss;
    }
}
