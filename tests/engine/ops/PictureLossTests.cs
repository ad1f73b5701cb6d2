using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class PictureLossTests
{
    [Theory, OnEachDevice("1x1x1x1", "3x5x4x3", "2x8x4x16")]
    public void Match_the_formulas_and_their_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Input[] inputs = [Input.Normal(new(shape), 1), Input.Normal(new(shape), 2)];
        foreach (var r in Enum.GetValues<EuclideanReduction>())
            Check.Op(d, t => Ops.EuclideanLoss(t[0], t[1], r), x => [Euclidean(x[0], x[1], shape[0], r)], inputs, 2e-6);
        foreach (var r in Enum.GetValues<ManhattanReduction>())
            Check.Op(d, t => Ops.ManhattanLoss(t[0], t[1], r), x => [Manhattan(x[0], x[1], shape[0], r)], inputs, 2e-6);
    }

    /// <summary>Only the gradient is rounded, by 2⁻⁹ at most: five times the tolerance.</summary>
    [Theory, OnEachDevice("1x1x1x1", "3x5x4x3", "2x8x4x16", In16Bits = true)]
    public void Match_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        Input[] inputs = [Input.Normal(new(shape), 1).As(type), Input.Normal(new(shape), 2).As(type)];
        foreach (var r in Enum.GetValues<EuclideanReduction>())
            Check.Op(d, t => Ops.EuclideanLoss(t[0], t[1], r), x => [Euclidean(x[0], x[1], shape[0], r)], inputs, 4e-4);
        foreach (var r in Enum.GetValues<ManhattanReduction>())
            Check.Op(d, t => Ops.ManhattanLoss(t[0], t[1], r), x => [Manhattan(x[0], x[1], shape[0], r)], inputs, 4e-4);
    }

    [Fact]
    public void Both_pictures_are_of_one_type()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var e = Assert.Throws<ArgumentException>(() => Ops.EuclideanLoss(Tensor.Zeros(d, new(1, 2), DType.BF16), Tensor.Zeros(d, new(1, 2))));
        Assert.Contains("BF16", e.Message);
    }

    /// <summary>Pictures of several blocks with a ragged last one.</summary>
    [Theory, OnEachDevice]
    public void Large_pictures_are_summed_by_blocks(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (a, b) = (Input.Normal(new(2, 131, 61, 5), 1), Input.Normal(new(2, 131, 61, 5), 2));
        var (wa, wb) = (Array.ConvertAll(a.Values, v => (double)v), Array.ConvertAll(b.Values, v => (double)v));
        var (ta, tb) = (a.ToTensor(d), b.ToTensor(d));
        var norm = Euclidean(wa, wb, 2, EuclideanReduction.PerImageNorm);
        var loss = Ops.EuclideanLoss(ta, tb);
        // Rounding of F32 partial sums of 512 terms each, which F64 then adds: about 1e-6 relative.
        Assert.Equal(1, loss.Item() / norm, 2e-6);
        Assert.Equal(1, Ops.ManhattanLoss(ta, tb).Item() / Manhattan(wa, wb, 2, ManhattanReduction.PerImage), 2e-6);
        loss.Backward();
        var half = wa.Length / 2;
        var expected = new double[wa.Length];
        for (var n = 0; n < 2; n++)
        {
            var size = Math.Sqrt(Enumerable.Range(n * half, half).Sum(i => (wa[i] - wb[i]) * (wa[i] - wb[i])));
            for (var i = n * half; i < (n + 1) * half; i++) expected[i] = (wa[i] - wb[i]) / (2 * size);
        }
        // Elements are near 1/400: the tolerance, which counts from 1, is set to 1e-6 of that.
        Check.Close(expected, ta.Grad!.ToArray(), 3e-9, "gradient");
        Check.Close(Array.ConvertAll(expected, e => -e), tb.Grad!.ToArray(), 3e-9, "gradient of the target");
    }

    /// <summary>The numerical trap: ‖e‖ has no derivative at 0; the gradient of a perfect picture is 0, the other's untouched.</summary>
    [Theory, OnEachDevice]
    public void A_perfect_picture_gets_no_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var pred = Tensor.From(d, [1f, 2f, 3f, 4f], new(2, 1, 2, 1)).WithGrad();
        var target = Tensor.From(d, [1f, 2f, 0f, 0f], new(2, 1, 2, 1));
        var loss = Ops.EuclideanLoss(pred, target);
        Assert.Equal(2.5f, loss.Item());
        loss.Backward();
        Assert.Equal([0f, 0f, 0.3f, 0.4f], pred.Grad!.ToArray());

        using var second = d.BeginStep();
        var same = Tensor.From(d, new float[20], new(1, 20)).WithGrad();
        Ops.ManhattanLoss(same, Tensor.Zeros(d, new(1, 20))).Backward();
        Assert.All(same.Grad!.ToArray(), g => Assert.Equal(0f, g));
    }

    private static double Euclidean(double[] a, double[] b, int n, EuclideanReduction reduction)
    {
        var per = Pictures(a, b, n, e => e * e);
        return reduction switch
        {
            EuclideanReduction.PerImageNorm => per.Average(Math.Sqrt),
            EuclideanReduction.SumSquare => per.Average(),
            EuclideanReduction.MeanSquare => per.Sum() / a.Length,
            _ => throw new ArgumentOutOfRangeException(nameof(reduction)),
        };
    }

    private static double Manhattan(double[] a, double[] b, int n, ManhattanReduction reduction) =>
        Pictures(a, b, n, Math.Abs).Sum() / (reduction == ManhattanReduction.PerImage ? n : a.Length);

    private static double[] Pictures(double[] a, double[] b, int n, Func<double, double> of)
    {
        var sums = new double[n];
        for (var i = 0; i < a.Length; i++) sums[i / (a.Length / n)] += of(a[i] - b[i]);
        return sums;
    }
}
