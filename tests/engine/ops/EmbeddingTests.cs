using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class EmbeddingTests
{
    // rows x cols x picks: fewer picks than rows, many repeats, none at all
    [Theory, OnEachDevice("1x1x1", "7x5x3", "4x33x50", "3x16x200", "5x2x0")]
    public void Matches_the_formula_and_its_differences(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var picks = Picks(s[0], s[2], 3);
        foreach (var op in new Func<Tensor, Tensor, Tensor>[] { Ops.Embedding, Ops.GatherRows })
            Check.Op(d, t => op(t[0], Tensor.From(d, picks, new(picks.Length))), x => Gather(x[0], picks, s[1]), [Input.Normal(new(s[0], s[1]))]);
    }

    [Theory, OnEachDevice("1x1x1", "7x5x3", "4x33x50", "3x300x20", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] s, DType type)
    {
        using var d = Devices.Open(device);
        var picks = Picks(s[0], s[2], 3);
        foreach (var op in new Func<Tensor, Tensor, Tensor>[] { Ops.Embedding, Ops.GatherRows })
            Check.Op(d, t => op(t[0], Tensor.From(d, picks, new(picks.Length))), x => Gather(x[0], picks, s[1]), [Input.Normal(new(s[0], s[1])).As(type)]);
    }

    /// <summary>A parameter's gradient is F32 and keeps a sum that BF16 would not: 256 + 1 rounds to 256 there.</summary>
    [Theory, OnEachDevice]
    public void A_table_in_BF16_has_its_gradient_in_F32_and_an_activation_has_its_own(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var picks = Tensor.From(d, new int[257], new(257));
        var table = Ops.Full(d, new(2, 3), 1f);
        var (a, b) = (Ops.Cast(table, DType.BF16).WithGrad(), Ops.Cast(table, DType.BF16).WithGrad());
        var loss = Ops.Add(Ops.Sum(Ops.Cast(Ops.Embedding(a, picks), DType.F32)), Ops.Sum(Ops.Cast(Ops.GatherRows(b, picks), DType.F32)));
        loss.Backward();
        Assert.Equal(DType.F32, a.Grad!.DType);
        Assert.Equal([257f, 257f, 257f, 0f, 0f, 0f], a.Grad.ToArray());
        Assert.Equal(DType.BF16, b.Grad!.DType);
        Assert.Equal([256f, 256f, 256f, 0f, 0f, 0f], Ops.Cast(b.Grad, DType.F32).ToArray());
    }

    /// <summary>Tasks are cut by size, so runs of equal ids cross their borders: all must arrive, once, with the same bits for any threads.</summary>
    [Fact]
    public void Gradients_are_whole_and_the_same_for_any_number_of_threads()
    {
        Gen.Select(Gen.Int[1, 12], Gen.Int[600, 3000], Gen.Int[1, 400], Gen.UInt).Sample((rows, cols, count, seed) =>
        {
            var picks = Picks(rows, count, seed);
            var dy = Values.Normal(count * cols, seed);
            var one = Gradient(1, rows, cols, picks, dy);
            Assert.Equal(one, Gradient(3, rows, cols, picks, dy));
            var expected = new double[rows * cols];
            for (var t = 0; t < count; t++)
                for (var c = 0; c < cols; c++) expected[picks[t] * cols + c] += dy[t * cols + c];
            Check.Close(expected, one, 1e-5, "gradient");
        }, iter: 8, threads: 1);
    }

    [Theory, OnEachDevice]
    public void Names_the_position_of_a_number_out_of_range(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var table = Tensor.Zeros(d, new(4, 2));
        Assert.Equal("Embedding: id 4 at position 2 is outside 0..3",
            Check.Refusal(d, () => Ops.Embedding(table, Tensor.From<int>(d, [0, 3, 4], new(3)))));
        Assert.Equal("GatherRows: index -1 at position 0 is outside 0..3",
            Check.Refusal(d, () => Ops.GatherRows(table, Tensor.From<int>(d, [-1], new(1)))));
        Assert.Equal("GatherRows: index 0 at position 0 is outside 0..-1",
            Check.Refusal(d, () => Ops.GatherRows(Tensor.Zeros(d, new(0, 2)), Tensor.From<int>(d, [0], new(1)))));
        Assert.StartsWith("Embedding: expected elements of type I32",
            Assert.Throws<ArgumentException>(() => Ops.Embedding(table, Tensor.Zeros(d, new(3)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_frozen_table_gets_no_gradient()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var table = Tensor.Zeros(d, new(4, 2));
        var x = Input.Normal(new(3, 2)).ToTensor(d);
        Ops.Sum(Ops.Add(x, Ops.Embedding(table, Tensor.From<int>(d, [0, 3, 1], new(3))))).Backward();
        Assert.Null(table.Grad);
        Assert.Equal(Enumerable.Repeat(1f, 6), x.Grad!.ToArray());
    }

    private static float[] Gradient(int threads, int rows, int cols, int[] picks, float[] dy)
    {
        using var d = new CpuDevice(threads);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(rows, cols)).WithGrad();
        var y = Ops.GatherRows(x, Tensor.From(d, picks, new(picks.Length)));
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, dy, y.Shape))).Backward();
        return x.Grad!.ToArray();
    }

    private static int[] Picks(int rows, int count, uint seed)
    {
        var random = new Philox(5, seed);
        return Enumerable.Range(0, count).Select(t => random.Next((ulong)t, rows)).ToArray();
    }

    private static double[] Gather(double[] x, int[] picks, int cols) =>
        [.. picks.SelectMany(r => x.AsSpan(r * cols, cols).ToArray())];
}
