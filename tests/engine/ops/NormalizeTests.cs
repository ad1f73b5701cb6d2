using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class NormalizeTests
{
    [Theory, OnEachDevice("1x1", "3x7", "5x16", "9x33", "2x3x40")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var x in Input.Normal(new(shape), 1, 3).InEachType)
            Check.Op(d, t => Ops.L2Normalize(t[0]), v => Normalize(v[0], shape[^1]), [x]);
    }

    /// <summary>On a GPU rows of over 1,024 are a block's. Their gradient against the written formula, and with a magnitude that overflows.</summary>
    [Theory, OnEachDevice("2x1027", "3x2048")]
    public void Long_rows_match(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (rows, cols) = (shape[0], shape[1]);
        var input = Input.Normal(new(shape), 1);
        var unit = Normalize(Array.ConvertAll(input.Values, v => (double)v), cols);
        var large = Tensor.From(d, Array.ConvertAll(input.Values, v => v * 1e25f), new(shape));
        Check.Close(unit, Ops.L2Normalize(large).ToArray(), 1e-6, "rows of 1e25");
        var x = input.ToTensor(d);
        var g = Values.Normal(rows * cols, 2);
        var y = Ops.L2Normalize(x).Keep();
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, g, new(shape)))).Backward();
        Check.Close(unit, y.ToArray(), 1e-6, "forward");
        var expected = new double[rows * cols];
        for (var r = 0; r < expected.Length; r += cols)
        {
            double dot = 0, squares = 0;
            for (var c = r; c < r + cols; c++) (dot, squares) = (dot + unit[c] * g[c], squares + (double)input.Values[c] * input.Values[c]);
            for (var c = r; c < r + cols; c++) expected[c] = (g[c] - unit[c] * dot) / Math.Sqrt(squares);
        }
        Check.Close(expected, x.Grad!.ToArray(), 1e-6, "gradient");
    }

    /// <summary>A row of zeros has no direction: zeros out, no gradient, and no NaN for the rows beside it.</summary>
    [Theory, OnEachDevice("3", "20")]
    public void A_zero_row_is_safe(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var c = size[0];
        var values = Values.Normal(2 * c, 1);
        Array.Clear(values, 0, c);
        var x = Tensor.From(d, values, new(2, c)).WithGrad();
        var y = Ops.L2Normalize(x).Keep();
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, Values.Normal(2 * c, 2), new(2, c)))).Backward();
        Assert.Equal(new float[c], y.ToArray()[..c]);
        Assert.Equal(new float[c], x.Grad!.ToArray()[..c]);
        Assert.Equal(1, y.ToArray()[c..].Sum(v => (double)v * v), 1e-6);
        Assert.All(x.Grad.ToArray(), v => Assert.True(float.IsFinite(v)));
    }

    /// <summary>The numerical trap: squares of 1e25 overflow and squares of 1e-25 vanish; the directions are those of the plain rows.</summary>
    [Theory, OnEachDevice]
    public void Survives_any_magnitude(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var plain = Input.Normal(new(3, 21), 1);
        var expected = Normalize(Array.ConvertAll(plain.Values, v => (double)v), 21);
        foreach (var by in new[] { 1e25f, 1e15f, 1e-15f, 1e-25f })
        {
            var y = Ops.L2Normalize(Tensor.From(d, Array.ConvertAll(plain.Values, v => v * by), new(3, 21)), 1e-30f);
            Check.Close(expected, y.ToArray(), 1e-6, $"rows scaled by {by}");
        }
    }

    /// <summary>Nothing is hidden: a row with a NaN or an infinity gives NaN, and the row beside it stays as it should.</summary>
    [Theory, OnEachDevice]
    public void A_broken_row_shows(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        foreach (var broken in new[] { float.NaN, float.PositiveInfinity })
        {
            var values = Values.Normal(60, 1);
            values[17] = broken;
            var y = Ops.L2Normalize(Tensor.From(d, values, new(2, 30))).ToArray();
            Assert.True(float.IsNaN(y[17]));
            Assert.Equal(1, y[30..].Sum(v => (double)v * v), 1e-6);
        }
    }

    [Fact]
    public void Refuses_an_eps_that_divides_by_zero()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Assert.Equal("L2Normalize: expected a positive eps, got 0",
            Assert.Throws<ArgumentException>(() => Ops.L2Normalize(Tensor.Zeros(d, new(2, 2)), 0)).Message);
    }

    private static double[] Normalize(double[] x, int cols)
    {
        var y = new double[x.Length];
        for (var r = 0; r < x.Length; r += cols)
        {
            var norm = Math.Sqrt(x.AsSpan(r, cols).ToArray().Sum(v => v * v));
            for (var c = 0; c < cols; c++) y[r + c] = x[r + c] / norm;
        }
        return y;
    }
}
