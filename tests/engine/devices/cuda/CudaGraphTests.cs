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

    /// <summary>A graph for each shape of a batch: together they take what the largest does, and steps between replays take no more.</summary>
    [Fact]
    public void Graphs_share_their_memory_and_lend_it_to_steps()
    {
        using var d = CudaTest.Open();
        var results = new Dictionary<int, Tensor>();
        var x = Ops.Full(d, new(1 << 20), 3f);
        void Step(int rows)
        {
            using var step = d.BeginStep();
            var y = Ops.Slice(x, 0, 0, rows);
            var sum = Ops.Sum(Ops.Multiply(Ops.Add(y, y), y));
            y.Release();
            if (results.TryGetValue(rows, out var old)) old.Release();
            results[rows] = sum.Persist();
        }

        int[] sizes = [1 << 20, (1 << 20) - 1000, 1 << 19, 1 << 20];
        foreach (var rows in sizes.Append(1 << 18)) Step(rows);
        var reserved = d.Pool.Reserved;
        var graphs = sizes[..3].Select(rows => (Rows: rows, Graph: d.Capture(() => Step(rows)))).ToArray();
        Assert.Equal(reserved, d.Pool.Reserved);
        for (var turn = 0; turn < 2; turn++)
        {
            foreach (var (rows, graph) in graphs)
            {
                graph.Replay();
                Assert.Equal(18f * rows, results[rows].Item(), 4f);
                Step(1 << 18);
                Assert.Equal(18f * (1 << 18), results[1 << 18].Item());
            }
            x.CopyFrom<float>(Enumerable.Repeat(3f, 1 << 20).ToArray());
        }
        Assert.Equal(reserved, d.Pool.Reserved);
        graphs[0].Graph.Dispose(); // what it shares is still the others'
        graphs[1].Graph.Replay();
        Assert.Equal(18f * sizes[1], results[sizes[1]].Item(), 4f);
        foreach (var (_, graph) in graphs) graph.Dispose();
        foreach (var result in results.Values) result.Release();
        x.Release();
        Assert.Equal(0, d.MemoryInUse.Blocks);
        // Three blocks of 4 MB: the input, and the two sums that a step holds at a time.
        Assert.True(d.Pool.Cached >= 3 * 4L << 20, $"{d.Pool.Cached} bytes came back");
    }

    [Fact]
    public void A_replay_does_not_overwrite_an_open_step()
    {
        using var d = CudaTest.Open();
        var x = Ops.Full(d, new(1000), 3f);
        void Step()
        {
            using var step = d.BeginStep();
            Ops.Multiply(Ops.Add(x, x), x);
        }

        Step();
        using var graph = d.Capture(Step);
        using (var step = d.BeginStep())
        {
            var y = Ops.Add(x, x);
            Assert.Contains("end the step first", Assert.Throws<InvalidOperationException>(graph.Replay).Message, StringComparison.Ordinal);
            Assert.All(y.ToArray(), v => Assert.Equal(6f, v));
        }
        graph.Replay();
        d.Synchronize();
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
