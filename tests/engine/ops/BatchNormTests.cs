using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class BatchNormTests
{
    // 3 and 8 channels fold several rows into a vector, 33 and 130 have a tail, 300 rows of 16 fill whole vectors, 520
    // channels go by four rows at a time.
    [Theory, OnEachDevice("2x1", "7x3", "21x8", "300x16", "5x64", "9x33", "3x130", "6x520")]
    public void Training_matches_the_formula(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var (mean, variance) = Running(d, shape[1]);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, training: true),
            x => Oracle(x[0], x[1], x[2], null, null, null, false), Inputs(shape, false), 1e-4);
    }

    [Theory, OnEachDevice("7x3", "21x8", "43x24", "5x64", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] shape, DType type)
    {
        using var d = Devices.Open(device);
        var (mean, variance) = Running(d, shape[1]);
        var inputs = Inputs(shape, true).Select(i => i.Shape.Rank == 2 ? i.As(type) : i).ToArray();
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true),
            x => Oracle(x[0], x[1], x[2], null, null, null, false), inputs[..3], 1e-4);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true, relu: true),
            x => Oracle(x[0], x[1], x[2], null, null, null, true), inputs[..3], 1e-4);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true, relu: true, residual: t[3]),
            x => Oracle(x[0], x[1], x[2], x[3], null, null, true), inputs, 1e-4);
        var (m, v) = (Wide(mean), Wide(variance));
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, false, relu: true),
            x => Oracle(x[0], x[1], x[2], null, m, v, true), inputs[..3], 1e-4);
    }

    [Theory, OnEachDevice("7x3", "21x8", "5x64", "3x130")]
    public void Relu_and_residual_are_part_of_the_pass(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var (mean, variance) = Running(d, shape[1]);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true, relu: true),
            x => Oracle(x[0], x[1], x[2], null, null, null, true), Inputs(shape, false), 1e-4);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true, relu: true, residual: t[3]),
            x => Oracle(x[0], x[1], x[2], x[3], null, null, true), Inputs(shape, true), 1e-4);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, true, residual: t[3]),
            x => Oracle(x[0], x[1], x[2], x[3], null, null, false), Inputs(shape, true), 1e-4);
    }

    [Theory, OnEachDevice("1x3", "21x8", "3x130")]
    public void Evaluation_uses_the_running_statistics_and_has_a_gradient(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var (mean, variance) = Running(d, shape[1]);
        var (m, v) = (Wide(mean), Wide(variance));
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, false, relu: true, residual: t[3]),
            x => Oracle(x[0], x[1], x[2], x[3], m, v, true), Inputs(shape, true), 1e-4);
        Check.Op(d, t => Ops.BatchNorm(t[0], t[1], t[2], mean, variance, false),
            x => Oracle(x[0], x[1], x[2], null, m, v, false), Inputs(shape, false), 1e-4);
        Assert.Equal(m, Wide(mean));
        Assert.Equal(v, Wide(variance));
    }

    /// <summary>Many blocks: their statistics are merged, and the running ones move by PyTorch's rule.</summary>
    [Theory, OnEachDevice]
    public void Running_statistics_move_only_when_asked(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        const int rows = 20011, cols = 5;
        var x = Input.Normal(new(rows, cols), 1, 3f, 2f);
        var (mean, variance) = Running(d, cols);
        var (m, v) = (Wide(mean), Wide(variance));
        var (gamma, beta) = (Ops.Full(d, new(cols), 1f), Tensor.Zeros(d, new(cols)));

        Ops.BatchNorm(x.ToTensor(d), gamma, beta, mean, variance, true, updateRunning: false);
        Assert.Equal(m, Wide(mean));
        Assert.Equal(v, Wide(variance));

        Ops.BatchNorm(x.ToTensor(d), gamma, beta, mean, variance, true, momentum: 0.3f);
        for (var c = 0; c < cols; c++)
        {
            var column = Enumerable.Range(0, rows).Select(r => (double)x.Values[r * cols + c]).ToArray();
            var mu = column.Average();
            var unbiased = column.Sum(e => (e - mu) * (e - mu)) / (rows - 1);
            Assert.Equal(0.7 * m[c] + 0.3 * mu, Wide(mean)[c], 1e-5);
            Assert.Equal(0.7 * v[c] + 0.3 * unbiased, Wide(variance)[c], 1e-4);
        }
    }

    /// <summary>The number of batches, as PyTorch keeps it, lives where the statistics do.</summary>
    [Theory, OnEachDevice]
    public void Training_counts_its_batches(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        var x = Input.Normal(new(7, 3), 1).ToTensor(d);
        var (mean, variance) = Running(d, 3);
        var one = Ops.Full(d, new(3), 1f);
        var batches = Tensor.From(d, new long[] { 41 }, new Shape());
        foreach (var training in new[] { true, false, true })
            Ops.BatchNorm(x, one, one, mean, variance, training, batches: batches);
        Assert.Equal([43L], batches.ToArray<long>());
        Assert.Throws<ArgumentException>(() => Ops.BatchNorm(x, one, one, mean, variance, true, batches: one));
    }

    /// <summary>The numerical trap: a mean ten thousand times the deviation, over several blocks.</summary>
    [Theory, OnEachDevice]
    public void Survives_a_large_mean(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        const int rows = 9000, cols = 8;
        var x = Input.Normal(new(rows, cols), 1, 1f, 1e4f);
        var (mean, variance) = Running(d, cols);
        var y = Ops.BatchNorm(x.ToTensor(d), Ops.Full(d, new(cols), 1f), Tensor.Zeros(d, new(cols)), mean, variance, true);
        var wide = Array.ConvertAll(x.Values, e => (double)e);
        // The mean itself, near 1e4, is kept to half a unit in the last place: 5e-4.
        Check.Close(Oracle(wide, Enumerable.Repeat(1.0, cols).ToArray(), new double[cols], null, null, null, false), y.ToArray(), 2.5e-4, "forward");
    }

    /// <summary>
    /// The trap of a shifted sum: the head of every block, from whose mean deviations are taken, lies far from all else; the rest
    /// hardly varies. Rows alternate with the block's period, so all blocks are so.
    /// </summary>
    [Theory, OnEachDevice]
    public void Survives_a_head_far_from_the_rest(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        const int rows = 300, cols = 256, head = 16;
        var x = Values.Normal(rows * cols, 1);
        for (var i = 0; i < x.Length; i++) x[i] += i / cols % 128 < head ? -3000f : 3000f;
        var (mean, variance) = Running(d, cols);
        var y = Ops.BatchNorm(Tensor.From(d, x, new(rows, cols)), Ops.Full(d, new(cols), 1f), Tensor.Zeros(d, new(cols)), mean, variance, true);
        var wide = Array.ConvertAll(x, e => (double)e);
        // F32 sums of 128 terms, of which 3 bits are lost.
        Check.Close(Oracle(wide, Enumerable.Repeat(1.0, cols).ToArray(), new double[cols], null, null, null, false), y.ToArray(), 1e-5, "forward");
    }

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        Assert.Equal(Bits(1), Bits(4));

        static float[] Bits(int threads)
        {
            using var d = new CpuDevice(threads);
            using var step = d.BeginStep();
            const int cols = 24;
            var x = Input.Normal(new(7001, cols), 1).ToTensor(d);
            var (gamma, beta) = (Input.Normal(new(cols), 2).ToTensor(d), Input.Normal(new(cols), 3).ToTensor(d));
            var (mean, variance) = Running(d, cols);
            var y = Ops.BatchNorm(x, gamma, beta, mean, variance, true, relu: true).Keep();
            Ops.Sum(Ops.Multiply(y, Input.Normal(y.Shape, 4).Fixed.ToTensor(d))).Backward();
            return [.. y.ToArray(), .. x.Grad!.ToArray(), .. gamma.Grad!.ToArray(), .. beta.Grad!.ToArray(), .. mean.ToArray(), .. variance.ToArray()];
        }
    }

    [Fact]
    public void One_row_cannot_be_trained_on()
    {
        using var d = new CpuDevice(1);
        var v = Ops.Full(d, new(2), 1f);
        var e = Assert.Throws<ArgumentException>(() => Ops.BatchNorm(Ops.Full(d, new(1, 2), 1f), v, v, v, v, true));
        Assert.Contains("two rows", e.Message);
    }

    /// <summary>Groups of rows are calls of their own, to the bit: results, all gradients, running statistics, counts.</summary>
    [Theory, OnEachDevice("6x2x3x5", "4x3x2x24", "4x5x60x16", "2x1x3x130", "2x1x40x33")]
    public void Groups_are_calls_of_their_own(string device, int[] shape)
    {
        var kinds = new[] { DType.F32, DType.BF16 };
        foreach (var type in kinds)
            foreach (var (training, relu, add) in new[] { (true, true, true), (true, true, false), (true, false, false), (false, true, true) })
            {
                using var d = Devices.Open(device);
                Assert.Equal(Run(d, true), Run(d, false));

                float[] Run(Device d, bool together)
                {
                    using var step = d.BeginStep();
                    var cols = shape[^1];
                    // The second group's values are far from the first's, and its statistics too.
                    var half = new Shape([shape[0] / 2, .. shape[1..]]);
                    Input[] parts = [Input.Normal(half, 1), Input.Normal(half, 2, 3f, 5f)], added = [Input.Normal(half, 3), Input.Normal(half, 4)];
                    var (gamma, beta) = (Input.Normal(new(cols), 5).ToTensor(d), Input.Normal(new(cols), 6).ToTensor(d));
                    var running = new[] { 7u, 8u }.Select(seed => new RunningStatistics(
                        Input.Normal(new(cols), seed).Fixed.ToTensor(d), Ops.Full(d, new(cols), seed), seed == 7 ? Tensor.From(d, new long[] { 3 }, new Shape()) : null)).ToArray();
                    Tensor[] xs = together ? [Joined(parts)] : [.. parts.Select(i => Stored(i).ToTensor(d))];
                    Tensor[] rs = together ? [Joined(added)] : [.. added.Select(i => Stored(i).ToTensor(d))];
                    var ys = xs.Select((x, g) => Ops.BatchNorm(
                        x, gamma, beta, together ? running : [running[g]], training, momentum: 0.3f, relu: relu, residual: add ? rs[g] : null).Keep()).ToArray();
                    Tensor? loss = null;
                    foreach (var (y, g) in ys.Select((y, g) => (y, g)))
                    {
                        Input[] weights = [Input.Normal(half, 9), Input.Normal(half, 10)];
                        var w = together ? [.. weights[0].Values, .. weights[1].Values] : weights[g].Values;
                        var sum = Ops.Sum(Ops.Multiply(Ops.Cast(y, DType.F32), Tensor.From(d, w, y.Shape)));
                        loss = loss == null ? sum : Ops.Add(loss, sum);
                    }
                    loss!.Backward();
                    using var quiet = step.NoGrad();
                    IEnumerable<Tensor> all = [.. ys, .. xs.Select(x => x.Grad!), .. add ? rs.Select(r => r.Grad!) : []];
                    return
                    [
                        .. all.SelectMany(t => Ops.Cast(t, DType.F32).ToArray()), .. gamma.Grad!.ToArray(), .. beta.Grad!.ToArray(),
                        .. running.SelectMany(k => (float[])[.. k.Mean.ToArray(), .. k.Variance.ToArray()]), running[0].Batches!.ToArray<long>()[0],
                    ];

                    Tensor Joined(Input[] two) => Stored(new Input([.. two[0].Values, .. two[1].Values], new(shape))).ToTensor(d);
                    Input Stored(Input i) => type == DType.BF16 ? i.BF16 : i;
                }
            }
    }

    [Fact]
    public void Groups_that_do_not_divide_the_pictures_are_refused()
    {
        using var d = new CpuDevice(1);
        var v = Ops.Full(d, new(2), 1f);
        var kept = new RunningStatistics(v, v);
        // Six rows are two threes, but a picture would be torn apart.
        var e = Assert.Throws<ArgumentException>(() => Ops.BatchNorm(Ops.Full(d, new(3, 2, 1, 2), 1f), v, v, [kept, kept], true));
        Assert.Contains("2 groups do not divide (3, 2, 1, 2)", e.Message, StringComparison.Ordinal);
    }

    private static Input[] Inputs(int[] shape, bool residual)
    {
        Input[] three = [Input.Normal(new(shape), 1), Input.Normal(new(shape[1]), 2), Input.Normal(new(shape[1]), 3)];
        return residual ? [.. three, Input.Normal(new(shape), 4)] : three;
    }

    private static (Tensor Mean, Tensor Variance) Running(Device d, int cols) =>
        (Tensor.From(d, Values.Normal(cols, 7), new(cols)), Tensor.From(d, Array.ConvertAll(Values.Normal(cols, 8), v => 0.5f + v * v), new(cols)));

    private static double[] Wide(Tensor t) => Array.ConvertAll(t.ToArray(), v => (double)v);

    private static double[] Oracle(double[] x, double[] gamma, double[] beta, double[]? residual, double[]? mean, double[]? variance, bool relu)
    {
        var cols = gamma.Length;
        var rows = x.Length / cols;
        var y = new double[x.Length];
        for (var c = 0; c < cols; c++)
        {
            var column = Enumerable.Range(0, rows).Select(r => x[r * cols + c]).ToArray();
            var mu = mean?[c] ?? column.Average();
            var var = variance?[c] ?? column.Sum(v => (v - mu) * (v - mu)) / rows;
            for (var r = 0; r < rows; r++)
            {
                var v = gamma[c] * (column[r] - mu) / Math.Sqrt(var + 1e-5) + beta[c] + (residual?[r * cols + c] ?? 0);
                y[r * cols + c] = relu ? Math.Max(v, 0) : v;
            }
        }
        return y;
    }
}
