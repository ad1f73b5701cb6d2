using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class LinearCrossEntropyTests
{
    /// <summary>M x C x V x words of a part.</summary>
    [Theory, OnEachDevice("1x1x1x64", "3x7x5x64", "9x16x33x64", "5x12x150x64", "70x8x206x128")]
    public void Matches_the_formula_and_its_differences(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var labels = Labels(s[0], s[2], s[0] > 3);
        Check.Op(
            d, t => Run(d, t, labels, s[3]), x => [Loss(x[0], x[1], x[2], labels, s[1])],
            [Input.Normal(new(s[0], s[1]), 1), Input.Normal(new(s[2], s[1]), 2), Input.Normal(new(s[2]), 3)]);
    }

    /// <summary>Logits are F32 of what 16 bits hold, so the loss is exact; gradients are rounded.</summary>
    [Theory, OnEachDevice("3x7x5x64", "9x16x33x64", "5x12x150x64", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var labels = Labels(s[0], s[2], s[0] > 3);
        Input hidden = Input.Normal(new(s[0], s[1]), 1).As(type), weight = Input.Normal(new(s[2], s[1]), 2).As(type), bias = Input.Normal(new(s[2]), 3);
        double[] Oracle(double[][] x) => [Loss(x[0], x[1], x[2], labels, s[1])];
        Check.Op(d, t => Run(d, t, labels, s[3]), Oracle, [hidden.Fixed, weight.Fixed, bias.Fixed]);
        Check.Op(d, t => Run(d, t, labels, s[3]), Oracle, [hidden, weight, bias], Check.Tolerance(type));
    }

    /// <summary>What it stands for, at the vocabulary's length and in several parts: the two ops, but for F32 sums of 30,522 terms in another order.</summary>
    [Theory, OnEachDevice]
    public void Gives_what_the_two_ops_give(string device)
    {
        const int Rows = 6, Width = 8, Words = 30522;
        using var d = Devices.Open(device);
        var labels = new[] { 0, Words - 1, -100, 77, 8191, 8192 };
        float[][] Of(bool fused)
        {
            using var step = d.BeginStep();
            Tensor[] x = [Input.Normal(new(Rows, Width), 1).ToTensor(d), Input.Normal(new(Words, Width), 2).ToTensor(d), Input.Normal(new(Words), 3).ToTensor(d)];
            var loss = fused ? Run(d, x, labels, 8192) : Ops.CrossEntropy(Ops.Linear(x[0], x[1], x[2]), Tensor.From(d, labels, new(Rows)));
            loss.Keep();
            loss.Backward(3f);
            return [loss.ToArray(), .. x.Select(t => t.Grad!.ToArray())];
        }
        var (one, two) = (Of(true), Of(false));
        for (var i = 0; i < one.Length; i++) Check.Close(Array.ConvertAll(two[i], v => (double)v), one[i], 2e-5, i == 0 ? "loss" : $"gradient {i - 1}");
    }

    [Fact]
    public void Matches_for_random_shapes_and_parts()
    {
        using var d = new CpuDevice(2);
        Gen.Select(Gen.Int[1, 12], Gen.Int[1, 20], Gen.Int[1, 300], Gen.Int[64, 200], Gen.UInt).Sample((rows, width, words, part, seed) =>
        {
            var labels = Labels(rows, words, true);
            Check.Op(
                d, t => Run(d, t, labels, part), x => [Loss(x[0], x[1], x[2], labels, width)],
                [Input.Normal(new(rows, width), seed).Fixed, Input.Normal(new(words, width), seed + 1).Fixed, Input.Normal(new(words), seed + 2).Fixed]);
        }, iter: 50, threads: 1);
    }

    /// <summary>The numerical trap: logits of 10⁴ whose maximum comes in the last part, so that what was summed before counts for nothing.</summary>
    [Theory, OnEachDevice]
    public void Survives_logits_that_grow_from_part_to_part(string device)
    {
        const int Words = 192;
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var weights = Enumerable.Range(0, Words).Select(v => v == Words - 1 ? 1e4f : v == Words - 2 ? 1e4f - 2 : v - 5e3f).ToArray();
        Tensor[] x = [Tensor.From<float>(d, [1f], new(1, 1)).WithGrad(), Tensor.From(d, weights, new(Words, 1)).WithGrad(), Tensor.Zeros(d, new(Words)).WithGrad()];
        var loss = Run(d, x, [Words - 2], 64).Keep();
        Assert.Equal(2 + Math.Log(1 + Math.Exp(-2)), loss.Item(), 1e-3); // an ulp of 10⁴
        loss.Backward();
        var p = 1 / (1 + Math.Exp(-2));
        var expected = new double[Words];
        (expected[^1], expected[^2]) = (p, -p);
        Check.Close(expected, x[2].Grad!.ToArray(), 1e-3, "gradient of the bias");
    }

    /// <summary>What it is for: at its peak it holds a part of the logits, not M·V of them once, let alone twice.</summary>
    [Theory, OnEachDevice]
    public void Never_holds_the_logits(string device)
    {
        const int Rows = 256, Width = 4, Words = 32768;
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        Tensor[] x = [Input.Normal(new(Rows, Width), 1).ToTensor(d), Input.Normal(new(Words, Width), 2).ToTensor(d), Input.Normal(new(Words), 3).ToTensor(d)];
        var labels = Tensor.From(d, Labels(Rows, Words, true), new(Rows));
        d.ResetPeak();
        var before = d.MemoryInUse.Bytes;
        Ops.LinearCrossEntropy(x[0], x[1], x[2], labels).Backward();
        long logits = 4L * Rows * Words, gradients = x.Sum(t => t.Bytes), part = 8 << 20;
        Assert.True(logits == 4 * part);
        // Both kinds of device work on a part, and on a CPU on B packed for it and blocks' sums of the bias.
        Assert.InRange(d.MemoryInUse.PeakBytes - before, part, 2 * part + gradients);
    }

    [Theory, OnEachDevice]
    public void Only_what_is_wanted_gets_a_gradient(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        Tensor x = Input.Normal(new(3, 4), 1).ToTensor(d), w = Input.Normal(new(150, 4), 2).Fixed.ToTensor(d);
        Ops.LinearCrossEntropy(x, w, null, Tensor.From<int>(d, [1, 2, 149], new(3)), -100, 3 * 64).Backward();
        Assert.Null(w.Grad);
        Assert.Contains(x.Grad!.ToArray(), v => v != 0);
    }

    [Theory, OnEachDevice]
    public void Nothing_to_count_is_a_loss_of_zero(string device)
    {
        using var d = Devices.Open(device);
        foreach (var rows in (int[])[3, 0])
        {
            using var step = d.BeginStep();
            Tensor[] x = [Input.Normal(new(rows, 4), 1).ToTensor(d), Input.Normal(new(150, 4), 2).ToTensor(d), Input.Normal(new(150), 3).ToTensor(d)];
            var loss = Run(d, x, [.. Enumerable.Repeat(-100, rows)], 64).Keep();
            Assert.Equal(0f, loss.Item());
            loss.Backward();
            foreach (var t in x) Assert.All(t.Grad!.ToArray(), v => Assert.Equal(0f, v));
        }
    }

    [Theory, OnEachDevice]
    public void Names_the_row_of_a_bad_label_and_the_shapes_that_do_not_fit(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        string Error(int[] labels, int width = 4) => Check.Refusal(
            d, () => Ops.LinearCrossEntropy(Tensor.Zeros(d, new(3, 4)), Tensor.Zeros(d, new(5, width)), null, Tensor.From(d, labels, new(labels.Length))));
        Assert.Equal("LinearCrossEntropy: row 2 has label 5, outside 0..4; rows to leave out carry -100", Error([0, 4, 5]));
        Assert.Equal("LinearCrossEntropy: row 1 has label -1, outside 0..4; rows to leave out carry -100", Error([0, -1, 5]));
        Assert.Equal("LinearCrossEntropy: expected one label for each row of (3, 4), got (2,)", Error([0, 1]));
        Assert.Equal("LinearCrossEntropy: expected rows of 6 for weight (5, 6), got (3, 4)", Error([0, 1, 2], 6));
    }

    private static Tensor Run(Device d, Tensor[] x, int[] labels, int part) =>
        Ops.LinearCrossEntropy(x[0], x[1], x[2], Tensor.From(d, labels, new(labels.Length)), -100, (long)Math.Max(1, labels.Length) * part);

    private static int[] Labels(int rows, int cols, bool ignoreSome)
    {
        var random = new Philox(7, 1);
        return [.. Enumerable.Range(0, rows).Select(t => ignoreSome && t % 3 == 1 ? -100 : random.Next((ulong)t, cols))];
    }

    private static double Loss(double[] x, double[] w, double[] b, int[] labels, int width)
    {
        double sum = 0;
        var n = 0;
        for (var t = 0; t < labels.Length; t++)
        {
            if (labels[t] < 0) continue;
            var logits = b.Select((bias, v) => bias + Enumerable.Range(0, width).Sum(c => x[t * width + c] * w[v * width + c])).ToArray();
            var max = logits.Max();
            sum += max + Math.Log(logits.Sum(v => Math.Exp(v - max))) - logits[labels[t]];
            n++;
        }
        return n == 0 ? 0 : sum / n;
    }
}
