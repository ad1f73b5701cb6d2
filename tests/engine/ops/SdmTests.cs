using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class SdmTests
{
    // Cosines are known to 6e-8, times 50: p to 3e-6, and gradients carry the factor 50 again.
    [Theory, OnEachDevice("1x4", "5x3", "19x17")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var outer = d.BeginStep();
        var ids = ContrastOracle.Identities(shape[0], 4);
        var known = Tensor.From(d, ids, new(ids.Length));
        foreach (var shift in new[] { 0f, 5f })
            Check.Op(d, t => Ops.Sdm(t[0], t[1], known),
                x => [ContrastOracle.Matching(x[0], x[1], ids, shape[1], true, 50, MatchNormalization.Sum)],
                [Input.Normal(new(shape), 1, 1f, shift), Input.Normal(new(shape), 2, 1f, shift)], 1e-4);
    }

    [Fact]
    public void A_scale_must_be_positive()
    {
        using var d = new CpuDevice(1);
        var x = Tensor.Zeros(d, new(2, 3));
        Assert.Contains("positive", Assert.Throws<ArgumentException>(() => Ops.Sdm(x, x, Tensor.Zeros(d, new(2), DType.I32), 0f)).Message);
    }
}
