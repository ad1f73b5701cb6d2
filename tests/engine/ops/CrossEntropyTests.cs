using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class CrossEntropyTests
{
    [Theory, OnEachDevice("1x1", "1x2", "4x7", "5x16", "9x33", "3x300")]
    public void Matches_the_formula_and_its_differences(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var labels = Labels(s[0], s[1], s[0] > 3);
        Check.Op(d, t => Ops.CrossEntropy(t[0], Tensor.From(d, labels, new(s[0]))), x => [Loss(x[0], labels, s[1])], [Input.Normal(new(s), 1, 2)]);
    }

    /// <summary>The loss is F32 and exact whatever the logits are stored as; only their gradient is rounded.</summary>
    [Theory, OnEachDevice("1x2", "4x7", "9x33", "3x300", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var labels = Labels(s[0], s[1], s[0] > 3);
        var x = Input.Normal(new(s), 1, 2).As(type);
        foreach (var (input, tolerance) in new[] { (x.Fixed, 2e-5), (x, Check.Tolerance(type)) })
            Check.Op(d, t => Ops.CrossEntropy(t[0], Tensor.From(d, labels, new(s[0]))), v => [Loss(v[0], labels, s[1])], [input], tolerance);
    }

    [Fact]
    public void Matches_for_random_shapes()
    {
        using var d = new CpuDevice(2);
        Gen.Select(Gen.Int[1, 20], Gen.Int[2, 90], Gen.UInt).Sample((rows, cols, seed) =>
        {
            var labels = Labels(rows, cols, true);
            Check.Op(d, t => Ops.CrossEntropy(t[0], Tensor.From(d, labels, new(rows))), x => [Loss(x[0], labels, cols)],
                [Input.Normal(new(rows, cols), seed, 4).Fixed]);
        }, iter: 50, threads: 1);
    }

    /// <summary>BERT's vocabulary, against the written gradient: rows of 30522 are longer than any block.</summary>
    [Theory, OnEachDevice]
    public void Matches_at_the_size_of_a_vocabulary(string device)
    {
        const int Rows = 5, Cols = 30522;
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        int[] labels = [0, Cols - 1, -100, 77, 12345];
        var input = Input.Normal(new(Rows, Cols), 8, 3);
        var x = Array.ConvertAll(input.Values, v => (double)v);
        var logits = input.ToTensor(d);
        var loss = Ops.CrossEntropy(logits, Tensor.From(d, labels, new(Rows)));
        Assert.Equal(Loss(x, labels, Cols), loss.Item(), 1e-5);
        loss.Backward(3f);
        var expected = new double[x.Length];
        for (var t = 0; t < Rows; t++)
        {
            if (labels[t] < 0) continue;
            var lse = LogSumExp(x.AsSpan(t * Cols, Cols));
            for (var v = 0; v < Cols; v++) expected[t * Cols + v] = 3.0 / 4 * (Math.Exp(x[t * Cols + v] - lse) - (labels[t] == v ? 1 : 0));
        }
        Check.Close(expected, logits.Grad!.ToArray(), 1e-6, "gradient");
    }

    /// <summary>The numerical trap: logits of 10⁴. The loss keeps its digits; the saved lse has an ulp of 1e-3 there.</summary>
    [Theory, OnEachDevice]
    public void Survives_logits_of_ten_thousand(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        float[] x = [1e4f, 1e4f - 1, -1e4f, 0, 1e4f - 3, 1e4f];
        var logits = Tensor.From(d, x, new(2, 3)).WithGrad();
        var loss = Ops.CrossEntropy(logits, Tensor.From<int>(d, [1, 0], new(2)));
        var expected = (1 + Math.Log(1 + Math.Exp(-1)) + 1e4 + Math.Log(1 + Math.Exp(-3))) / 2;
        Assert.Equal(expected, loss.Item(), 1e-3);
        loss.Backward();
        var (p, q) = (1 / (1 + Math.Exp(-1)), 1 / (1 + Math.Exp(-3)));
        Check.Close([p / 2, -p / 2, 0, -0.5, (1 - q) / 2, q / 2], logits.Grad!.ToArray(), 1e-3, "gradient");
    }

    [Theory, OnEachDevice]
    public void Nothing_to_count_is_a_loss_of_zero(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Input.Normal(new(3, 5)).ToTensor(d);
        var loss = Ops.CrossEntropy(x, Tensor.From<int>(d, [9, 9, 9], new(3)), ignoreIndex: 9);
        Assert.Equal(0f, loss.Item());
        loss.Backward();
        Assert.Equal(new float[15], x.Grad!.ToArray());
        using var next = d.BeginStep();
        Assert.Equal(0f, Ops.CrossEntropy(Tensor.Zeros(d, new(0, 5)), Tensor.Zeros(d, new(0), DType.I32)).Item());
    }

    [Theory, OnEachDevice]
    public void Names_the_row_of_a_bad_label(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        string Error(int[] labels) => Check.Refusal(
            d, () => Ops.CrossEntropy(Tensor.Zeros(d, new(3, 5)), Tensor.From(d, labels, new(labels.Length))));
        Assert.Equal("CrossEntropy: row 2 has label 5, outside 0..4; rows to leave out carry -100", Error([0, 4, 5]));
        Assert.Equal("CrossEntropy: row 1 has label -1, outside 0..4; rows to leave out carry -100", Error([0, -1, 5]));
        Assert.Equal("CrossEntropy: expected one label for each row of (3, 5), got (2,)", Error([0, 1]));
    }

    private static int[] Labels(int rows, int cols, bool ignoreSome)
    {
        var random = new Philox(7, 1);
        return Enumerable.Range(0, rows).Select(t => ignoreSome && t % 3 == 1 ? -100 : random.Next((ulong)t, cols)).ToArray();
    }

    private static double LogSumExp(ReadOnlySpan<double> row)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (var v in row) max = Math.Max(max, v);
        foreach (var v in row) sum += Math.Exp(v - max);
        return max + Math.Log(sum);
    }

    private static double Loss(double[] x, int[] labels, int cols)
    {
        double sum = 0;
        var n = 0;
        for (var t = 0; t < labels.Length; t++)
        {
            if (labels[t] < 0) continue;
            sum += LogSumExp(x.AsSpan(t * cols, cols)) - x[t * cols + labels[t]];
            n++;
        }
        return n == 0 ? 0 : sum / n;
    }
}
