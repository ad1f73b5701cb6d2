using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class RecomputeTests
{
    private const int Rows = 7, Width = 33;

    /// <summary>Two layers with dropout, as a body that is run whole, kept or run again.</summary>
    private sealed class Network(Device device)
    {
        public Tensor First { get; } = Input.Normal(new(Width, Width), 2).ToTensor(device);

        public Tensor Second { get; } = Input.Normal(new(Width, Width), 3).ToTensor(device);

        public Tensor Forward(Tensor x) => Ops.Dropout(Ops.MatMul(Ops.Tanh(Ops.MatMul(x, First)), Second), 0.5f, new Philox(1, 2, 3));
    }

    [Theory, OnEachDevice]
    public void Gradients_are_those_of_what_is_kept_bit_for_bit(string device)
    {
        var kept = Run(device, (body, x) => body(x));
        var again = Run(device, (body, x) => Recompute.Run(x, body));
        var nested = Run(device, (body, x) => Recompute.Run(x, h => Recompute.Run(h, body)));
        Assert.Equal(4, kept.Length);
        for (var i = 0; i < kept.Length; i++)
        {
            Assert.Equal(kept[i], again[i]);
            Assert.Equal(kept[i], nested[i]);
        }
    }

    /// <summary>The loss and three gradients; x is used beside the body too, and the body twice.</summary>
    private static float[][] Run(string device, Func<Func<Tensor, Tensor>, Tensor, Tensor> how)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var network = new Network(d);
        var x = Input.Normal(new(Rows, Width)).ToTensor(d);
        var y = how(network.Forward, how(network.Forward, Ops.Affine(x, 2)));
        var loss = Ops.Sum(Ops.Multiply(y, Ops.Add(y, x))).Keep();
        loss.Backward();
        return [loss.ToArray(), x.Grad!.ToArray(), network.First.Grad!.ToArray(), network.Second.Grad!.ToArray()];
    }

    [Fact]
    public void An_input_that_needs_no_gradient_still_trains_the_bodys_parameters()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var network = new Network(d);
        var x = Tensor.From(d, Input.Normal(new(Rows, Width)).Values, new(Rows, Width));
        var y = Recompute.Run(x, network.Forward);
        Assert.True(y.NeedsGrad);
        Ops.Sum(y).Backward();
        Assert.Null(x.Grad);
        Assert.Contains(network.First.Grad!.ToArray(), v => v != 0);
    }

    /// <summary>Ten layers of 1 MB each: kept, 20 MB and more are in use before the backward; run again, the ten inputs and one layer's two results.</summary>
    [Fact]
    public void Only_inputs_are_kept()
    {
        const int MiB = 1 << 20;
        using var d = new CpuDevice(1);
        long Peak(Func<Func<Tensor, Tensor>, Tensor, Tensor> how)
        {
            d.ResetPeak();
            var before = d.MemoryInUse.Bytes;
            using var step = d.BeginStep();
            var x = Tensor.Zeros(d, new(512, 512)).WithGrad();
            for (var i = 0; i < 10; i++) x = how(h => Ops.Tanh(Ops.Tanh(Ops.Tanh(h))), x);
            Ops.Sum(x).Backward();
            return d.MemoryInUse.PeakBytes - before;
        }
        var (kept, again) = (Peak((body, x) => body(x)), Peak((body, x) => Recompute.Run(x, body)));
        Assert.InRange(kept, 31L * MiB, 36L * MiB);
        Assert.InRange(again, 11L * MiB, 17L * MiB);
    }

    [Fact]
    public void What_a_body_does_besides_is_done_once()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var ones = Tensor.From(d, [1f, 1], new(2)).WithGrad();
        var (mean, variance, batches) = (Tensor.Zeros(d, new(2)), Tensor.Zeros(d, new(2)), Tensor.Zeros(d, new Shape(), DType.I64));
        var x = Input.Normal(new(Rows, 2)).ToTensor(d);
        var y = Recompute.Run(x, h => Ops.BatchNorm(h, ones, Tensor.Zeros(d, new(2)), mean, variance, training: true, batches: batches));
        var (once, count) = (mean.ToArray(), batches.ToArray<long>());
        Ops.Sum(Ops.Multiply(y, y)).Backward();
        Assert.NotEqual(0, once[0]);
        Assert.Equal(once, mean.ToArray());
        Assert.Equal([1L], count);
        Assert.Equal(count, batches.ToArray<long>());
    }

    [Fact]
    public void A_body_that_reads_what_the_tape_recorded_is_refused()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(4)).WithGrad();
        var (a, b) = (Ops.Affine(x, 2), Ops.Affine(x, 3));
        var y = Recompute.Run(a, h => Ops.Multiply(h, b));
        var error = Assert.Throws<InvalidOperationException>(() => Ops.Sum(y).Backward());
        Assert.Contains("was recorded in another step", error.Message, StringComparison.Ordinal);
        Assert.Contains("Recompute.Run", error.Message, StringComparison.Ordinal);
        Assert.False(d.IsRecomputing);
    }

    [Theory, OnEachDevice]
    public void Without_gradients_nothing_is_kept(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep(recordGradients: false);
        var network = new Network(d);
        var x = Input.Normal(new(Rows, Width)).ToTensor(d);
        var blocks = d.MemoryInUse.Blocks;
        var y = Discard.AllBut(d, () => network.Forward(x));
        Assert.Equal(blocks + 1, d.MemoryInUse.Blocks);
        Assert.Equal(network.Forward(x).ToArray(), y.ToArray());
    }
}
