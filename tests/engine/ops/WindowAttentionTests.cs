using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class WindowAttentionTests
{
    // images x height x width x heads x head width x window x shift
    [Theory, OnEachDevice("1x2x2x1x2x2x0", "2x4x2x2x3x2x1", "1x5x3x1x3x2x1", "1x3x4x2x2x4x2", "1x3x3x1x4x3x1")]
    public void Matches_the_formula_and_its_differences(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var f = Of(s);
        Check.Op(d, t => Ops.WindowAttention(t[0], t[1], t[2], f.Heads, f.Window, f.Shift), x => f.Forward(x[0], x[1], x[2]), Inputs(f));
    }

    [Theory, OnEachDevice("2x4x2x2x3x2x1", "1x5x3x1x3x2x1")]
    public void Matches_in_BF16(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var f = Of(s);
        var inputs = Inputs(f);
        inputs[0] = inputs[0].BF16;
        Check.Op(d, t => Ops.WindowAttention(t[0], t[1], t[2], f.Heads, f.Window, f.Shift), x => f.Forward(x[0], x[1], x[2]), inputs);
    }

    /// <summary>
    /// Swin's own window and head, on maps that it has of pictures of 256×128 and of others; a last row, a last column and both of padding, several
    /// blocks of windows, and queries that fill more than one panel. Gradients along random directions, by differences of the formula.
    /// </summary>
    [Theory, OnEachDevice("1x16x8x2x32x7x3", "2x8x4x1x32x7x3", "1x16x8x1x32x7x0", "3x14x21x1x32x7x3", "2x3x2x1x32x7x3", "5x9x6x1x3x4x2", "1x9x9x1x40x8x4")]
    public void Matches_at_sizes_in_use(string device, int[] s)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var f = Of(s);
        var inputs = Inputs(f);
        var t = inputs.Select(i => i.ToTensor(d)).ToArray();
        var wide = inputs.Select(i => Array.ConvertAll(i.Values, v => (double)v)).ToArray();
        var y = Ops.WindowAttention(t[0], t[1], t[2], f.Heads, f.Window, f.Shift).Keep();
        Check.Close(f.Forward(wide[0], wide[1], wide[2]), y.ToArray(), 2e-5, "forward");
        var weights = Values.Normal((int)y.Count, 5);
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, weights, y.Shape))).Backward();
        double Loss(double[][] x) => f.Forward(x[0], x[1], x[2]).Zip(weights, (a, b) => a * b).Sum();
        for (var k = 0; k < 3; k++)
        {
            var gradient = t[k].Grad!.ToArray();
            for (var trial = 0u; trial < 3; trial++)
            {
                var direction = Array.ConvertAll(Values.Normal(gradient.Length, 50 + trial), v => (double)v);
                const double h = 1e-4;
                double[][] At(double by) => [.. wide.Select((x, i) => i != k ? x : [.. x.Zip(direction, (a, b) => a + by * b)])];
                var expected = (Loss(At(h)) - Loss(At(-h))) / (2 * h);
                var actual = gradient.Zip(direction, (a, b) => a * b).Sum();
                var norm = Math.Sqrt(gradient.Sum(g => (double)g * g));
                Assert.True(Math.Abs(expected - actual) <= 1e-4 * norm, $"input {k}, direction {trial}: {actual:R}, the formula's difference {expected:R}, norm {norm:g3}");
            }
        }
    }

    /// <summary>The numerical trap: a score 200 above the rest overflows exp unless the largest is taken off, and the mask's −100 must not hide it.</summary>
    [Theory, OnEachDevice]
    public void Survives_large_scores(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var f = new WindowFormula(1, 4, 4, 1, 4, 2, 1);
        var inputs = Inputs(f);
        inputs[0] = inputs[0] with { Values = Array.ConvertAll(inputs[0].Values, v => 12 * v) };
        var t = inputs.Select(i => i.ToTensor(d)).ToArray();
        var wide = inputs.Select(i => Array.ConvertAll(i.Values, v => (double)v)).ToArray();
        var y = Ops.WindowAttention(t[0], t[1], t[2], 1, 2, 1).Keep();
        Check.Close(f.Forward(wide[0], wide[1], wide[2]), y.ToArray(), 2e-4, "forward"); // scores of some hundreds carry 1e-5 of rounding
        Ops.Sum(y).Backward();
        foreach (var x in t) Assert.All(x.Grad!.ToArray(), g => Assert.True(float.IsFinite(g)));
    }

    /// <summary>Without padding's own values the windows are filled with zeros.</summary>
    [Theory, OnEachDevice]
    public void Padding_is_zeros_unless_it_is_given(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var f = new WindowFormula(1, 3, 3, 1, 4, 2, 0);
        var t = Inputs(f).Select(i => i.ToTensor(d)).ToArray();
        var zeros = Tensor.Zeros(d, t[1].Shape);
        Assert.Equal(Ops.WindowAttention(t[0], zeros, t[2], 1, 2).ToArray(), Ops.WindowAttention(t[0], null, t[2], 1, 2).ToArray());
        Assert.NotEqual(Ops.WindowAttention(t[0], t[1], t[2], 1, 2).ToArray(), Ops.WindowAttention(t[0], null, t[2], 1, 2).ToArray());
    }

    [Fact]
    public void The_bits_do_not_depend_on_the_number_of_threads()
    {
        float[][] Run(int threads)
        {
            using var d = new CpuDevice(threads);
            using var step = d.BeginStep();
            var f = new WindowFormula(6, 9, 5, 2, 8, 4, 2);
            var t = Inputs(f).Select(i => i.ToTensor(d)).ToArray();
            var y = Ops.WindowAttention(t[0], t[1], t[2], 2, 4, 2).Keep();
            Ops.Sum(Ops.Multiply(y, y)).Backward();
            return [y.ToArray(), .. t.Select(x => x.Grad!.ToArray())];
        }

        Assert.Equal(Run(1), Run(3));
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        string Error(int heads, int window, int shift, int[] table) => Assert.Throws<ArgumentException>(() =>
            Ops.WindowAttention(Tensor.Zeros(d, new(1, 4, 4, 12)), null, Tensor.Zeros(d, new(table)), heads, window, shift)).Message;
        Assert.Equal("WindowAttention: 3 heads do not divide three parts of (1, 4, 4, 12)", Error(3, 2, 0, [9, 3]));
        Assert.Equal("WindowAttention: expected a window of 1 or more and a shift from 0 to below it, got 2 and 2", Error(2, 2, 2, [9, 2]));
        Assert.Equal("WindowAttention: expected a table (9, 2), got (9, 3)", Error(2, 2, 0, [9, 3]));
        Assert.Contains("expected a vector of 12", Assert.Throws<ArgumentException>(() =>
            Ops.WindowAttention(Tensor.Zeros(d, new(1, 4, 4, 12)), Tensor.Zeros(d, new(4)), Tensor.Zeros(d, new(9, 2)), 2, 2)).Message, StringComparison.Ordinal);
    }

    private static WindowFormula Of(int[] s) => new(s[0], s[1], s[2], s[3], s[4], s[5], s[6]);

    private static Input[] Inputs(WindowFormula f)
    {
        var c = 3 * f.Heads * f.Depth;
        return [Input.Normal(new(f.Images, f.Height, f.Width, c), 1), Input.Normal(new(c), 2), Input.Normal(new(f.Distances, f.Heads), 3)];
    }
}
