using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class SequencesTests
{
    // width x lengths
    [Theory, OnEachDevice("1x1", "3x4x1x2", "16x2x7", "37x1x5x3")]
    public void Segment_mean_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (c, at) = (s[0], Offsets(s[1..]));
        Check.Op(d, t => Ops.SegmentMean(t[0], Tensor.From(d, at, new(at.Length))), x => Mean(x[0], at, c), [Input.Normal(new(at[^1], c))]);
    }

    [Theory, OnEachDevice("1x1", "3x4x0x2", "16x2x7", "37x1x5x3")]
    public void Add_per_sequence_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (c, at) = (s[0], Offsets(s[1..]));
        Check.Op(d, t => Ops.AddPerSequence(t[0], t[1], Tensor.From(d, at, new(at.Length))), x => Added(x[0], x[1], at, c),
            [Input.Normal(new(at[^1], c), 1), Input.Normal(new(at.Length - 1, c), 2)]);
    }

    // 1100 columns are more than a task sums.
    [Theory, OnEachDevice("1x1", "3x4x1x2", "37x1x5x3", "1100x9x2", In16Bits = true)]
    public void Both_match_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var (c, at) = (s[0], Offsets(s[1..]));
        var (x, v) = (Input.Normal(new(at[^1], c), 1).As(type), Input.Normal(new(at.Length - 1, c), 2));
        if (c > 100) (x, v) = (x.Fixed, v.Fixed);
        Check.Op(d, t => Ops.SegmentMean(t[0], Tensor.From(d, at, new(at.Length))), y => Mean(y[0], at, c), [x]);
        foreach (var added in new[] { v, v.As(type) })
            Check.Op(d, t => Ops.AddPerSequence(t[0], t[1], Tensor.From(d, at, new(at.Length))), y => Added(y[0], y[1], at, c), [x, added]);
    }

    [Fact]
    public void Both_match_for_random_ragged_lengths()
    {
        using var d = new CpuDevice(2);
        Gen.Select(Gen.Int[1, 9].Array[1, 6], Gen.Int[1, 35]).Sample((lengths, c) =>
        {
            var at = Offsets(lengths);
            var x = Input.Normal(new(at[^1], c), 1);
            Check.Op(d, t => Ops.SegmentMean(t[0], Tensor.From(d, at, new(at.Length))), v => Mean(v[0], at, c), [x.Fixed]);
            Check.Op(d, t => Ops.AddPerSequence(t[0], t[1], Tensor.From(d, at, new(at.Length))), v => Added(v[0], v[1], at, c),
                [x.Fixed, Input.Normal(new(lengths.Length, c), 2).Fixed]);
        }, iter: 40, threads: 1);
    }

    /// <summary>The numerical trap: a mean of many like values stays near them; 4096 additions of 1000 round, but not apart.</summary>
    [Theory, OnEachDevice]
    public void A_long_sequence_keeps_its_mean(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var y = Ops.SegmentMean(Ops.Full(d, new(4096, 17), 1000.1f), Tensor.From<int>(d, [0, 4096], new(2)));
        // 4096 terms in order: at worst 4096 half units in the last place (2.4e-4 relative).
        Assert.All(y.ToArray(), v => Assert.Equal(1000.1, v, 0.25));
    }

    [Theory, OnEachDevice("1x1", "3x7", "0x4", "700x2")]
    public void Offsets_of_sequences_of_one_length(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        Assert.Equal(Enumerable.Range(0, shape[0] + 1).Select(b => b * shape[1]), Ops.EvenOffsets(d, shape[0], shape[1]).ToArray<int>());
        Assert.Throws<ArgumentException>(() => Ops.EvenOffsets(d, 1, -1));
    }

    [Theory, OnEachDevice]
    public void Says_what_does_not_fit(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(4, 2));
        Assert.Equal("SegmentMean: sequence 1 is empty and has no mean",
            Check.Refusal(d, () => Ops.SegmentMean(x, Tensor.From<int>(d, [0, 2, 2, 4], new(4)))));
        Assert.Equal("SegmentMean: the offsets end at 5, but there are 4 rows",
            Check.Refusal(d, () => Ops.SegmentMean(x, Tensor.From<int>(d, [0, 2, 2, 5], new(4)))));
        Assert.Equal("AddPerSequence: expected one vector for each sequence, (2, 2), got (3, 2)",
            Assert.Throws<ArgumentException>(() => Ops.AddPerSequence(x, Tensor.Zeros(d, new(3, 2)), Tensor.From<int>(d, [0, 2, 4], new(3)))).Message);
        Assert.StartsWith("AddPerSequence: expected elements of type F32, got BF16 (2, 2)",
            Assert.Throws<ArgumentException>(
                () => Ops.AddPerSequence(x, Tensor.Zeros(d, new(2, 2), DType.BF16), Tensor.From<int>(d, [0, 2, 4], new(3)))).Message,
            StringComparison.Ordinal);
        Assert.StartsWith("SegmentMean: expected elements of type I32",
            Assert.Throws<ArgumentException>(() => Ops.SegmentMean(x, Tensor.Zeros(d, new(3)))).Message, StringComparison.Ordinal);
    }

    private static int[] Offsets(int[] lengths)
    {
        var at = new int[lengths.Length + 1];
        for (var i = 0; i < lengths.Length; i++) at[i + 1] = at[i] + lengths[i];
        return at;
    }

    private static double[] Mean(double[] x, int[] at, int c)
    {
        var y = new double[(at.Length - 1) * c];
        for (var b = 0; b + 1 < at.Length; b++)
            for (var t = at[b]; t < at[b + 1]; t++)
                for (var e = 0; e < c; e++) y[b * c + e] += x[t * c + e] / (at[b + 1] - at[b]);
        return y;
    }

    private static double[] Added(double[] x, double[] v, int[] at, int c)
    {
        var y = (double[])x.Clone();
        for (var b = 0; b + 1 < at.Length; b++)
            for (var t = at[b]; t < at[b + 1]; t++)
                for (var e = 0; e < c; e++) y[t * c + e] += v[b * c + e];
        return y;
    }
}
