using Plip.Engine;
using Xunit;
using static Plip.Tests.Engine.AttentionFormula;

namespace Plip.Tests.Engine;

public class AttentionLadderTests
{
    /// <summary>Heads x head width x lengths.</summary>
    [Theory]
    [InlineData(1, 2, 64, 25, 0, 64, 1, 33)]
    [InlineData(2, 2, 64, 25, 0, 64, 1, 33)]
    [InlineData(3, 2, 64, 25, 0, 64, 1, 33)]
    [InlineData(1, 1, 5, 130, 2)]
    [InlineData(2, 3, 40, 7, 2)]
    public void Every_rung_matches_the_formula(int rung, int heads, int width, params int[] lengths)
    {
        using var d = CudaTest.Open(pooled: false);
        using var step = d.BeginStep();
        var at = Offsets(lengths);
        var x = Enumerable.Range(1, 3).Select(i => Values.Normal(at[^1] * heads * width, (uint)i)).ToArray();
        var wide = Array.ConvertAll(x, v => Array.ConvertAll(v, e => (double)e));
        var t = Array.ConvertAll(x, v => Tensor.From(d, v, new(at[^1], heads * width)));
        var offsets = Tensor.From(d, at, new(at.Length));
        var y = AttentionLadder.Run(AttentionLadder.Rungs[rung - 1], t[0], t[1], t[2], offsets, offsets, heads);
        Check.Close(Forward(wide[0], wide[1], wide[2], at, at, heads, width, 1 / Math.Sqrt(width)), y.ToArray(), 2e-5, $"rung {rung}");
    }

    [Fact]
    public void The_rungs_are_in_order_and_have_their_sources()
    {
        var files = KernelSources.Load().Files;
        Assert.Equal([1, 2, 3], AttentionLadder.Rungs.Select(r => r.Number));
        Assert.All(AttentionLadder.Rungs, r => Assert.Contains(r.Source, files));
    }
}
