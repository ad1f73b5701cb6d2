using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class GrayTests
{
    private static readonly float[] Mean = [0.357f, 0.323f, 0.328f], Std = [0.252f, 0.242f, 0.239f];

    [Theory, OnEachDevice("1x1x1x3", "2x5x7x3", "3x64x33x3")]
    public void Matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.ToGray(t[0], Mean, Std), x => Gray(x[0]), [Input.Normal(new(shape), 1).Fixed], 2e-6);
    }

    [Theory, OnEachDevice("2x5x7x3", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.ToGray(t[0], Mean, Std), x => Gray(x[0]), [Input.Normal(new(shape), 1).Fixed.As(type)]);
    }

    /// <summary>A gray picture stays what it is, and all three channels show the same level.</summary>
    [Theory, OnEachDevice]
    public void Gray_stays_gray(string device)
    {
        using var d = Devices.Open(device);
        foreach (var level in new[] { 0f, 0.4f, 1f })
        {
            var x = new float[3];
            for (var c = 0; c < 3; c++) x[c] = (level - Mean[c]) / Std[c];
            var y = Ops.ToGray(Tensor.From(d, x, new(1, 1, 1, 3)), Mean, Std).ToArray();
            for (var c = 0; c < 3; c++) Assert.Equal(level, y[c] * Std[c] + Mean[c], 1e-6);
        }
    }

    [Fact]
    public void Has_no_gradient_and_says_so()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(1, 2, 2, 3)).WithGrad();
        var loss = Ops.Sum(Ops.ToGray(x, Mean, Std));
        Assert.Contains("ToGray", Assert.Throws<NotSupportedException>(() => loss.Backward()).Message);
        Assert.Contains("RGB", Assert.Throws<ArgumentException>(() => Ops.ToGray(Tensor.Zeros(d, new(1, 2)), Mean, Std)).Message);
    }

    private static double[] Gray(double[] x)
    {
        var y = new double[x.Length];
        for (var i = 0; i < x.Length; i += 3)
        {
            double C(int c) => x[i + c] * Std[c] + Mean[c];
            var g = 0.299 * C(0) + 0.587 * C(1) + 0.114 * C(2);
            for (var c = 0; c < 3; c++) y[i + c] = (g - Mean[c]) / Std[c];
        }
        return y;
    }
}
