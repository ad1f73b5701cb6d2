using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class MeanPixelsTests
{
    // n h w c: tails, more than one block of pixels
    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33", "2x20x17x1", "1x15x19x4")]
    public void Matches_the_formula(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MeanPixels(t[0]), v => Pool(v[0], s, p => p.Average()), [Input.Normal(new(s), 1)]);
    }

    [Theory, OnEachDevice("2x3x2x5", "3x2x2x17", "1x13x10x2", "1x2x3x70", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MeanPixels(t[0]), v => Pool(v[0], s, p => p.Average()), [Input.Normal(new(s), 1).As(type)]);
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Assert.Equal("MeanPixels: expected pictures (N, H, W, C), got shape (2, 4)",
            Assert.Throws<ArgumentException>(() => Ops.MeanPixels(Tensor.Zeros(d, new(2, 4)))).Message);
        Assert.Equal("MeanPixels: pictures (2, 0, 3, 4) have no pixels",
            Assert.Throws<ArgumentException>(() => Ops.MeanPixels(Tensor.Zeros(d, new(2, 0, 3, 4)))).Message);
    }

    internal static double[] Pool(double[] x, int[] s, Func<IEnumerable<double>, double> how)
    {
        var y = new double[s[0] * s[3]];
        var pixels = s[1] * s[2];
        for (var n = 0; n < s[0]; n++)
            for (var c = 0; c < s[3]; c++)
                y[n * s[3] + c] = how(Enumerable.Range(0, pixels).Select(p => x[(n * pixels + p) * s[3] + c]));
        return y;
    }
}
