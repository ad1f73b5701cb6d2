using Plip.Engine;
using Xunit;
using static Plip.Tests.Engine.PoolOracle;

namespace Plip.Tests.Engine;

public class MaxPoolTests
{
    [Theory, OnEachDevice("1x3x3x1", "2x5x7x3", "1x4x4x19", "1x3x3x70")]
    public void Maximum_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var (k, s, p) in new[] { (2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 0, 0) })
            Check.Op(d, t => Ops.MaxPool2d(t[0], k, s, p),
                x => Pool(x[0], shape, Windows(shape[1], k, s == 0 ? k : s, p), Windows(shape[2], k, s == 0 ? k : s, p), true),
                [Input.Normal(new(shape), 1)], 1e-6);
    }

    /// <summary>Windows side by side, with and without pixels between them and behind the last: nothing stays unwritten.</summary>
    [Theory, OnEachDevice("1x7x8x5", "2x9x7x32")]
    public void Windows_that_share_no_pixel_match(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var (k, s, p) in new[] { (2, 2, 0), (3, 3, 0), (2, 3, 0), (3, 3, 1), (2, 3, 1), (1, 2, 0) })
            Check.Op(d, t => Ops.MaxPool2d(t[0], k, s, p), x => Pool(x[0], shape, Windows(shape[1], k, s, p), Windows(shape[2], k, s, p), true),
                [Input.Normal(new(shape), 1)], 1e-6);
    }

    /// <summary>Of values that BF16 and F16 keep apart, a maximum is exact, and so is the sum of some gradients in eighths.</summary>
    [Theory, OnEachDevice("2x5x7x3", "1x4x4x19", In16Bits = true)]
    public void Maximum_is_exact_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        // Neighbours are whole numbers 7 apart modulo 113: all windows hold different ones.
        var values = Enumerable.Range(0, (int)new Shape(shape).Count).Select(i => i / shape[3] * 7 % 113 - 56f).ToArray();
        foreach (var (k, s, p) in new[] { (2, 2, 0), (3, 2, 1), (3, 1, 1) })
            Check.Op(d, t => Ops.MaxPool2d(t[0], k, s, p), x => Pool(x[0], shape, Windows(shape[1], k, s, p), Windows(shape[2], k, s, p), true),
                [new Input(values, new(shape)).As(type)]);
    }

    /// <summary>Two traps: all values below 0 next to padding, and equal values, whose gradient must not be given twice.</summary>
    [Theory, OnEachDevice]
    public void Padding_never_wins_and_the_first_of_equals_takes_the_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Tensor.From(d, Enumerable.Repeat(-5f, 2 * 2 * 17).ToArray(), new(1, 2, 2, 17)).WithGrad();
        var y = Ops.MaxPool2d(x, 3, 2, 1).Keep();
        Assert.Equal(new Shape(1, 1, 1, 17), y.Shape);
        Assert.All(y.ToArray(), v => Assert.Equal(-5f, v));
        Ops.Sum(y).Backward();
        Assert.All(x.Grad!.ToArray()[..17], g => Assert.Equal(1f, g));
        Assert.All(x.Grad!.ToArray()[17..], g => Assert.Equal(0f, g));
    }

    [Theory, OnEachDevice]
    public void Of_equals_side_by_side_the_first_takes_the_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Tensor.From(d, Enumerable.Repeat(-5f, 2 * 2 * 17).ToArray(), new(1, 2, 2, 17)).WithGrad();
        Ops.Sum(Ops.MaxPool2d(x, 2)).Backward();
        Assert.All(x.Grad!.ToArray()[..17], g => Assert.Equal(1f, g));
        Assert.All(x.Grad!.ToArray()[17..], g => Assert.Equal(0f, g));
    }

    [Fact]
    public void A_window_larger_than_the_picture_is_refused()
    {
        using var d = new CpuDevice(1);
        var x = Tensor.Zeros(d, new(1, 2, 3, 4));
        Assert.Contains("does not fit", Assert.Throws<ArgumentException>(() => Ops.MaxPool2d(x, 3)).Message);
    }
}
