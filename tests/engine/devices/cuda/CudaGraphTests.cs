using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class CudaGraphTests
{
    /// <summary>One step of gradient descent, forward and backward, on tensors that outlive it.</summary>
    private static void Descend(Device d, Tensor x, Tensor gamma, Tensor beta, Tensor gradient)
    {
        using var step = d.BeginStep();
        var (g, b) = (gamma.View(gamma.Shape).WithGrad(), beta.View(beta.Shape).WithGrad());
        var copy = Ops.Affine(g, 1f);
        Ops.Sum(Ops.Multiply(Ops.Gelu(Ops.LayerNorm(x, copy, b)), x)).Backward();
        Ops.AddInto(gradient, g.Grad!);
        Ops.AddInto(gamma, Ops.Affine(g.Grad!, -0.01f));
        g.Grad!.Release();
        b.Grad!.Release();
        g.Release();
        b.Release();
    }

    private static (float[] Gamma, float[] Gradient) Train(CudaDevice d, bool captured)
    {
        Tensor gamma = Ops.Full(d, new(33), 1f), beta = Ops.Full(d, new(33), 0.5f), sum = Tensor.Zeros(d, new(33)), x = Tensor.Zeros(d, new(20, 33));
        float[] Batch(uint i) => Values.Normal(20 * 33, i);
        x.CopyFrom<float>(Batch(0));
        Descend(d, x, gamma, beta, sum);
        using var graph = captured ? d.Capture(() => Descend(d, x, gamma, beta, sum)) : null;
        for (var i = 1u; i < 5; i++)
        {
            x.CopyFrom<float>(Batch(i)); // written before the replay, into the same memory
            if (graph == null) Descend(d, x, gamma, beta, sum);
            else graph.Replay();
        }
        return (gamma.ToArray(), sum.ToArray());
    }

    [Fact]
    public void A_replay_gives_the_bits_of_the_step_it_recorded()
    {
        using var d = CudaTest.Open();
        var (eager, captured) = (Train(d, false), Train(d, true));
        Assert.Equal(eager.Gamma, captured.Gamma);
        Assert.Equal(eager.Gradient, captured.Gradient);
        Assert.NotEqual(eager.Gamma[0], eager.Gamma[1]);
    }

    /// <summary>A tensor made after the capture must not lie where a replay writes.</summary>
    [Fact]
    public void A_graphs_memory_is_its_own_until_it_is_disposed()
    {
        using var d = CudaTest.Open();
        var x = Ops.Full(d, new(1000), 3f);
        var y = Tensor.Zeros(d, new(1000));
        void Step()
        {
            using var step = d.BeginStep();
            d.Copy(Ops.Multiply(Ops.Add(x, x), x).Address, y.Address, y.Bytes);
        }

        Step();
        var graph = d.Capture(Step);
        Assert.Equal(2, graph.Blocks);
        var mine = Enumerable.Range(0, 6).Select(i => Ops.Full(d, new(1000), i)).ToArray();
        graph.Replay();
        for (var i = 0; i < mine.Length; i++) Assert.All(mine[i].ToArray(), v => Assert.Equal(i, v));
        Assert.All(y.ToArray(), v => Assert.Equal(18f, v));
        var cached = d.Pool.Cached;
        graph.Dispose();
        Assert.True(d.Pool.Cached > cached);
        Assert.Throws<ObjectDisposedException>(graph.Replay);
    }

    [Fact]
    public void Reading_or_uploading_in_a_capture_is_refused_and_the_device_goes_on()
    {
        using var d = CudaTest.Open();
        var x = Ops.Full(d, new(10), 2f);
        Assert.Contains("read after the replay", Assert.Throws<InvalidOperationException>(() => d.Capture(() => x.ToArray())).Message, StringComparison.Ordinal);
        Assert.Contains("fill the tensor before each replay", Assert.Throws<InvalidOperationException>(() => d.Capture(() => x.CopyFrom<float>(new float[10]))).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => d.Capture(() => d.Capture(() => { })));
        Assert.Equal(20f, Ops.Sum(x).Item());
    }
}
