using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ParameterStoreTests
{
    private static readonly ParameterGroup[] s_groups =
    [
        new("up", p => p.Name.StartsWith("up.", StringComparison.Ordinal)) { LrScale = 0.1f },
        new("still", p => p.Name.StartsWith("conv1.", StringComparison.Ordinal)) { Frozen = true },
        new("vectors", p => p.Shape.Rank < 2) { WeightDecay = 0f },
        ParameterGroup.All,
    ];

    [Fact]
    public void Groups_lie_one_after_the_other_aligned_and_frozen_ones_apart()
    {
        using var d = new CpuDevice(1);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1, s_groups);
        Assert.Equal(["up.0.weight", "up.0.bias", "scale", "layers.0.bias", "layers.1.bias", "layers.0.weight", "layers.1.weight"],
            store.Trainable.Select(p => p.Parameter.Name));
        Assert.Equal([0L, 64, 80, 96, 112, 128, 144], store.Trainable.Select(p => p.Offset)); // 54 → 64, then 16 each
        Assert.Equal([("up", 0L, 80L), ("vectors", 80, 48), ("all", 128, 32)], store.Ranges.Select(r => (r.Group.Name, r.Offset, r.Count)));
        Assert.Equal(160, store.Values.Count);
        Assert.All(store.Trainable, p => Assert.Equal(0, p.Parameter.Value.Address % 64));
        Assert.Equal(54 + 3 + 1 + 4 + 2 + 12 + 8, store.TrainableCount);
        Assert.Equal(store.TrainableCount + 54, store.ParameterCount);
    }

    [Fact]
    public void Frozen_parameters_have_no_gradient_and_say_so()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        using var store = ParameterStore.Materialize(d, model, 1, s_groups);
        Assert.True(model.Conv1.Weight.Frozen);
        Assert.False(model.Conv1.Weight.Value.NeedsGrad);
        Assert.Contains("conv1.weight", Assert.Throws<InvalidOperationException>(() => model.Conv1.Weight.Grad).Message, StringComparison.Ordinal);
        Assert.False(model.Scale.Frozen);
    }

    [Theory, OnEachDevice]
    public void Backward_adds_to_the_flat_gradient_and_ZeroGrad_clears_it(string device)
    {
        using var d = Devices.Open(device);
        var model = new TinyNet();
        using var store = ParameterStore.Materialize(d, model, 1);
        var x = Values.Normal(2 * 4 * 3 * 2, 7);
        Pass(d, model, x);
        var once = store.Grads.ToArray();
        foreach (var place in store.Trainable)
        {
            var part = once.AsSpan((int)place.Offset, (int)place.Parameter.Shape.Count).ToArray();
            Assert.Equal(part, place.Parameter.Grad.ToArray());
            Assert.Equal(place.Parameter.Name == "scale", part.All(v => v == 0)); // the only one not used
        }
        Pass(d, model, x);
        Check.Close(Array.ConvertAll(once, v => 2.0 * v), store.Grads.ToArray(), 1e-6, "two passes");
        store.ZeroGrad();
        Assert.All(store.Grads.ToArray(), v => Assert.Equal(0f, v));
    }

    [Fact]
    public void It_outlives_steps_and_returns_everything()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        var before = d.MemoryInUse.Blocks;
        ParameterStore store;
        using (d.BeginStep()) store = ParameterStore.Materialize(d, model, 1);
        Assert.Equal(2f, model.Scale.Value.Item());
        store.Dispose();
        Assert.Equal(before, d.MemoryInUse.Blocks);
        Assert.Throws<InvalidOperationException>(() => model.Scale.Value);
        using var again = ParameterStore.Materialize(d, model, 1, training: false);
        Assert.All(again.Parameters, p => Assert.True(p.Parameter.Frozen));
        Assert.Throws<InvalidOperationException>(() => again.Grads);
    }

    [Fact]
    public void Misuse_is_named()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        var e = Assert.Throws<ArgumentException>(() => ParameterStore.Materialize(d, model, 1, [s_groups[0], s_groups[1]]));
        Assert.Contains("no group takes scale ()", e.Message, StringComparison.Ordinal);
        Assert.Contains("conv1 of a larger model", Assert.Throws<InvalidOperationException>(
            () => ParameterStore.Materialize(d, model.Conv1, 1)).Message, StringComparison.Ordinal);
        using var store = ParameterStore.Materialize(d, model, 1);
        Assert.Contains("belongs to a parameter store already", Assert.Throws<InvalidOperationException>(
            () => ParameterStore.Materialize(d, model, 1)).Message, StringComparison.Ordinal);
    }

    private static void Pass(Device d, TinyNet model, float[] x)
    {
        using var step = d.BeginStep();
        model.Forward(Tensor.From(d, x, new(2, 4, 3, 2))).Backward();
    }
}
