using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class GradientClipTests
{
    [Theory, OnEachDevice]
    public void The_norm_is_that_of_all_gradients_together(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(70_001), 1);
        var g = Values.Normal(70_001, 3);
        store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
        var expected = Math.Sqrt(g.Sum(v => (double)v * v));
        var norm = GradientClip.Measure(store, maxNorm: 2, gradScale: 0.5f);
        Assert.Equal(expected / 2, norm.Norm, 1e-9 * expected);
        Assert.Equal(0.5 * 2 / (expected / 2 + 1e-6), norm.Scale, 1e-6);
        Assert.True(norm.IsFinite);
        Assert.Equal(0.5f, GradientClip.Measure(store, 1e6, 0.5f).Scale);
        Assert.Equal(1f, GradientClip.Measure(store).Scale);
    }

    /// <summary>The trap: squares of such gradients overflow F32, the norm does not.</summary>
    [Theory, OnEachDevice]
    public void Large_gradients_are_finite_and_broken_ones_are_not(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(40), 1);
        var g = new float[40];
        g[17] = 3e30f;
        store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
        Assert.Equal(3e30f, GradientClip.Measure(store).Norm, 1e24);
        foreach (var broken in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            g[39] = broken;
            store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
            Assert.False(GradientClip.Measure(store, 1).IsFinite);
        }
        Assert.Throws<ArgumentException>(() => GradientClip.Measure(store, 0));
        Assert.Throws<ArgumentException>(() => GradientClip.Measure(store, double.NaN));
    }
}
