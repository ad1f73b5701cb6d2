using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class LayerNormTests
{
    [Theory, OnEachDevice("1x1", "3x7", "5x16", "130x33", "2x100")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.LayerNorm(t[0], t[1], t[2]), x => LayerNorm(x[0], x[1], x[2], shape[1]),
            [Input.Normal(new(shape), 1), Input.Normal(new(shape[1]), 2), Input.Normal(new(shape[1]), 3)], 1e-4);
    }

    [Theory, OnEachDevice("1x1", "3x7", "130x33", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.LayerNorm(t[0], t[1], t[2]), x => LayerNorm(x[0], x[1], x[2], shape[1]),
            [Input.Normal(new(shape), 1).As(type), Input.Normal(new(shape[1]), 2), Input.Normal(new(shape[1]), 3)], 1e-4);
    }

    /// <summary>The numerical trap: a mean a thousand times the deviation. E[x²]−E[x]² would lose all but one digit.</summary>
    [Theory, OnEachDevice]
    public void Survives_a_large_mean(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 64), 1, shift: 1000);
        var ones = Enumerable.Repeat(1f, 64).ToArray();
        var y = Ops.LayerNorm(x.ToTensor(d), Tensor.From(d, ones, new(64)), Tensor.Zeros(d, new(64)));
        var wide = Array.ConvertAll(x.Values, v => (double)v);
        // Inputs near 1000 carry 6e-5 of rounding themselves; the deviation is 1.
        Check.Close(LayerNorm(wide, Enumerable.Repeat(1.0, 64).ToArray(), new double[64], 64), y.ToArray(), 1e-3, "forward");
    }

    private static double[] LayerNorm(double[] x, double[] gamma, double[] beta, int cols)
    {
        var y = new double[x.Length];
        for (var r = 0; r < x.Length; r += cols)
        {
            var row = x.AsSpan(r, cols).ToArray();
            var mean = row.Average();
            var rstd = 1 / Math.Sqrt(row.Sum(v => (v - mean) * (v - mean)) / cols + 1e-5);
            for (var c = 0; c < cols; c++) y[r + c] = gamma[c] * (row[c] - mean) * rstd + beta[c];
        }
        return y;
    }
}
