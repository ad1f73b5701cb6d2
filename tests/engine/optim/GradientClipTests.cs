using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class GradientClipTests
{
    [Theory, OnEachDevice]
    public void The_norm_is_that_of_all_gradients_together(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(70_001), 1);
        var g = Values.Normal(70_001, 3);
        store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
        var expected = Math.Sqrt(g.Sum(v => (double)v * v));
        var norm = GradientClip.Measure(store, maxNorm: 2, gradScale: 0.5f);
        Assert.Equal(expected / 2, norm.Norm, 1e-9 * expected);
        Assert.Equal(0.5 * 2 / (expected / 2 + 1e-6), norm.Scale, 1e-6);
        Assert.True(norm.IsFinite);
        Assert.Equal(0.5f, GradientClip.Measure(store, 1e6, 0.5f).Scale);
        Assert.Equal(1f, GradientClip.Measure(store).Scale);
    }

    /// <summary>The trap: squares of such gradients overflow F32, the norm does not.</summary>
    [Theory, OnEachDevice]
    public void Large_gradients_are_finite_and_broken_ones_are_not(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Wide(40), 1);
        var g = new float[40];
        g[17] = 3e30f;
        store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
        Assert.Equal(3e30f, GradientClip.Measure(store).Norm, 1e24);
        foreach (var broken in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            g[39] = broken;
            store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
            Assert.False(GradientClip.Measure(store, 1).IsFinite);
        }
        Assert.Throws<ArgumentException>(() => GradientClip.Measure(store, 0));
        Assert.Throws<ArgumentException>(() => GradientClip.Measure(store, double.NaN));
    }

    /// <summary>Handed over unread, the factor gives the bits that it gives as a number; and what it says is the latest measurement's.</summary>
    [Theory, OnEachDevice]
    public void An_optimiser_takes_the_norm_unread(string device)
    {
        using var d = Devices.Open(device);
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
        {
            using ParameterStore read = ParameterStore.Materialize(d, new Wide(3000), 1), unread = ParameterStore.Materialize(d, new Wide(3000), 1);
            using Optimizer first = make(read), second = make(unread);
            for (var t = 0u; t < 3; t++)
            {
                foreach (var store in (ParameterStore[])[read, unread]) store.Trainable[0].Parameter.Grad.CopyFrom<float>(Values.Normal(3000, t));
                var scale = GradientClip.Measure(read, 2, 0.5f).Scale;
                Assert.True(scale is > 0 and < 0.1f);
                first.Step(0.01f, scale);
                second.Step(0.01f, GradientClip.Measure(unread, 2, 0.5f));
                Assert.Equal(read.Values.ToArray(), unread.Values.ToArray());
            }
            var old = GradientClip.Measure(read);
            _ = GradientClip.Measure(read);
            Assert.Contains("measured again", Assert.Throws<InvalidOperationException>(() => old.Norm).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidOperationException>(() => first.Step(0.01f, old));
        }
    }

    /// <summary>The trap: one gradient of a million that is not finite must reach neither weights nor moments, though nobody on the host has looked.</summary>
    [Theory, OnEachDevice]
    public void An_update_from_a_gradient_that_is_not_finite_touches_nothing(string device)
    {
        using var d = Devices.Open(device);
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
        {
            using var store = ParameterStore.Materialize(d, new Wide(100), 1, computeType: DType.BF16);
            using var optimizer = make(store);
            var g = Values.Normal(100, 1);
            g[63] = float.NaN;
            store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
            var (values, copy) = (store.Values.ToArray(), store.Compute.ToArray<ushort>());
            optimizer.Step(0.1f, GradientClip.Measure(store, 1));
            Assert.Equal(values, store.Values.ToArray());
            Assert.Equal(copy, store.Compute.ToArray<ushort>());
            Assert.Equal(0, optimizer.StepCount);
            foreach (var (name, moment) in optimizer.StateDict())
                if (name != "step") Assert.All(moment.ToF32(), v => Assert.Equal(0f, v));
        }
    }

    /// <summary>A refused update is as if it had not been asked for: what comes after gives the bits of a run without it, saved and resumed too.</summary>
    [Theory, OnEachDevice]
    public void A_refused_update_is_none(string device)
    {
        using var d = Devices.Open(device);
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
        {
            Assert.Equal(Run(make, []), Run(make, [0]));
            Assert.Equal(Run(make, []), Run(make, [1, 2]));
        }

        float[] Run(Func<ParameterStore, Optimizer> make, int[] refusedBefore)
        {
            using var store = ParameterStore.Materialize(d, new Wide(300), 1, [new("first", _ => false), ParameterGroup.All]);
            var optimizer = make(store);
            for (var t = 0; t < 4; t++)
            {
                foreach (var broken in refusedBefore.Contains(t) ? (bool[])[true, false] : [false])
                {
                    var g = Values.Normal(300, (uint)t);
                    if (broken) g[299] = float.NegativeInfinity;
                    store.Trainable[0].Parameter.Grad.CopyFrom<float>(g);
                    optimizer.Step(0.01f, GradientClip.Measure(store, 1));
                }
                Assert.Equal(t + 1, optimizer.StepCount);
                if (t != 2) continue;
                var state = StateOf(optimizer);
                optimizer.Dispose();
                optimizer = make(store);
                optimizer.Load(state);
                Assert.Equal(3, optimizer.StepCount);
            }
            optimizer.Dispose();
            return store.Values.ToArray();
        }

        // On the host, for the optimiser it comes from is gone when it is read.
        static StateDict StateOf(Optimizer optimizer)
        {
            var state = new StateDict();
            foreach (var (name, tensor) in optimizer.StateDict())
                state.Add(name, name == "step" ? StateTensor.Of(tensor.ToI64(), tensor.Shape) : StateTensor.Of(tensor.ToF32(), tensor.Shape));
            return state;
        }
    }

    /// <summary>A captured update replayed with other rates is the update made anew each time: rate, corrections and weight are not baked in.</summary>
    [Fact]
    public void A_replayed_update_takes_new_rates()
    {
        using var d = CudaTest.Open();
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
            Assert.Equal(Run(captured: false, make), Run(captured: true, make));

        float[] Run(bool captured, Func<ParameterStore, Optimizer> make)
        {
            using var store = ParameterStore.Materialize(d, new Wide(3000), 1, computeType: DType.BF16);
            using var optimizer = make(store);
            using var ema = new Ema(store);
            GradientNorm last = default;
            void Update()
            {
                optimizer.Apply(last = GradientClip.Measure(store, 1));
                ema.Apply();
            }
            CudaGraph? graph = null;
            var norms = new List<float>();
            for (var t = 0u; t < 4; t++)
            {
                store.Trainable[0].Parameter.Grad.CopyFrom<float>(Values.Normal(3000, t));
                optimizer.Prepare(0.01f / (t + 1));
                ema.Prepare();
                if (captured && t == 1) graph = d.Capture(Update);
                if (graph == null) Update();
                else graph.Replay();
                norms.Add((float)last.Norm);
            }
            graph?.Dispose();
            return [.. store.Values.ToArray(), .. ema.StateDict()["vector"].ToF32(), .. norms];
        }
    }
}
