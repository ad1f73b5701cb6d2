using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class EmaTests
{
    [Theory, OnEachDevice]
    public void It_follows_the_formula(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(20_000), 1);
        using var ema = new Ema(store, 0.3f);
        var expected = Array.ConvertAll(store.Values.ToArray(), v => (double)v);
        for (var t = 0; t < 6; t++)
        {
            var p = Values.Normal(20_000, (uint)t);
            store.Values.CopyFrom<float>(p);
            ema.Update();
            var decay = Math.Min(0.3f, (1.0 + t) / (10.0 + t)); // the sixth step is past the warm-up
            for (var i = 0; i < p.Length; i++) expected[i] = decay * expected[i] + (1 - decay) * p[i];
        }
        Check.Close(expected, ema.StateDict()["vector"].ToF32(), 1e-6, "average");
    }

    /// <summary>An update that the optimiser refuses, for a gradient is not finite, leaves the average and its count alone too.</summary>
    [Theory, OnEachDevice]
    public void It_refuses_what_the_optimiser_refuses(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(1000), 1);
        using var ema = new Ema(store, 0.5f);
        float[] Updated(float gradient)
        {
            store.Grads.CopyFrom<float>(Enumerable.Repeat(gradient, (int)store.Grads.Count).ToArray());
            store.Values.CopyFrom<float>(Values.Normal((int)store.Values.Count, 7));
            ema.Prepare();
            ema.Apply(GradientClip.Measure(store));
            return ema.StateDict()["vector"].ToF32();
        }
        var first = Updated(1);
        Assert.Equal(1, ema.StepCount);
        Assert.Equal(first, Updated(float.PositiveInfinity));
        Assert.Equal(first, Updated(float.NaN));
        Assert.Equal(1, ema.StepCount);
        Assert.NotEqual(first, Updated(1));
        Assert.Equal((2, 2L), (ema.StepCount, ema.StateDict()["step"].ToI64()[0]));
    }

    [Fact]
    public void Swapping_exchanges_and_restores_every_bit()
    {
        using var d = new CpuDevice(1);
        var model = new Wide(100);
        using var store = ParameterStore.Materialize(d, model, 1);
        var start = model.Vector.Value.ToArray();
        var ema = new Ema(store);
        var trained = Values.Normal(100, 2);
        model.Vector.Value.CopyFrom<float>(trained);
        using (ema.Swap())
        {
            Assert.Equal(start, model.Vector.Value.ToArray());
            Assert.Throws<InvalidOperationException>(() => ema.Swap());
            Assert.Throws<InvalidOperationException>(ema.Update);
            Assert.Throws<InvalidOperationException>(() => ema.StateDict());
        }
        Assert.Equal(trained, model.Vector.Value.ToArray());
        _ = ema.Swap();
        ema.Dispose(); // swaps back
        Assert.Equal(trained, model.Vector.Value.ToArray());
    }

    [Fact]
    public void A_saved_average_continues()
    {
        using var d = new CpuDevice(1);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1);
        using var a = new Ema(store, 0.5f);
        store.Values.CopyFrom<float>(Values.Normal((int)store.Values.Count, 4));
        a.Update();
        using var b = new Ema(store, 0.5f);
        b.Load(a.StateDict());
        a.Update();
        b.Update();
        foreach (var (name, tensor) in a.StateDict()) Assert.Equal(tensor.ToF32(), b.StateDict()[name].ToF32());
        Assert.Equal(2, b.StepCount);
        Assert.Throws<StateMismatchException>(() => b.Load(new StateDict()));
        Assert.Throws<ArgumentException>(() => new Ema(store, 1f));
    }
}
