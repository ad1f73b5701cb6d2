using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class LearningRateTests
{
    /// <summary>PLIP's: 0.002, ×0.1 at epochs 30 and 50, ten epochs of warm-up, here with 7 steps to the epoch.</summary>
    [Theory]
    [InlineData(0, 0.002 / 70)]
    [InlineData(34, 0.001)]
    [InlineData(69, 0.002)]
    [InlineData(70, 0.002)]
    [InlineData(209, 0.002)]
    [InlineData(210, 0.0002)]
    [InlineData(349, 0.0002)]
    [InlineData(350, 0.00002)]
    [InlineData(1_000_000, 0.00002)]
    public void PLIPs_schedule(long step, double expected)
    {
        ILearningRate rate = new LinearWarmup(10 * 7, new MultiStep(0.002f, [30 * 7, 50 * 7]));
        Assert.Equal(expected, rate.At(step), expected * 1e-6);
    }

    [Theory]
    [InlineData(0, 1.0)]
    [InlineData(10, 1.0)]
    [InlineData(35, 0.1 + 0.9 * 0.8535533905932737)] // (1 + cos π/4)/2
    [InlineData(60, 0.55)]
    [InlineData(110, 0.1)]
    [InlineData(500, 0.1)]
    public void Cosine_falls_from_start_to_end(long step, double expected) =>
        Assert.Equal(expected, new Cosine(1f, End: 110, Start: 10, Least: 0.1f).At(step), 1e-6);

    [Fact]
    public void A_warm_up_of_nothing_changes_nothing()
    {
        Assert.Equal(0.5f, new LinearWarmup(0, new ConstantRate(0.5f)).At(0));
        Assert.Equal(0.5f, new LinearWarmup(1, new ConstantRate(0.5f)).At(0));
        Assert.Equal(0.25f, new LinearWarmup(2, new ConstantRate(0.5f)).At(0));
    }
}
