using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class StateTests
{
    [Fact]
    public void The_state_is_in_PyTorchs_order_and_layout()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        using var store = ParameterStore.Materialize(d, model, 1);
        var state = store.StateDict();
        Assert.Equal(
            ["scale", "running_mean", "num_batches_tracked", "conv1.weight", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "up.0.weight", "up.0.bias"],
            state.Names);
        var (stored, torch) = (model.Conv1.Weight.Value.ToArray(), state["conv1.weight"]);
        Assert.Equal(new Shape(3, 2, 3, 3), torch.Shape);
        var values = torch.ToF32();
        for (var k = 0; k < 3; k++)
            for (var c = 0; c < 2; c++)
                for (var r = 0; r < 3; r++)
                    for (var s = 0; s < 3; s++)
                        Assert.Equal(stored[((r * 3 + s) * 2 + c) * 3 + k], values[((k * 2 + c) * 3 + r) * 3 + s]);
        Assert.Equal(new Shape(2, 3, 3, 3), state["up.0.weight"].Shape); // (in, out, R, S)
        using var written = new MemoryStream();
        torch.WriteTo(written);
        Assert.Equal(values.SelectMany(BitConverter.GetBytes), written.ToArray());
    }

    [Fact]
    public void A_state_restores_every_bit()
    {
        using var d = new CpuDevice(1);
        var (a, b) = (new TinyNet(), new TinyNet());
        using var from = ParameterStore.Materialize(d, a, 1);
        a.Steps.Value.CopyFrom<long>([42]);
        a.Mean.Value.CopyFrom<float>([1, 2, 3]);
        using var to = ParameterStore.Materialize(d, b, null, training: false);
        Assert.All(b.Layers[0].Weight.Value.ToArray(), v => Assert.Equal(0f, v)); // no seed: nothing initialised
        Assert.True(to.Load(from.StateDict()).IsExact);
        foreach (var (p, q) in from.Parameters.Zip(to.Parameters)) Assert.Equal(p.Parameter.Value.ToArray(), q.Parameter.Value.ToArray());
        Assert.Equal([42L], b.Steps.Value.ToArray<long>());
        Assert.Equal([1f, 2, 3], b.Mean.Value.ToArray());
    }

    [Fact]
    public void Differences_are_listed_with_shapes_and_nearest_names_and_change_nothing()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        using var store = ParameterStore.Materialize(d, model, 1);
        var before = store.Values.ToArray();
        var state = new StateDict();
        foreach (var (name, tensor) in store.StateDict().Rename(n => n == "layers.0.bias" ? "layers.0.bais" : n))
            state.Add(name, name == "scale" ? StateTensor.Of([9f], new(1)) : name == "conv1.weight" ? StateTensor.Of(new float[9], new(1, 1, 3, 3)) : tensor);

        var e = Assert.Throws<StateMismatchException>(() => store.Load(state));
        Assert.Contains("1 missing, 1 unexpected, 1 of another shape", e.Message, StringComparison.Ordinal);
        Assert.Contains("conv1.weight: the model has (3, 2, 3, 3), the state (1, 1, 3, 3)", e.Message, StringComparison.Ordinal);
        Assert.Contains("layers.0.bias (4,); the nearest is \"layers.0.bais\"", e.Message, StringComparison.Ordinal);
        Assert.Equal(before, store.Values.ToArray());

        Assert.Equal("layers.0.bais", Assert.Single(store.Load(state, strict: false).Unexpected).Name);
        Assert.Equal(9f, model.Scale.Value.Item()); // a scalar written as (1) is taken
    }

    [Fact]
    public void A_common_prefix_is_pointed_out_and_Under_removes_it()
    {
        using var d = new CpuDevice(1);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1);
        var wrapped = new StateDict();
        wrapped.Add(store.StateDict(), "module.");
        var e = Assert.Throws<StateMismatchException>(() => store.Load(wrapped));
        Assert.Contains("load state.Under(\"module.\")", e.Message, StringComparison.Ordinal);
        Assert.True(store.Load(wrapped.Under("module.")).IsExact);
    }

    [Fact]
    public void Counters_may_be_absent()
    {
        using var d = new CpuDevice(1);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1);
        Assert.True(store.Load(store.StateDict().Rename(n => n == "num_batches_tracked" ? null : n)).IsExact);
    }

    [Fact]
    public void Other_types_widen()
    {
        Assert.Equal([1f, -2f, 300f], StateTensor.Of([1, -2, 300], new(3)).ToF32());
        Assert.Equal([7f, 255f], StateTensor.Of(new byte[] { 7, 255 }, new(2)).ToF32());
        using var d = new CpuDevice(1);
        var bf16 = Tensor.From(d, (ushort[])[0x3F80, 0xC000, 0x7F80], new(3));
        Assert.Equal([1f, -2f, float.PositiveInfinity], StateTensor.Of(bf16).ToF32());
        Assert.Equal([1.5f, -0.25f], StateTensor.Of(Tensor.From(d, (Half[])[(Half)1.5f, (Half)(-0.25f)], new(2))).ToF32());
        Assert.Equal([1L, -2, 0], StateTensor.Of([1f, -2.7f, float.NaN], new(3)).ToI64()); // counters that someone cast with the rest
        Assert.Contains("nearest is \"weight\"", Assert.Throws<KeyNotFoundException>(() => State("weight")["wieght"]).Message, StringComparison.Ordinal);
    }

    private static StateDict State(string name)
    {
        var state = new StateDict();
        state.Add(name, StateTensor.Of([1f], new(1)));
        return state;
    }
}
