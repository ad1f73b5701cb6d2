using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ReduceTests
{
    [Theory, OnEachDevice("1", "7", "16", "5x33", "2x3x40")]
    public void Sum_and_mean_match(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        // The gradient of a BF16 or F16 input is that too, and 1/n is rounded in it.
        foreach (var (x, tolerance) in new[] { (Input.Normal(new(shape), 1), 2e-6), (Input.Normal(new(shape), 1).BF16, 1.0 / 512), (Input.Normal(new(shape), 1).As(DType.F16), 1.0 / 4096) })
        {
            Check.Op(d, t => Ops.Sum(t[0]), v => [v[0].Sum()], [x], tolerance);
            Check.Op(d, t => Ops.Mean(t[0]), v => [v[0].Average()], [x], tolerance);
        }
    }

    /// <summary>A scalar is F32 whatever was summed: 257 is no BF16 number.</summary>
    [Theory, OnEachDevice]
    public void A_sum_of_BF16_is_not_rounded_to_BF16(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Ops.Cast(Ops.Full(d, new(257), 1f), DType.BF16).WithGrad();
        var y = Ops.Sum(x).Keep();
        y.Backward(3f);
        Assert.Equal((DType.F32, 257f), (y.DType, y.Item()));
        Assert.Equal(DType.BF16, x.Grad!.DType);
        Assert.All(Ops.Cast(x.Grad, DType.F32).ToArray(), v => Assert.Equal(3f, v));
    }

    /// <summary>The trap: one F32 accumulator over 2²⁰ tenths is off by a percent; short runs joined in F64 are not.</summary>
    [Theory, OnEachDevice]
    public void Many_terms_keep_their_precision(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        const int N = (1 << 20) + 13;
        Assert.Equal(N * (double)0.1f, Ops.Sum(Ops.Full(d, new(N), 0.1f)).Item(), 0.5); // 5e-6 of it
        Assert.Equal(0.1f, Ops.Mean(Ops.Full(d, new(N), 0.1f)).Item(), 1e-6f);
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits_and_nothing_has_no_mean()
    {
        var sums = new List<float>();
        foreach (var threads in (int[])[1, 3])
        {
            using var d = new CpuDevice(threads);
            using var step = d.BeginStep();
            sums.Add(Ops.Sum(Tensor.From(d, Values.Normal(70_001, 5), new(70_001))).Item());
        }
        Assert.Equal(sums[0], sums[1]);
        using var one = new CpuDevice(1);
        using var open = one.BeginStep();
        Assert.Equal(0f, Ops.Sum(Tensor.Zeros(one, new(0))).Item());
        Assert.Equal("Mean: expected elements, got shape (0,)", Assert.Throws<ArgumentException>(() => Ops.Mean(Tensor.Zeros(one, new(0)))).Message);
    }
}
