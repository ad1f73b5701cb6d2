using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ActivationsTests
{
    [Theory, OnEachDevice("1", "7", "16", "5x33", "2x3x5x7")]
    public void Gelu_matches(string device, int[] shape) => Matches(device, shape, Ops.Gelu, Gelu);

    [Theory, OnEachDevice("1", "7", "16", "5x33", "2x3x5x7")]
    public void Relu_matches(string device, int[] shape) => Matches(device, shape, Ops.Relu, x => Math.Max(x, 0));

    [Theory, OnEachDevice("1", "7", "16", "5x33", "2x3x5x7")]
    public void Sigmoid_matches(string device, int[] shape) => Matches(device, shape, Ops.Sigmoid, x => 1 / (1 + Math.Exp(-x)));

    [Theory, OnEachDevice("1", "7", "16", "5x33", "2x3x5x7")]
    public void Tanh_matches(string device, int[] shape) => Matches(device, shape, Ops.Tanh, Math.Tanh);

    /// <summary>Every float within ±12, tails and the neighbourhood of 0 included, at the accuracy each op promises.</summary>
    [Theory, OnEachDevice]
    public void Values_are_accurate_over_the_whole_range(string device)
    {
        using var d = Devices.Open(device);
        Gen.Float[-12, 12].Array[1, 40].Sample(x => Accurate(d, x), iter: 300, threads: 1);
        Accurate(d, Enumerable.Range(-120000, 240001).Select(i => i * 1e-4f).ToArray());
        Accurate(d, [0f, -0f, 1e-30f, -1e-30f, 1e-8f, 1e-5f, -1e-3f, 0.6249999f, 0.625f, 11.9999f]);
    }

    /// <summary>The numerical trap: arguments whose exponential overflows must give the limits, and finite gradients.</summary>
    [Theory, OnEachDevice]
    public void Far_arguments_give_the_limits(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        float[] far = [-1e30f, -1e4f, -100, 100, 1e4f, 1e30f];
        float[] Run(Func<Tensor, Tensor> op)
        {
            var x = Tensor.From(d, far, new(6));
            return op(x).ToArray();
        }

        Assert.Equal([0, 0, 0, 100, 1e4f, 1e30f], Array.ConvertAll(Run(Ops.Gelu), v => Math.Abs(v) < 1e-6f ? 0 : v));
        Assert.Equal([0, 0, 0, 100, 1e4f, 1e30f], Run(Ops.Relu));
        Assert.Equal([0, 0, 0, 1, 1, 1], Array.ConvertAll(Run(Ops.Sigmoid), v => v < 1e-37f ? 0 : v));
        Assert.Equal([-1, -1, -1, 1, 1, 1], Run(Ops.Tanh));
        var t = Tensor.From(d, far, new(6)).WithGrad();
        Ops.Sum(Ops.Add(Ops.Add(Ops.Gelu(t), Ops.Relu(t)), Ops.Add(Ops.Sigmoid(t), Ops.Tanh(t)))).Backward();
        var expected = new double[] { 0, 0, 0, 2, 2, 2 };
        Check.Close(expected, t.Grad!.ToArray(), 1e-6, "gradient");
    }

    /// <summary>In a vector and in the tail behind it.</summary>
    [Theory, OnEachDevice("1", "17")]
    public void A_NaN_stays_one(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Tensor.From(d, Enumerable.Repeat(float.NaN, size[0]).ToArray(), new(size));
        foreach (var op in new Func<Tensor, Tensor>[] { Ops.Gelu, Ops.Relu, Ops.Sigmoid, Ops.Tanh })
            foreach (var type in (DType[])[DType.F32, DType.BF16])
                Assert.All(Ops.Cast(op(Ops.Cast(x, type)), DType.F32).ToArray(), v => Assert.True(float.IsNaN(v)));
    }

    private static void Accurate(Device d, float[] values)
    {
        using var step = d.BeginStep();
        var x = Tensor.From(d, values, new(values.Length));
        var (gelu, sigmoid, tanh) = (Ops.Gelu(x).ToArray(), Ops.Sigmoid(x).ToArray(), Ops.Tanh(x).ToArray());
        for (var i = 0; i < values.Length; i++)
        {
            double v = values[i];
            // Half a unit in the last place of a value of 12 is 5e-7; the formula's own error stays below 1e-6.
            Assert.Equal(Gelu(v), gelu[i], 1e-6);
            Assert.Equal(1 / (1 + Math.Exp(-v)), sigmoid[i], 2e-7);
            Assert.True(Math.Abs(Math.Tanh(v) - tanh[i]) <= 3e-7 * Math.Abs(Math.Tanh(v)), $"tanh {v:R} is {tanh[i]:R}");
        }
    }

    private static void Matches(string device, int[] shape, Func<Tensor, Tensor> op, Func<double, double> formula)
    {
        using var d = Devices.Open(device);
        foreach (var x in Input.Normal(new(shape), 3, 2).InEachType)
            Check.Op(d, t => op(t[0]), v => Array.ConvertAll(v[0], e => formula(e)), [x], 2e-6);
    }

    internal static double Gelu(double x) => x * Phi(x);

    /// <summary>Φ by Taylor's series near 0, by the continued fraction of the tail beyond: 1e-14 everywhere.</summary>
    private static double Phi(double x)
    {
        var bell = Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
        if (Math.Abs(x) < 5)
        {
            double sum = x, term = x;
            for (var n = 1; n < 100; n++) sum += term *= x * x / (2 * n + 1);
            return 0.5 + sum * bell;
        }
        var a = Math.Abs(x);
        var f = 0.0;
        for (var n = 80; n > 0; n--) f = n / (a + f);
        var tail = bell / (a + f);
        return x < 0 ? tail : 1 - tail;
    }
}
