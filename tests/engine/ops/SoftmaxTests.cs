using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class SoftmaxTests
{
    [Theory, OnEachDevice("1x1", "3x7", "5x16", "2x3x33", "12x70")]
    public void Softmax_matches(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.Softmax(t[0]), x => Softmax(x[0], shape[^1]), [Input.Normal(new(shape), 1, 3)], 1e-5);
    }

    [Theory, OnEachDevice("1x1", "3x7", "5x16", "2x3x33", "12x70")]
    public void Log_softmax_matches(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.LogSoftmax(t[0]), x => Array.ConvertAll(Softmax(x[0], shape[^1]), Math.Log), [Input.Normal(new(shape), 1, 3)], 1e-5);
    }

    [Theory, OnEachDevice("1x1", "3x7", "2x3x33", "12x70", In16Bits = true)]
    public void Both_match_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        var x = Input.Normal(new(shape), 1, 3).As(type);
        Check.Op(d, t => Ops.Softmax(t[0]), v => Softmax(v[0], shape[^1]), [x]);
        Check.Op(d, t => Ops.LogSoftmax(t[0]), v => Array.ConvertAll(Softmax(v[0], shape[^1]), Math.Log), [x]);
    }

    /// <summary>Rows too long for their exps to be kept beside them are divided as exactly: a sum of 5001 terms, each rounded once.</summary>
    [Theory, OnEachDevice("2x4096", "2x5001")]
    public void Long_rows_match_in_BF16(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Input.Normal(new(shape), 1, 3).BF16.Fixed.ToTensor(d);
        var expected = Softmax(Array.ConvertAll(Ops.Cast(x, DType.F32).ToArray(), v => (double)v), shape[1]);
        var y = Ops.Cast(Ops.Softmax(x), DType.F32).ToArray();
        for (var i = 0; i < y.Length; i++)
            Assert.True(Math.Abs(y[i] - expected[i]) <= expected[i] / 256, $"element {i} is {y[i]:R}, expected {expected[i]:R}");
    }

    /// <summary>On a GPU rows of over 1,024 are a block's and those of over 8,192 are read again; the gradients against the written formulas.</summary>
    [Theory, OnEachDevice("3x1500", "2x2048", "2x9001", "1x16384")]
    public void Long_rows_match_with_their_gradients(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var weights = Values.Normal(shape[0] * shape[1], 6);
        foreach (var input in (Input[])[Input.Normal(new(shape), 1, 3), Input.Normal(new(shape), 1, 3).BF16])
        {
            using var step = d.BeginStep();
            var (a, b) = (input.ToTensor(d), input.ToTensor(d));
            var p = Softmax(Array.ConvertAll(Ops.Cast(a, DType.F32).ToArray(), v => (double)v), shape[1]);
            var (y, log) = (Ops.Cast(Ops.Softmax(a), DType.F32).Keep(), Ops.Cast(Ops.LogSoftmax(b), DType.F32).Keep());
            var bf16 = input.Type == DType.BF16;
            var tolerance = bf16 ? Check.BF16Tolerance : 1e-5;
            Check.Close(p, y.ToArray(), tolerance, "softmax");
            Check.Close(Array.ConvertAll(p, Math.Log), log.ToArray(), tolerance, "log softmax");
            var w = Ops.Cast(Ops.Cast(Tensor.From(d, weights, new(shape)), input.Type), DType.F32);
            var g = Array.ConvertAll(w.ToArray(), v => (double)v);
            Ops.Add(Ops.Sum(Ops.Multiply(y, w)), Ops.Sum(Ops.Multiply(log, w))).Backward();
            var (da, db) = (new double[p.Length], new double[p.Length]);
            for (var r = 0; r < p.Length; r += shape[1])
            {
                double dot = 0, sum = 0;
                for (var c = r; c < r + shape[1]; c++) (dot, sum) = (dot + p[c] * g[c], sum + g[c]);
                for (var c = r; c < r + shape[1]; c++) (da[c], db[c]) = (p[c] * (g[c] - dot), g[c] - p[c] * sum);
            }
            // Probabilities near 1/n: relative to the largest gradient, not to 1.
            var largest = da.Max(Math.Abs);
            Check.Close(Array.ConvertAll(da, v => v / largest), Array.ConvertAll(Ops.Cast(a.Grad!, DType.F32).ToArray(), v => (float)(v / largest)), 2 * tolerance, "softmax's gradient");
            Check.Close(db, Ops.Cast(b.Grad!, DType.F32).ToArray(), 2 * tolerance, "log softmax's gradient");
        }
    }

    [Fact]
    public void Both_match_for_random_shapes_and_rows_sum_to_one()
    {
        using var d = new CpuDevice(2);
        Gen.Select(Gen.Int[1, 50], Gen.Int[1, 200], Gen.UInt).Sample((rows, cols, seed) =>
        {
            using var step = d.BeginStep();
            var x = Input.Normal(new(rows, cols), seed, 5);
            var expected = Softmax(Array.ConvertAll(x.Values, v => (double)v), cols);
            var y = Ops.Softmax(x.ToTensor(d)).ToArray();
            Check.Close(expected, y, 1e-6, "softmax");
            Check.Close(Array.ConvertAll(expected, Math.Log), Ops.LogSoftmax(x.ToTensor(d)).ToArray(), 1e-6, "log softmax");
            for (var r = 0; r < rows; r++) Assert.Equal(1.0, y.Skip(r * cols).Take(cols).Sum(v => (double)v), 1e-5);
        }, iter: 60, threads: 1);
    }

    /// <summary>The numerical trap: e^10000 is infinite in F64 too; only differences to the largest count.</summary>
    [Theory, OnEachDevice]
    public void Survives_logits_of_ten_thousand(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        float[] x = [1e4f, 1e4f - 1, -1e4f, 9990, .. new float[15]];
        var wide = Array.ConvertAll(x, v => (double)v);
        var (a, b) = (Tensor.From(d, x, new(1, 19)).WithGrad(), Tensor.From(d, x, new(1, 19)).WithGrad());
        var (y, log) = (Ops.Softmax(a).Keep(), Ops.LogSoftmax(b).Keep());
        Check.Close(Softmax(wide, 19), y.ToArray(), 1e-6, "softmax");
        var lse = 1e4 + Math.Log(1 + Math.Exp(-1) + Math.Exp(-10));
        var values = log.ToArray();
        for (var i = 0; i < 19; i++) Assert.Equal(wide[i] - lse, values[i], 1e-7 * Math.Max(1, Math.Abs(wide[i] - lse)));
        Ops.Sum(Ops.Add(Ops.Multiply(y, y), Ops.Multiply(log, Ops.Affine(y, 1)))).Backward();
        Assert.All(a.Grad!.ToArray().Concat(b.Grad!.ToArray()), g => Assert.True(float.IsFinite(g)));
    }

    /// <summary>Masked entries get probability 0 and no gradient, and the others as if the masked were not there.</summary>
    [Theory, OnEachDevice("3", "19", "40")]
    public void Minus_infinity_counts_for_nothing(string device, int[] size)
    {
        var cols = size[0];
        var kept = Enumerable.Range(0, cols).Where(c => c % 2 == 0).ToArray();
        var values = Values.Normal(cols, 4);
        for (var c = 1; c < cols; c += 2) values[c] = float.NegativeInfinity;
        var weights = Values.Normal(cols, 5);
        using var d = Devices.Open(device);
        foreach (var op in new Func<Tensor, Tensor>[] { Ops.Softmax, Ops.LogSoftmax })
        {
            var (y, dx) = Run(d, op, values, weights);
            var (ySmall, dxSmall) = Run(d, op, [.. kept.Select(c => values[c])], [.. kept.Select(c => weights[c])]);
            Check.Close(Array.ConvertAll(ySmall, v => (double)v), [.. kept.Select(c => y[c])], 1e-6, "kept entries");
            Check.Close(Array.ConvertAll(dxSmall, v => (double)v), [.. kept.Select(c => dx[c])], 1e-6, "their gradient");
            for (var c = 1; c < cols; c += 2)
            {
                Assert.Equal(op == Ops.Softmax ? 0f : float.NegativeInfinity, y[c]);
                Assert.Equal(0f, dx[c]);
            }
        }
    }

    [Theory, OnEachDevice("2", "16", "35")]
    public void A_row_of_minus_infinity_gives_no_NaN(string device, int[] size)
    {
        using var d = Devices.Open(device);
        var values = Enumerable.Repeat(float.NegativeInfinity, size[0]).ToArray();
        var (y, dx) = Run(d, Ops.Softmax, values, Values.Normal(size[0], 5));
        Assert.All(y.Concat(dx), v => Assert.Equal(0f, v));
        (y, dx) = Run(d, Ops.LogSoftmax, values, Values.Normal(size[0], 5));
        Assert.All(y, v => Assert.Equal(float.NegativeInfinity, v));
        Assert.All(dx, v => Assert.Equal(0f, v));
    }

    private static (float[] Y, float[] Dx) Run(Device d, Func<Tensor, Tensor> op, float[] values, float[] weights)
    {
        using var step = d.BeginStep();
        var x = Tensor.From(d, values, new(1, values.Length)).WithGrad();
        var y = op(x).Keep();
        // The loss itself may be −∞·w; only its gradient, w, is of interest here.
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, weights, y.Shape))).Backward();
        return (y.ToArray(), x.Grad!.ToArray());
    }

    private static double[] Softmax(double[] x, int cols)
    {
        var y = new double[x.Length];
        for (var r = 0; r < x.Length; r += cols)
        {
            var max = x.AsSpan(r, cols).ToArray().Max();
            double sum = 0;
            for (var c = 0; c < cols; c++) sum += y[r + c] = Math.Exp(x[r + c] - max);
            for (var c = 0; c < cols; c++) y[r + c] /= sum;
        }
        return y;
    }
}
