using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class UpsampleTests
{
    [Theory, OnEachDevice("1x1x1x1", "2x3x2x3", "1x2x4x19", "1x2x2x70")]
    public void Nearest_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        foreach (var f in new[] { 1, 2, 3 })
            Check.Op(d, t => Ops.UpsampleNearest2d(t[0], f), x => Nearest(x[0], shape, f), [Input.Normal(new(shape), 1)], 1e-6);
    }

    [Theory, OnEachDevice("1x1x1x1", "2x3x2x3", "1x5x4x19")]
    public void Bilinear_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        // Larger by whole and broken factors, the same size, and smaller, where some pixels are read by nobody.
        foreach (var (h, w) in new[] { (2 * shape[1], 4 * shape[2]), (7, 5), (shape[1], shape[2]), (2, 1) })
            Check.Op(d, t => Ops.UpsampleBilinear2d(t[0], h, w), x => Bilinear(x[0], shape, h, w), [Input.Normal(new(shape), 1)], 2e-6);
    }

    [Theory, OnEachDevice("2x3x2x3", "1x5x4x19", "1x2x2x70", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Input[] x = [Input.Normal(new(shape), 1).As(type)];
        Check.Op(d, t => Ops.UpsampleNearest2d(t[0], 2), v => Nearest(v[0], shape, 2), x);
        Check.Op(d, t => Ops.UpsampleBilinear2d(t[0], 7, 5), v => Bilinear(v[0], shape, 7, 5), x);
    }

    /// <summary>Known by hand and the same in PyTorch: the edge is repeated, between pixels it goes by quarters.</summary>
    [Theory, OnEachDevice]
    public void Doubling_a_ramp(string device)
    {
        using var d = Devices.Open(device);
        var y = Ops.UpsampleBilinear2d(Tensor.From(d, [0f, 4f, 8f], new(1, 1, 3, 1)), 1, 6);
        Assert.Equal([0f, 1f, 3f, 5f, 7f, 8f], y.ToArray());
    }

    private static double[] Nearest(double[] x, int[] s, int f)
    {
        var y = new List<double>();
        for (var n = 0; n < s[0]; n++)
            for (var i = 0; i < s[1] * f; i++)
                for (var j = 0; j < s[2] * f; j++)
                    for (var c = 0; c < s[3]; c++) y.Add(x[((n * s[1] + i / f) * s[2] + j / f) * s[3] + c]);
        return [.. y];
    }

    private static double[] Bilinear(double[] x, int[] s, int outH, int outW)
    {
        var y = new List<double>();
        for (var n = 0; n < s[0]; n++)
            for (var i = 0; i < outH; i++)
                for (var j = 0; j < outW; j++)
                    for (var c = 0; c < s[3]; c++)
                    {
                        var (v, u) = (Math.Max(0, (i + 0.5) * s[1] / outH - 0.5), Math.Max(0, (j + 0.5) * s[2] / outW - 0.5));
                        double sum = 0;
                        for (var a = 0; a < s[1]; a++)
                            for (var b = 0; b < s[2]; b++)
                            {
                                // Past the last pixel its neighbour is itself.
                                var wa = Math.Max(0, 1 - Math.Abs(Math.Min(v, s[1] - 1) - a));
                                var wb = Math.Max(0, 1 - Math.Abs(Math.Min(u, s[2] - 1) - b));
                                sum += wa * wb * x[((n * s[1] + a) * s[2] + b) * s[3] + c];
                            }
                        y.Add(sum);
                    }
        return [.. y];
    }
}
