using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class DropoutTests
{
    private static readonly Philox Random = new(42, 7, 3);

    [Theory, OnEachDevice("1", "7", "16", "5x33", "3x50")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var p in new[] { 0.1f, 0.5f, 0.9f })
            foreach (var x in Input.Normal(new(shape), 1).InEachType)
                Check.Op(d, t => Ops.Dropout(t[0], p, Random), v => Dropped(v[0], p), [x]);
    }

    /// <summary>Tasks of 16384 elements: the mask goes by the number of the element, not by its place in a task.</summary>
    [Theory, OnEachDevice("1x40003", "3x16384")]
    public void The_mask_is_a_function_of_the_element(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Ops.Full(d, new(shape), 1f).WithGrad();
        var y = Ops.Dropout(x, 0.3f, Random).Keep();
        Ops.Sum(y).Backward();
        var expected = Array.ConvertAll(Dropped(Enumerable.Repeat(1.0, (int)x.Count).ToArray(), 0.3f), v => (float)v);
        var (values, gradient) = (y.ToArray(), x.Grad!.ToArray());
        for (var i = 0; i < values.Length; i++)
        {
            Assert.Equal(expected[i], values[i], 1e-6f);
            Assert.Equal(values[i], gradient[i]);
        }
        var dropped = values.Count(v => v == 0) / (double)values.Length;
        Assert.Equal(0.3, dropped, 0.01); // four deviations of √(0.21/40000) = 0.0023
    }

    /// <summary>The step's place is memory, so that a graph that was captured draws anew in each replay.</summary>
    [Theory, OnEachDevice]
    public void A_step_in_memory_counts_in_place_of_the_streams_own(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (x, now) = (Ops.Full(d, new(5, 33), 1f), Tensor.From<int>(d, [8], new(1)));
        Assert.Equal(Ops.Dropout(x, 0.5f, new Philox(42, 7, 8)).ToArray(), Ops.Dropout(x, 0.5f, Random, now).ToArray());
        Assert.NotEqual(Ops.Dropout(x, 0.5f, Random).ToArray(), Ops.Dropout(x, 0.5f, Random, now).ToArray());
        Assert.Throws<ArgumentException>(() => Ops.Dropout(x, 0.5f, Random, x));
    }

    [Fact]
    public void No_dropout_is_the_input_itself()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(3));
        Assert.Same(x, Ops.Dropout(x, 0, Random));
    }

    [Fact]
    public void Refuses_what_is_no_probability()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        foreach (var p in new[] { -0.1f, 1f, float.NaN })
            Assert.StartsWith("Dropout: expected a probability in [0, 1)",
                Assert.Throws<ArgumentException>(() => Ops.Dropout(Tensor.Zeros(d, new(3)), p, Random)).Message, StringComparison.Ordinal);
    }

    private static double[] Dropped(double[] x, float p)
    {
        var y = new double[x.Length];
        for (var i = 0; i < x.Length; i++) y[i] = Random.Uniform((ulong)i) >= p ? x[i] / (1.0 - p) : 0;
        return y;
    }
}
