using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class PoolingTests
{
    // 5 and 7 leave a rest that PyTorch drops; 19 channels leave a scalar tail.
    [Theory, OnEachDevice("1x2x2x1", "2x5x7x3", "1x4x6x19", "1x2x4x24", "1x3x3x32")]
    public void Average_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var k in new[] { 1, 2, 3 })
        {
            if (k > Math.Min(shape[1], shape[2])) continue;
            Check.Op(d, t => Ops.AvgPool2d(t[0], k), x => Pool(x[0], shape, Windows(shape[1], k, k, 0), Windows(shape[2], k, k, 0), false),
                [Input.Normal(new(shape), 1)], 1e-6);
        }
    }

    [Theory, OnEachDevice("1x1x1x2", "2x5x7x3", "1x4x3x20")]
    public void Adaptive_average_uses_pytorchs_bins(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var (h, w) in new[] { (1, 1), (3, 2), (5, 9) })
            Check.Op(d, t => Ops.AdaptiveAvgPool2d(t[0], h, w), x => Pool(x[0], shape, Bins(shape[1], h), Bins(shape[2], w), false),
                [Input.Normal(new(shape), 1)], 1e-6);
    }

    [Theory, OnEachDevice("1x3x3x1", "2x5x7x3", "1x4x4x19", "1x3x3x70")]
    public void Maximum_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var (k, s, p) in new[] { (2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 0, 0) })
            Check.Op(d, t => Ops.MaxPool2d(t[0], k, s, p),
                x => Pool(x[0], shape, Windows(shape[1], k, s == 0 ? k : s, p), Windows(shape[2], k, s == 0 ? k : s, p), true),
                [Input.Normal(new(shape), 1)], 1e-6);
    }

    [Theory, OnEachDevice("2x5x7x3", "1x4x4x19")]
    public void Matches_in_BF16(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Input[] x = [Input.Normal(new(shape), 1).BF16];
        Check.Op(d, t => Ops.AvgPool2d(t[0], 2), v => Pool(v[0], shape, Windows(shape[1], 2, 2, 0), Windows(shape[2], 2, 2, 0), false), x);
        Check.Op(d, t => Ops.AdaptiveAvgPool2d(t[0], 3, 2), v => Pool(v[0], shape, Bins(shape[1], 3), Bins(shape[2], 2), false), x);
    }

    /// <summary>Of values that BF16 keeps apart, a maximum is exact, and so is the sum of some gradients in eighths.</summary>
    [Theory, OnEachDevice("2x5x7x3", "1x4x4x19")]
    public void Maximum_is_exact_in_BF16(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        // Neighbours are whole numbers 7 apart modulo 113: all windows hold different ones.
        var values = Enumerable.Range(0, (int)new Shape(shape).Count).Select(i => i / shape[3] * 7 % 113 - 56f).ToArray();
        foreach (var (k, s, p) in new[] { (2, 2, 0), (3, 2, 1), (3, 1, 1) })
            Check.Op(d, t => Ops.MaxPool2d(t[0], k, s, p), x => Pool(x[0], shape, Windows(shape[1], k, s, p), Windows(shape[2], k, s, p), true),
                [new Input(values, new(shape)).BF16]);
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

    [Fact]
    public void A_window_larger_than_the_picture_is_refused()
    {
        using var d = new CpuDevice(1);
        var x = Tensor.Zeros(d, new(1, 2, 3, 4));
        Assert.Contains("window", Assert.Throws<ArgumentException>(() => Ops.AvgPool2d(x, 3)).Message);
        Assert.Contains("does not fit", Assert.Throws<ArgumentException>(() => Ops.MaxPool2d(x, 3)).Message);
    }

    private static List<int>[] Windows(int size, int k, int stride, int padding) =>
        [.. Enumerable.Range(0, (size + 2 * padding - k) / stride + 1)
            .Select(i => Enumerable.Range(i * stride - padding, k).Where(p => p >= 0 && p < size).ToList())];

    private static List<int>[] Bins(int size, int bins) =>
        [.. Enumerable.Range(0, bins).Select(i => Enumerable.Range(0, size)
            .Where(p => p >= Math.Floor((double)i * size / bins) && p < Math.Ceiling((i + 1.0) * size / bins)).ToList())];

    private static double[] Pool(double[] x, int[] shape, List<int>[] rows, List<int>[] columns, bool maximum)
    {
        var y = new List<double>();
        for (var n = 0; n < shape[0]; n++)
            foreach (var r in rows)
                foreach (var c in columns)
                    for (var k = 0; k < shape[3]; k++)
                    {
                        var values = from i in r from j in c select x[((n * shape[1] + i) * shape[2] + j) * shape[3] + k];
                        y.Add(maximum ? values.Max() : values.Average());
                    }
        return [.. y];
    }
}
