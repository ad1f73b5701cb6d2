using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>What the layers add to their ops: names, starts, modes, state. The arithmetic is tested with the ops.</summary>
public class LayerTests
{
    [Fact]
    public void State_has_PyTorchs_keys_and_starts()
    {
        Assert.Equal(["weight", "bias"], Names(new LayerNorm(3)));
        Assert.Equal(["weight"], Names(new Linear(2, 3, bias: false)));
        Assert.Equal(["weight"], Names(new Embedding(5, 2)));
        Assert.Equal(["weight", "bias", "running_mean", "running_var", "num_batches_tracked"], Names(new BatchNorm2d(3)));

        using var d = new CpuDevice(1);
        using var norm = ParameterStore.Materialize(d, new BatchNorm2d(2, start: 0f), 1);
        var state = norm.StateDict();
        Assert.Equal([0f, 0], state["weight"].ToF32());
        Assert.Equal([0f, 0], state["bias"].ToF32());
        Assert.Equal([0f, 0], state["running_mean"].ToF32());
        Assert.Equal([1f, 1], state["running_var"].ToF32());
        Assert.Equal([0L], state["num_batches_tracked"].ToI64());
        using var layer = ParameterStore.Materialize(d, new LayerNorm(2), 1);
        Assert.Equal([1f, 1], layer.StateDict()["weight"].ToF32());
    }

    [Theory, OnEachDevice]
    public void Batch_norm_tracks_in_training_and_only_then(string device)
    {
        using var d = Devices.Open(device);
        var layer = new BatchNorm2d(2);
        using var store = ParameterStore.Materialize(d, layer, 1);
        double[] mean = [0, 0], variance = [1, 1];
        for (var t = 0u; t < 3; t++)
        {
            var x = Input.Normal(new(2, 3, 2, 2), t, shift: 2);
            Run(d, layer, x);
            for (var c = 0; c < 2; c++)
            {
                var v = x.Values.Where((_, i) => i % 2 == c).Select(f => (double)f).ToArray();
                var mu = v.Average();
                mean[c] = 0.9 * mean[c] + 0.1 * mu;
                variance[c] = 0.9 * variance[c] + 0.1 * v.Sum(e => (e - mu) * (e - mu)) / (v.Length - 1); // unbiased, as PyTorch tracks it
            }
        }
        Check.Close(mean, store.StateDict()["running_mean"].ToF32(), 1e-6, "mean");
        Check.Close(variance, store.StateDict()["running_var"].ToF32(), 1e-6, "variance");
        Assert.Equal([3L], store.StateDict()["num_batches_tracked"].ToI64());

        layer.Eval();
        var one = Input.Normal(new(1, 1, 1, 2), 9); // a single row: impossible for the batch's own statistics
        var expected = one.Values.Select((v, c) => (v - mean[c]) / Math.Sqrt(variance[c] + 1e-5)).ToArray();
        Check.Close(expected, Run(d, layer, one), 1e-5, "evaluation");
        Assert.Equal([3L], store.StateDict()["num_batches_tracked"].ToI64());
        Check.Close(mean, store.StateDict()["running_mean"].ToF32(), 1e-6, "mean after evaluation");
    }

    [Fact]
    public void Sets_of_statistics_do_not_mix()
    {
        using var d = new CpuDevice(1);
        var layer = new BatchNorm2d(2, sets: 2);
        using var store = ParameterStore.Materialize(d, layer, 1);
        Run(d, layer, Input.Normal(new(4, 1, 1, 2), 1, shift: 5), statistics: 1);
        var state = store.StateDict();
        Assert.Equal([0f, 0], state["running_mean"].ToF32());
        Assert.All(state["running_mean_1"].ToF32(), v => Assert.InRange(v, 0.3f, 0.7f)); // a tenth of about 5
        Assert.Equal([0L], state["num_batches_tracked"].ToI64());
    }

    [Fact]
    public void Both_sets_at_once_are_each_in_turn()
    {
        using var d = new CpuDevice(1);
        var (one, two) = (Input.Normal(new(4, 1, 2, 3), 1), Input.Normal(new(4, 1, 2, 3), 2, shift: 5));
        float[] Of(Func<BatchNorm2d, float[]> run)
        {
            var layer = new BatchNorm2d(3, sets: 2);
            using var store = ParameterStore.Materialize(d, layer, 1);
            var y = run(layer);
            return [.. y, .. layer.NamedBuffers().SelectMany(b => b.Buffer.DType == DType.I64 ? [b.Buffer.Value.ToArray<long>()[0]] : b.Buffer.Value.ToArray())];
        }
        var turns = Of(l => [.. Run(d, l, one), .. Run(d, l, two, statistics: 1)]);
        var both = Of(l =>
        {
            using var step = d.BeginStep(recordGradients: false);
            return l.Forward(Tensor.From(d, (float[])[.. one.Values, .. two.Values], new(8, 1, 2, 3)), new StatisticsSets(0, 2)).ToArray();
        });
        Assert.Equal(turns, both);
        Assert.Throws<ArgumentException>(() => Of(l => l.Forward(Tensor.Zeros(d, new(4, 3)), new StatisticsSets(1, 2)).ToArray()));
    }

    [Fact]
    public void An_embedding_gives_rows_and_takes_gradients_where_it_was_asked()
    {
        using var d = new CpuDevice(1);
        var layer = new Embedding(4, 2);
        using var store = ParameterStore.Materialize(d, layer, 1);
        var table = layer.Weight.Value.ToArray();
        using var step = d.BeginStep();
        var rows = layer.Forward(Tensor.From(d, (int[])[2, 0, 2], new(3))).Keep();
        Ops.Sum(rows).Backward();
        Assert.Equal([table[4], table[5], table[0], table[1], table[4], table[5]], rows.ToArray());
        Assert.Equal([1f, 1, 0, 0, 2, 2, 0, 0], layer.Weight.Grad.ToArray());
    }

    [Fact]
    public void Frozen_layers_pass_gradients_on_without_keeping_any()
    {
        using var d = new CpuDevice(1);
        var model = new ModuleList<Linear>([new(3, 3), new(3, 3)]);
        using var store = ParameterStore.Materialize(d, model, 1, [new("top", p => p.Name.StartsWith("1.", StringComparison.Ordinal)) { Frozen = true }, ParameterGroup.All]);
        using (d.BeginStep()) Ops.Sum(model[1].Forward(model[0].Forward(Input.Normal(new(2, 3)).Fixed.ToTensor(d)))).Backward();
        Assert.Contains(model[0].Weight.Grad.ToArray(), v => v != 0);
        Assert.Null(model[1].Weight.Value.Grad);
    }

    private static float[] Run(Device d, BatchNorm2d layer, Input x, int statistics = 0)
    {
        using var step = d.BeginStep(recordGradients: false);
        return layer.Forward(x.Fixed.ToTensor(d), statistics: statistics).ToArray();
    }

    private static IEnumerable<string> Names(Module module) =>
        module.NamedParameters().Select(p => p.Name).Concat(module.NamedBuffers().Select(b => b.Name));
}
