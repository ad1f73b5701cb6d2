using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ScaleChannelsTests
{
    // n h w c: tails, more than one block of 64 pixels
    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33")]
    public void Scale_channels_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [Input.Normal(new(s), 1), Input.Normal(new(s[0], s[3]), 2)]);
    }

    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33")]
    public void Mean_pixels_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MeanPixels(t[0]), v => Pool(v[0], s, p => p.Average()), [Input.Normal(new(s), 1)]);
    }

    [Theory, OnEachDevice("1x1x1x1", "2x3x2x5", "3x2x2x17", "1x13x10x2", "2x2x1x33")]
    public void Max_pixels_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MaxPixels(t[0]), v => Pool(v[0], s, p => p.Max()), [Input.Normal(new(s), 1)]);
    }

    [Theory, OnEachDevice("2x3x2x5", "3x2x2x17", "1x13x10x2", "1x2x3x70")]
    public void Match_in_BF16(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (x, f) = (Input.Normal(new(s), 1).BF16, Input.Normal(new(s[0], s[3]), 2).BF16);
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x, f]);
        Check.Op(d, t => Ops.MeanPixels(t[0]), v => Pool(v[0], s, p => p.Average()), [x]);
        // Whole numbers that differ: what is equal after rounding would have two maxima.
        var steps = Enumerable.Range(0, (int)new Shape(s).Count).Select(i => i / s[3] * 37 % 131 - 65f).ToArray();
        Check.Op(d, t => Ops.MaxPixels(t[0]), v => Pool(v[0], s, p => p.Max()), [new Input(steps, new(s)).BF16]);
    }

    /// <summary>Each of the two inputs may be the only one that trains.</summary>
    [Theory, OnEachDevice]
    public void Scale_channels_needs_only_one_gradient(string device)
    {
        using var d = Devices.Open(device);
        int[] s = [2, 3, 2, 18];
        var (x, f) = (Input.Normal(new(s), 1), Input.Normal(new(2, 18), 2));
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x, f.Fixed]);
        Check.Op(d, t => Ops.ScaleChannels(t[0], t[1]), v => Scale(v[0], v[1], s), [x.Fixed, f]);
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
        Assert.Equal("MaxPixels: pictures (2, 0, 3, 4) have no pixels",
            Assert.Throws<ArgumentException>(() => Ops.MaxPixels(Tensor.Zeros(d, new(2, 0, 3, 4)))).Message);
        Assert.Equal("MeanPixels: expected pictures (N, H, W, C), got shape (2, 4)",
            Assert.Throws<ArgumentException>(() => Ops.MeanPixels(Tensor.Zeros(d, new(2, 4)))).Message);
    }

    private static double[] Scale(double[] x, double[] f, int[] s)
    {
        var y = new double[x.Length];
        for (var i = 0; i < x.Length; i++) y[i] = x[i] * f[i / (s[1] * s[2] * s[3]) * s[3] + i % s[3]];
        return y;
    }

    private static double[] Pool(double[] x, int[] s, Func<IEnumerable<double>, double> how)
    {
        var y = new double[s[0] * s[3]];
        var pixels = s[1] * s[2];
        for (var n = 0; n < s[0]; n++)
            for (var c = 0; c < s[3]; c++)
                y[n * s[3] + c] = how(Enumerable.Range(0, pixels).Select(p => x[(n * pixels + p) * s[3] + c]));
        return y;
    }
}
