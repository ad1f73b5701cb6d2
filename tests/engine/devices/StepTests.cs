using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class StepTests
{
    /// <summary>An ended step's lists serve the next: an inner and an outer step must never get the same ones.</summary>
    [Fact]
    public void Steps_that_nest_or_follow_each_other_own_their_tensors_apart()
    {
        using var d = new CpuDevice(1);
        for (var round = 0; round < 3; round++)
        {
            using var outer = d.BeginStep();
            var x = Tensor.From(d, [2f], new(1)).WithGrad();
            var y = Ops.Multiply(x, x);
            Tensor lost;
            using (var inner = d.BeginStep())
            {
                var a = Tensor.From(d, [5f], new(1)).WithGrad();
                lost = Ops.Add(a, a);
                Assert.Equal((1, 1), (inner.Tape.Count, outer.Tape.Count));
            }
            Assert.Throws<ObjectDisposedException>(() => lost.ToArray());
            using (d.BeginStep()) Assert.Equal(0, d.CurrentStep!.Tape.Count);
            Ops.Sum(y).Backward();
            Assert.Equal([4f], x.Grad!.ToArray());
        }
        Assert.Equal((0, 0L), (d.MemoryInUse.Blocks, d.MemoryInUse.Bytes));
    }

    [Fact]
    public void An_ended_steps_tape_stays_empty_while_another_records()
    {
        using var d = new CpuDevice(1);
        var first = d.BeginStep();
        var tape = first.Tape;
        first.Dispose();
        first.Dispose();
        using var second = d.BeginStep();
        var x = Tensor.From(d, [1f], new(1)).WithGrad();
        Ops.Add(x, x);
        Assert.Equal((0, 1), (tape.Count, second.Tape.Count));
    }
}
