using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class StochasticDepthTests
{
    private static readonly Philox Random = new(42, 7, 3);

    [Theory, OnEachDevice("1x1", "5x3", "7x2x5x3", "3x4x8", "6x8x16x32")]
    public void Matches_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Input x = Input.Normal(new(shape), 1), a = Input.Normal(new(shape), 2);
        if (x.Shape.Count > 1000) (x, a) = (x.Fixed, a.Fixed); // differences of each of 24,576 elements would take minutes
        foreach (var p in new[] { 0.2f, 0.7f })
        {
            Check.Op(d, t => Ops.AddStochasticDepth(t[0], t[1], p, Random), v => Expected(v, shape[0], p), [x, a]);
            Check.Op(d, t => Ops.AddStochasticDepth(t[0], t[1], p, Random), v => Expected(v, shape[0], p), [x.BF16, a.BF16]);
        }
    }

    /// <summary>Pictures larger than a task of the CPU, or a block of a GPU: all of a picture is kept or none.</summary>
    [Theory, OnEachDevice("9x20001", "4x16384")]
    public void A_picture_keeps_all_of_the_branch_or_nothing(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (x, a) = (Tensor.Zeros(d, new(shape)), Ops.Full(d, new(shape), 1f).WithGrad());
        var y = Ops.AddStochasticDepth(x, a, 0.5f, Random).Keep();
        Ops.Sum(y).Backward();
        var (values, gradient) = (y.ToArray(), a.Grad!.ToArray());
        for (var i = 0; i < values.Length; i++)
        {
            var kept = Random.Uniform((ulong)(i / shape[1])) >= 0.5f ? 2f : 0f;
            Assert.Equal(kept, values[i]);
            Assert.Equal(kept, gradient[i]);
        }
        Assert.Contains(0f, values);
        Assert.Contains(2f, values);
    }

    [Theory, OnEachDevice]
    public void A_step_in_memory_counts_in_place_of_the_streams_own(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (x, a, now) = (Tensor.Zeros(d, new(40, 3)), Ops.Full(d, new(40, 3), 1f), Tensor.From<int>(d, [8], new(1)));
        Assert.Equal(Ops.AddStochasticDepth(x, a, 0.5f, new Philox(42, 7, 8)).ToArray(), Ops.AddStochasticDepth(x, a, 0.5f, Random, now).ToArray());
        Assert.NotEqual(Ops.AddStochasticDepth(x, a, 0.5f, Random).ToArray(), Ops.AddStochasticDepth(x, a, 0.5f, Random, now).ToArray());
        Assert.Throws<ArgumentException>(() => Ops.AddStochasticDepth(x, a, 0.5f, Random, x));
        Assert.Throws<ArgumentException>(() => Ops.AddStochasticDepth(x, a, 1f, Random));
        Assert.Throws<ArgumentException>(() => Ops.AddStochasticDepth(x, now, 0.5f, Random));
        Assert.Equal(a.ToArray(), Ops.AddStochasticDepth(x, a, 0f, Random).ToArray());
    }

    private static double[] Expected(double[][] v, int pictures, float p)
    {
        var each = v[0].Length / pictures;
        return [.. v[0].Select((x, i) => x + (Random.Uniform((ulong)(i / each)) >= p ? v[1][i] / (1.0 - p) : 0))];
    }
}
