using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class AddLayerNormTests
{
    private static readonly Philox s_random = new(9, 8, 7);

    [Theory, OnEachDevice("1x1", "3x7", "5x16", "130x33", "9x64", "3x100")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var p in (float[])[0f, 0.3f])
            Check.Op(
                d, t => Ops.AddLayerNorm(t[0], t[1], t[2], t[3], 1e-5f, p, s_random), x => Formula(x, shape[1], p),
                [Input.Normal(new(shape), 1), Input.Normal(new(shape), 2), Input.Normal(new(shape[1]), 3), Input.Normal(new(shape[1]), 4)], 1e-4);
    }

    [Theory, OnEachDevice("3x7", "130x33", "9x64", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Check.Op(
            d, t => Ops.AddLayerNorm(t[0], t[1], t[2], t[3], 1e-5f, 0.3f, s_random), x => Formula(x, shape[1], 0.3f),
            [Input.Normal(new(shape), 1).As(type), Input.Normal(new(shape), 2).As(type), Input.Normal(new(shape[1]), 3), Input.Normal(new(shape[1]), 4)], 2 * Check.Tolerance(type));
    }

    /// <summary>The same bits as dropout, sum and norm one after the other, forward and backward, with the step as a number and in memory.</summary>
    [Theory, OnEachDevice("37x33", "11x64", "70x100", "5x768")]
    public void Gives_the_bits_of_the_three_ops(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var inMemory in (bool[])[false, true])
        {
            float[][] Of(bool fused)
            {
                using var step = d.BeginStep();
                Tensor[] t = [Input.Normal(new(shape), 1).ToTensor(d), Input.Normal(new(shape), 2).ToTensor(d), Input.Normal(new(shape[1]), 3).ToTensor(d), Input.Normal(new(shape[1]), 4).ToTensor(d)];
                var now = inMemory ? Tensor.From<int>(d, [41], new(1)) : null;
                var y = fused
                    ? Ops.AddLayerNorm(t[0], t[1], t[2], t[3], 1e-12f, 0.1f, s_random, now)
                    : Ops.LayerNorm(Ops.Add(Ops.Dropout(t[1], 0.1f, s_random, now), t[0]), t[2], t[3], 1e-12f);
                y.Keep();
                Ops.Sum(Ops.Multiply(y, Input.Normal(new(shape), 5).Fixed.ToTensor(d))).Backward();
                return [y.ToArray(), .. t.Select(x => x.Grad!.ToArray())];
            }
            var (one, three) = (Of(true), Of(false));
            for (var i = 0; i < one.Length; i++) Assert.Equal(three[i], one[i]);
        }
    }

    /// <summary>Without a tape the sum is not kept, and the result is the same.</summary>
    [Theory, OnEachDevice]
    public void Keeps_nothing_without_a_backward(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        Tensor x = Input.Normal(new(40, 48), 1).ToTensor(d), a = Input.Normal(new(40, 48), 2).ToTensor(d);
        Tensor gamma = Input.Normal(new(48), 3).ToTensor(d), beta = Input.Normal(new(48), 4).ToTensor(d);
        var taped = Ops.AddLayerNorm(x, a, gamma, beta, 1e-5f, 0.2f, s_random).ToArray();
        using var quiet = step.NoGrad();
        var before = d.MemoryInUse.Bytes;
        var y = Ops.AddLayerNorm(x, a, gamma, beta, 1e-5f, 0.2f, s_random);
        Assert.Equal(y.Bytes, d.MemoryInUse.Bytes - before);
        Assert.Equal(taped, y.ToArray());
    }

    [Fact]
    public void Refuses_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Tensor x = Tensor.Zeros(d, new(2, 3)), v = Tensor.Zeros(d, new(3));
        string Error(Func<Tensor> op) => Assert.Throws<ArgumentException>(op).Message;
        Assert.Contains("equal shapes", Error(() => Ops.AddLayerNorm(x, Tensor.Zeros(d, new(3, 2)), v, v)), StringComparison.Ordinal);
        Assert.Contains("of type F32", Error(() => Ops.AddLayerNorm(x, Ops.Cast(x, DType.BF16), v, v)), StringComparison.Ordinal);
        Assert.Contains("probability", Error(() => Ops.AddLayerNorm(x, x, v, v, p: 1)), StringComparison.Ordinal);
        Assert.Contains("one I32", Error(() => Ops.AddLayerNorm(x, x, v, v, step: v)), StringComparison.Ordinal);
    }

    private static double[] Formula(double[][] t, int cols, float p)
    {
        var y = new double[t[0].Length];
        for (var r = 0; r < y.Length; r += cols)
        {
            var row = Enumerable.Range(r, cols).Select(i => t[0][i] + (s_random.Uniform((ulong)i) >= p ? t[1][i] / (1 - (double)p) : 0)).ToArray();
            var mean = row.Average();
            var rstd = 1 / Math.Sqrt(row.Sum(v => (v - mean) * (v - mean)) / cols + 1e-5);
            for (var c = 0; c < cols; c++) y[r + c] = t[2][c] * (row[c] - mean) * rstd + t[3][c];
        }
        return y;
    }
}
