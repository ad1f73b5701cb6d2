using Plip.Engine;
using Xunit;
using static Plip.Tests.Engine.PoolOracle;

namespace Plip.Tests.Engine;

public class AveragePoolTests
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

    [Theory, OnEachDevice("2x5x7x3", "1x4x4x19", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Input[] x = [Input.Normal(new(shape), 1).As(type)];
        Check.Op(d, t => Ops.AvgPool2d(t[0], 2), v => Pool(v[0], shape, Windows(shape[1], 2, 2, 0), Windows(shape[2], 2, 2, 0), false), x);
        Check.Op(d, t => Ops.AdaptiveAvgPool2d(t[0], 3, 2), v => Pool(v[0], shape, Bins(shape[1], 3), Bins(shape[2], 2), false), x);
    }

    [Fact]
    public void A_window_larger_than_the_picture_is_refused()
    {
        using var d = new CpuDevice(1);
        var x = Tensor.Zeros(d, new(1, 2, 3, 4));
        Assert.Contains("window", Assert.Throws<ArgumentException>(() => Ops.AvgPool2d(x, 3)).Message);
    }

    private static List<int>[] Bins(int size, int bins) =>
        [.. Enumerable.Range(0, bins).Select(i => Enumerable.Range(0, size)
            .Where(p => p >= Math.Floor((double)i * size / bins) && p < Math.Ceiling((i + 1.0) * size / bins)).ToList())];
}
