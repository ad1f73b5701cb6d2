using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ScaleChannelsTests
{
    // n h w c: tails, more than one block of 64 pixels
    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33", "2x20x17x1", "1x15x19x4")]
    public void Matches_the_formula(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [Input.Normal(new(s), 1), Input.Normal(new(s[0], s[3]), 2)]);
    }

    [Theory, OnEachDevice("2x3x2x5", "3x2x2x17", "1x13x10x2", "1x2x3x70", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var (x, f) = (Input.Normal(new(s), 1).As(type), Input.Normal(new(s[0], s[3]), 2).As(type));
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x, f]);
    }

    /// <summary>Each of the two inputs may be the only one that trains.</summary>
    [Theory, OnEachDevice]
    public void Needs_only_one_gradient(string device)
    {
        using var d = Devices.Open(device);
        int[] s = [2, 3, 2, 18];
        var (x, f) = (Input.Normal(new(s), 1), Input.Normal(new(2, 18), 2));
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x, f.Fixed]);
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x.Fixed, f]);
    }

    [Fact]
    public void The_bits_do_not_depend_on_the_number_of_threads()
    {
        float[][] Run(int threads)
        {
            using var d = new CpuDevice(threads);
            using var step = d.BeginStep();
            var (x, s) = (Input.Normal(new(3, 20, 11, 50), 1).ToTensor(d), Input.Normal(new(3, 50), 2).ToTensor(d));
            var y = Ops.MeanPixels(Ops.ScaleChannels(x, s)).Keep();
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [y.ToArray(), x.Grad!.ToArray(), s.Grad!.ToArray()];
        }

        Assert.Equal(Run(1), Run(3));
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(2, 3, 3, 4));
        Assert.Equal("ScaleChannels: expected factors (2, 4) for pictures (2, 3, 3, 4), got (4, 2)",
            Assert.Throws<ArgumentException>(() => Ops.ScaleChannels(x, Tensor.Zeros(d, new(4, 2)))).Message);
    }

    private static double[] Scale(double[] x, double[] f, int[] s)
    {
        var y = new double[x.Length];
        for (var i = 0; i < x.Length; i++) y[i] = x[i] * f[i / (s[1] * s[2] * s[3]) * s[3] + i % s[3]];
        return y;
    }
}
