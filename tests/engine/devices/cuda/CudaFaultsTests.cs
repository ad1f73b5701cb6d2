using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Bad ids, labels and offsets are found by kernels and thrown where the program waits.</summary>
public sealed class CudaFaultsTests
{
    private static Tensor Ints(Device d, params int[] values) => Tensor.From(d, values, new(values.Length));

    /// <summary>Both beyond a block's first turn of 256 numbers, so that different threads hold them.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public void The_first_of_the_first_op_is_named_and_the_device_goes_on(bool pooled)
    {
        using var d = CudaTest.Open(pooled: pooled);
        var ids = new int[1000];
        (ids[777], ids[520], ids[999]) = (9, -3, 4);
        using (var step = d.BeginStep())
        {
            var table = Ops.Full(d, new(4, 3), 2f);
            var y = Ops.Embedding(table, Ints(d, ids));
            Ops.GatherRows(y, Ints(d, 1000));
            Ops.SegmentMean(y, Ints(d, 0, 1001));
            Assert.Equal("Embedding: id -3 at position 520 is outside 0..3", Assert.Throws<ArgumentException>(() => y.ToArray()).Message);
            Assert.All(y.ToArray(), v => Assert.Equal(2f, v)); // once is enough
            Ops.CrossEntropy(table, Ints(d, 0, 7, 1, 7));
        }
        Assert.Equal("CrossEntropy: row 1 has label 7, outside 0..2; rows to leave out carry -100", Assert.Throws<ArgumentException>(d.Synchronize).Message);
        d.Synchronize();
    }

    /// <summary>A whole step forward and backward over offsets that would lead kernels out of bounds: they read nothing they may not.</summary>
    [Theory]
    [InlineData(new[] { 0, 3, 1000000 }, "Attention: the offsets end at 1000000, but there are 6 rows")]
    [InlineData(new[] { -50, 3, 6 }, "Attention: the offsets start at -50; the first sequence starts at row 0")]
    [InlineData(new[] { 0, 70, 6 }, "Attention: the offsets fall from 70 to 6 at position 2")]
    public void Nothing_is_read_out_of_bounds(int[] offsets, string message)
    {
        using var d = CudaTest.Open(pooled: false);
        var e = Assert.Throws<ArgumentException>(() =>
        {
            using var step = d.BeginStep();
            var x = Tensor.From(d, Values.Normal(24, 1), new(6, 4)).WithGrad();
            var at = Ints(d, offsets);
            var y = Ops.AddPerSequence(Ops.Attention(x, x, x, at, 2), Ops.Full(d, new(2, 4), 1f), at);
            Ops.Sum(Ops.SegmentMean(y, at)).Backward();
            x.Grad!.ToArray();
        });
        Assert.Equal(message, e.Message);
    }

    [Fact]
    public void A_replay_that_meets_one_says_so_and_the_next_does_not()
    {
        using var d = CudaTest.Open();
        Tensor table = Tensor.From(d, Values.Normal(12, 1), new(4, 3)), ids = Ints(d, 0, 1, 2), labels = Ints(d, 0, 1, -100), loss = Tensor.Zeros(d, new());
        void Step()
        {
            using var step = d.BeginStep();
            d.Copy(Ops.CrossEntropy(Ops.Embedding(table, ids), labels).Address, loss.Address, loss.Bytes);
        }

        Step();
        var (two, one) = (loss.Item(), 0f);
        using var graph = d.Capture(Step);
        graph.Replay();
        Assert.Equal(two, loss.Item());
        labels.CopyFrom<int>([0, 3, -100]);
        graph.Replay();
        Assert.Equal("CrossEntropy: row 1 has label 3, outside 0..2; rows to leave out carry -100", Assert.Throws<ArgumentException>(() => loss.Item()).Message);
        labels.CopyFrom<int>([0, -100, -100]); // the number of rows that count is not the graph's
        graph.Replay();
        one = loss.Item();
        labels.CopyFrom<int>([0, -100, -100]);
        Step();
        Assert.Equal(loss.Item(), one);
        Assert.NotEqual(two, one);
        ids.CopyFrom<int>([0, 1, 4]);
        graph.Replay();
        Assert.Equal("Embedding: id 4 at position 2 is outside 0..3", Assert.Throws<ArgumentException>(d.Synchronize).Message);
    }

    [Fact]
    public void A_fault_that_nobody_read_does_not_come_in_the_way_of_an_end()
    {
        using var d = CudaTest.Open(pooled: false);
        using var step = d.BeginStep();
        Ops.Embedding(Tensor.Zeros(d, new(4, 3)), Ints(d, 4));
    }
}
