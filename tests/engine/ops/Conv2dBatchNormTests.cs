using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class Conv2dBatchNormTests
{
    // n h w c r s k stride padding groups: a stem of three channels, one pixel at a time, whole and ragged tiles, two kinds of pictures.
    private const string Stem = "2x7x6x3x3x3x8x2x1x1", Pointwise = "4x5x4x8x1x1x16x1x0x2", Ragged = "2x5x7x8x3x3x24x1x1x2", Odd = "3x4x5x5x2x3x7x1x1x1";

    [Theory, OnEachDevice(Stem, Pointwise, Ragged, Odd)]
    public void Matches_the_formula_and_its_differences(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        foreach (var relu in new[] { false, true })
            Check.Op(d, t => Run(t, s, q[9], relu, Running(d, s.K, q[9])), v => Oracle(v, s, q[9], relu), Inputs(s, relu), 1e-4);
    }

    /// <summary>Where tensor cores take it. What is stored of the convolution is rounded before batch norm divides by its deviation.</summary>
    [Theory, OnEachDevice(Stem, Pointwise, Ragged, Odd, In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] q, DType type)
    {
        using var d = Devices.Open(device);
        var s = Geometry(q);
        Check.Op(d, t => Run(t, s, q[9], false, Running(d, s.K, q[9])), v => Oracle(v, s, q[9], false), Stored(Inputs(s, false), type), 1e-4);
    }

    /// <summary>The two ops one after the other: the same bits on the CPU; on a GPU the same but for the order of the statistics' sums.</summary>
    [Theory, OnEachDevice("2x20x19x8x3x3x40x1x1x2", "4x12x16x24x1x1x72x1x0x2", "2x33x16x3x3x3x32x2x1x2", "2x9x8x72x3x3x136x1x1x1", "1x150x128x8x1x1x72x1x0x1")]
    public void Is_the_two_ops(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var (s, groups) = (Geometry(q), q[9]);
        var one = Once(d, s, groups, fused: true);
        Assert.Equal(one, Once(d, s, groups, fused: true));
        var two = Once(d, s, groups, fused: false);
        if (d is CpuDevice) Assert.Equal(two, one);
        // A unit in the last place of BF16 (2⁻⁸ of a result) where the statistics' last bits tip a rounding.
        else Check.Close(Array.ConvertAll(two, v => (double)v), one, 1.0 / 128, "all results");
    }

    /// <summary>The numerical trap: a mean of 1000 and a deviation near 1, over several tiles. Statistics are those of what is stored.</summary>
    [Theory, OnEachDevice("2x17x16x8x3x3x24x1x1x2", "2x40x33x8x1x1x40x1x0x2", "2x70x65x3x3x3x8x2x1x1")]
    public void Statistics_survive_a_large_mean(string device, int[] q)
    {
        using var d = Devices.Open(device);
        var (s, groups) = (Geometry(q), q[9]);
        using var step = d.BeginStep(recordGradients: false);
        // The first channel of each pixel is 1000 and meets a weight of 1 at the tap in the middle; all else is small.
        var (x, w) = (Input.Normal(new(s.N, s.H, s.W, s.C), 1, 0.5f).Values, Input.Normal(new(s.R, s.S, s.C, s.K), 2, 0.3f).Values);
        for (var i = 0; i < x.Length; i += s.C) x[i] = 1000;
        for (var i = 0; i < w.Length; i++)
            if (i / s.K % s.C == 0) w[i] = i / s.K / s.C == s.R / 2 * s.S + s.S / 2 ? 1 : 0;
        var (tx, tw) = (new Input(x, new(s.N, s.H, s.W, s.C)).Fixed.BF16.ToTensor(d), new Input(w, new(s.R, s.S, s.C, s.K)).Fixed.BF16.ToTensor(d));
        var running = Running(d, s.K, groups);
        var one = Ops.Full(d, new(s.K), 1f);
        Ops.Conv2dBatchNorm(tx, tw, one, one, running, true, s.Stride, s.Padding, momentum: 1f);

        var stored = Ops.Cast(Ops.Conv2d(tx, tw, null, s.Stride, s.Padding), DType.F32).ToArray();
        var rows = stored.Length / s.K / groups;
        for (var g = 0; g < groups; g++)
            for (var c = 0; c < s.K; c++)
            {
                var column = Enumerable.Range(g * rows, rows).Select(r => (double)stored[r * s.K + c]).ToArray();
                var mu = column.Average();
                var unbiased = column.Sum(e => (e - mu) * (e - mu)) / (rows - 1);
                Assert.InRange(mu, 990, 1010);
                Assert.Equal(mu, running[g].Mean.ToArray()[c], 1e-3); // 1000 in F32 is kept to 3e-5
                Assert.Equal(unbiased, running[g].Variance.ToArray()[c], 1e-3 * unbiased);
            }
    }

    /// <summary>A bottleneck's three pairs and its shortcut, forward and backward, against its parts one by one.</summary>
    [Theory, OnEachDevice]
    public void A_bottleneck_is_its_parts(string device)
    {
        using var d = Devices.Open(device);
        var (whole, parts) = (Bottleneck(d, fused: true), Bottleneck(d, fused: false));
        Assert.Equal(parts.Keys.Order(), whole.Keys.Order());
        // Three roundings to BF16 and their gradients'.
        foreach (var name in parts.Keys) Check.Close(Array.ConvertAll(parts[name], v => (double)v), whole[name], d is CpuDevice ? 0 : 0.03, name);
    }

    private static Dictionary<string, float[]> Bottleneck(Device d, bool fused)
    {
        var model = new Pairs();
        using var store = ParameterStore.Materialize(d, model, 1, computeType: DType.BF16);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 8, 6, 16), 3).BF16.ToTensor(d);
        var y = Ops.Cast(model.Forward(x, fused), DType.F32).Keep();
        Ops.Sum(Ops.Multiply(y, Input.Normal(y.Shape, 4).Fixed.ToTensor(d))).Backward();
        using var quiet = step.NoGrad();
        var result = new Dictionary<string, float[]> { ["y"] = y.ToArray(), ["dx"] = Ops.Cast(x.Grad!, DType.F32).ToArray() };
        foreach (var (name, p) in model.NamedParameters()) result[name] = p.Grad.ToArray();
        foreach (var (name, b) in model.NamedBuffers())
            if (b.DType == DType.F32) result[name] = b.Value.ToArray();
        return result;
    }

    private sealed class Pairs : Module
    {
        private readonly Conv2d[] _convolutions;
        private readonly BatchNorm2d[] _norms;

        public Pairs()
        {
            _convolutions = [new(16, 8, 1, bias: false), new(8, 8, 3, padding: 1, bias: false), new(8, 32, 1, bias: false), new(16, 32, 1, bias: false)];
            _norms = [new(8, sets: 2), new(8, sets: 2), new(32, sets: 2), new(32, sets: 2)];
            for (var i = 0; i < 4; i++)
            {
                Child($"conv{i}", _convolutions[i]);
                Child($"norm{i}", _norms[i]);
            }
        }

        public Tensor Forward(Tensor x, bool fused)
        {
            var sets = new StatisticsSets(0, 2);
            var shortcut = Pair(3, x, false, null);
            return Pair(2, Pair(1, Pair(0, x, true, null), true, null), true, shortcut);

            Tensor Pair(int i, Tensor from, bool relu, Tensor? residual) => fused
                ? _norms[i].Forward(_convolutions[i], from, sets, relu, residual)
                : _norms[i].Forward(_convolutions[i].Forward(from), sets, relu, residual);
        }
    }

    private static float[] Once(Device d, ConvShape s, int groups, bool fused)
    {
        using var step = d.BeginStep();
        var t = Stored(Inputs(s, true), DType.BF16).Select(i => i.ToTensor(d)).ToArray();
        var running = Running(d, s.K, groups);
        var y = fused
            ? Run(t, s, groups, true, running)
            : Ops.BatchNorm(Ops.Conv2d(t[0], t[1], null, s.Stride, s.Padding), t[2], t[3], running, true, momentum: 0.3f, relu: true, residual: t[4]);
        var wide = Ops.Cast(y, DType.F32).Keep();
        Ops.Sum(Ops.Multiply(wide, Input.Normal(y.Shape, 9, 0.1f).Fixed.ToTensor(d))).Backward();
        using var quiet = step.NoGrad();
        return [.. wide.ToArray(), .. t.SelectMany(i => Ops.Cast(i.Grad!, DType.F32).ToArray()), .. running.SelectMany(r => (float[])[.. r.Mean.ToArray(), .. r.Variance.ToArray()])];
    }

    private static Tensor Run(Tensor[] t, ConvShape s, int groups, bool relu, RunningStatistics[] running)
    {
        Assert.Equal(groups, running.Length);
        return Ops.Conv2dBatchNorm(t[0], t[1], t[2], t[3], running, true, s.Stride, s.Padding, momentum: 0.3f, relu: relu, residual: relu ? t[4] : null);
    }

    private static RunningStatistics[] Running(Device d, int channels, int groups) =>
        [.. Enumerable.Range(0, groups).Select(g => new RunningStatistics(Ops.Full(d, new(channels), g), Ops.Full(d, new(channels), 1f + g)))];

    private static Input[] Inputs(ConvShape s, bool residual)
    {
        Input[] four = [Input.Normal(new(s.N, s.H, s.W, s.C), 1), Input.Normal(new(s.R, s.S, s.C, s.K), 2), Input.Normal(new(s.K), 3), Input.Normal(new(s.K), 4)];
        return residual ? [.. four, Input.Normal(new(s.N, s.Ho, s.Wo, s.K), 5)] : four;
    }

    private static Input[] Stored(Input[] inputs, DType type) => [.. inputs.Select(i => i.Shape.Rank == 4 ? i.As(type) : i)];

    private static ConvShape Geometry(int[] q) => new(
        q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], (q[1] + 2 * q[8] - q[4]) / q[7] + 1, (q[2] + 2 * q[8] - q[5]) / q[7] + 1);

    private static double[] Oracle(double[][] v, ConvShape s, int groups, bool relu)
    {
        var y = new double[s.N * s.Ho * s.Wo * s.K];
        for (var p = 0; p < s.N * s.Ho * s.Wo; p++)
            for (var r = 0; r < s.R; r++)
                for (var f = 0; f < s.S; f++)
                {
                    int h = p / s.Wo % s.Ho * s.Stride + r - s.Padding, w = p % s.Wo * s.Stride + f - s.Padding;
                    if (h < 0 || w < 0 || h >= s.H || w >= s.W) continue;
                    for (var c = 0; c < s.C; c++)
                        for (var k = 0; k < s.K; k++)
                            y[p * s.K + k] += v[0][((p / s.Wo / s.Ho * s.H + h) * s.W + w) * s.C + c] * v[1][((r * s.S + f) * s.C + c) * s.K + k];
                }
        var rows = y.Length / s.K / groups;
        for (var g = 0; g < groups; g++)
            for (var c = 0; c < s.K; c++)
            {
                int At(int r) => (g * rows + r) * s.K + c;
                double mean = 0, variance = 0;
                for (var r = 0; r < rows; r++) mean += y[At(r)] / rows;
                for (var r = 0; r < rows; r++) variance += (y[At(r)] - mean) * (y[At(r)] - mean) / rows;
                for (var r = 0; r < rows; r++)
                {
                    var z = v[2][c] * (y[At(r)] - mean) / Math.Sqrt(variance + 1e-5) + v[3][c] + (relu ? v[4][At(r)] : 0);
                    y[At(r)] = relu ? Math.Max(z, 0) : z;
                }
            }
        return y;
    }
}
