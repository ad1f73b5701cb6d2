using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class MaxPixelsTests
{
    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33", "2x20x17x1", "1x15x19x4")]
    public void Matches_the_formula(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MaxPixels(t[0]), v => MeanPixelsTests.Pool(v[0], s, p => p.Max()), [Input.Normal(new(s), 1)]);
    }

    [Theory, OnEachDevice("2x3x2x5", "3x2x2x17", "1x13x10x2", "1x2x3x70", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        // Whole numbers that differ: what is equal after rounding would have two maxima.
        var steps = Enumerable.Range(0, (int)new Shape(s).Count).Select(i => i / s[3] * 37 % 131 - 65f).ToArray();
        Check.Op(d, t => Ops.MaxPixels(t[0]), v => MeanPixelsTests.Pool(v[0], s, p => p.Max()), [new Input(steps, new(s)).As(type)]);
    }

    /// <summary>The trap of ties: after a ReLU most maxima are 0 many times over; the gradient goes to one pixel, the first.</summary>
    [Theory, OnEachDevice("3", "20")]
    public void The_first_maximum_takes_the_gradient(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var c = size[0];
        var values = new float[4 * c];
        for (var i = 0; i < c; i++) values[2 * c + i] = i % 2; // odd channels: pixel 2 leads; even ones: all equal
        var x = Tensor.From(d, values, new(1, 2, 2, c)).WithGrad();
        Ops.Sum(Ops.MaxPixels(x)).Backward();
        var g = x.Grad!.ToArray();
        for (var p = 0; p < 4; p++)
            for (var i = 0; i < c; i++) Assert.Equal(p == (i % 2 == 1 ? 2 : 0) ? 1f : 0f, g[p * c + i]);
        values[c] = values[2 * c + 1] = float.NaN;
        var max = Ops.MaxPixels(Tensor.From(d, values, new(1, 2, 2, c))).ToArray();
        Assert.Equal([true, true, false], max.Take(3).Select(float.IsNaN));
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Assert.Equal("MaxPixels: pictures (2, 0, 3, 4) have no pixels",
            Assert.Throws<ArgumentException>(() => Ops.MaxPixels(Tensor.Zeros(d, new(2, 0, 3, 4)))).Message);
    }
}
