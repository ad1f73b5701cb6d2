using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Each optimiser against a float64 transcription of its formula, over steps with new random gradients.</summary>
public class OptimizerTests
{
    private const int Steps = 12;
    private const float GradScale = 0.25f, Rate = 0.01f;

    // F32 state and a dozen steps: relative rounding of 6e-8 in each operation, a few hundred of them.
    private const double Tolerance = 2e-5;

    public delegate void Formula(Oracle o, int i, double g, int t, double rate, double decay);

    [Theory, OnEachDevice]
    public void AdamW_follows_Loshchilov_and_Hutter(string device) =>
        Follows(device, s => new AdamW(s, 0.9f, 0.99f, 1e-6f, 0.05f), 0.05, (o, i, g, t, rate, decay) =>
        {
            o.A[i] = 0.9 * o.A[i] + 0.1 * g;
            o.B[i] = 0.99 * o.B[i] + 0.01 * g * g;
            var (mean, square) = (o.A[i] / (1 - Math.Pow(0.9, t)), o.B[i] / (1 - Math.Pow(0.99, t)));
            o.P[i] = o.P[i] - rate * decay * o.P[i] - rate * mean / (Math.Sqrt(square) + 1e-6);
        });

    [Theory, OnEachDevice]
    public void Adan_follows_Xie(string device) =>
        Follows(device, s => new Adan(s, eps: 1e-6f), 0.02, (o, i, g, t, rate, decay) =>
        {
            var delta = t == 1 ? 0 : g - o.Last[i];
            o.Last[i] = g;
            o.A[i] = 0.98 * o.A[i] + 0.02 * g;
            o.B[i] = 0.92 * o.B[i] + 0.08 * delta;
            o.C[i] = 0.99 * o.C[i] + 0.01 * Math.Pow(g + 0.92 * delta, 2);
            var eta = rate / (Math.Sqrt(o.C[i] / (1 - Math.Pow(0.99, t))) + 1e-6);
            o.P[i] = (o.P[i] - eta * (o.A[i] / (1 - Math.Pow(0.98, t)) + 0.92 * o.B[i] / (1 - Math.Pow(0.92, t)))) / (1 + decay * rate);
        });

    [Theory, OnEachDevice]
    public void Sgd_follows_PyTorchs_documentation(string device) =>
        Follows(device, s => new Sgd(s, 0.9f, weightDecay: 0.1f), 0.1, (o, i, g, t, rate, decay) =>
        {
            g += decay * o.P[i];
            o.A[i] = t == 1 ? g : 0.9 * o.A[i] + g;
            o.P[i] -= rate * o.A[i];
        });

    [Theory, OnEachDevice]
    public void Nesterov_looks_ahead(string device) =>
        Follows(device, s => new Sgd(s, 0.9f, nesterov: true), 0, (o, i, g, t, rate, decay) =>
        {
            g += decay * o.P[i];
            o.A[i] = 0.9 * o.A[i] + g;
            o.P[i] -= rate * (g + 0.9 * o.A[i]);
        });

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
        {
            var runs = new List<float[]>();
            foreach (var threads in (int[])[1, 3])
            {
                using var d = new CpuDevice(threads);
                using var store = ParameterStore.Materialize(d, new Wide(70_001), 1);
                using var optimizer = make(store);
                for (var t = 0; t < 3; t++)
                {
                    Gradients(store, t);
                    optimizer.Step(Rate, GradientClip.Measure(store, 1).Scale);
                }
                runs.Add(store.Values.ToArray());
            }
            Assert.Equal(runs[0], runs[1]);
        }
    }

    [Fact]
    public void A_saved_state_continues_with_the_same_bits()
    {
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s)])
        {
            using var d = new CpuDevice(1);
            using var a = ParameterStore.Materialize(d, new TinyNet(), 1);
            // Other groups, so another order in the flat buffers: the state goes by name.
            using var b = ParameterStore.Materialize(d, new TinyNet(), 2, [new("vectors", p => p.Shape.Rank < 2), ParameterGroup.All]);
            using var first = make(a);
            Advance(a, first, 0);
            Advance(a, first, 1);
            using var second = make(b);
            var blocks = d.MemoryInUse.Blocks;
            b.Load(a.StateDict());
            second.Load(first.StateDict());
            Assert.Equal(blocks, d.MemoryInUse.Blocks);
            Assert.Equal(2, second.StepCount);
            Advance(a, first, 2);
            Advance(b, second, 2);
            foreach (var (p, q) in a.Parameters.Zip(b.Parameters)) Assert.Equal(p.Parameter.Value.ToArray(), q.Parameter.Value.ToArray());
        }

        static void Advance(ParameterStore store, Optimizer optimizer, int t)
        {
            foreach (var (name, parameter) in store.Parameters)
                parameter.Grad.CopyFrom<float>(Values.Normal((int)parameter.Shape.Count, (uint)(100 * t + name.Length)));
            optimizer.Step(Rate);
        }
    }

    [Fact]
    public void A_state_of_another_kind_is_refused()
    {
        using var d = new CpuDevice(1);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1);
        using var adam = new AdamW(store);
        using var adan = new Adan(store);
        var e = Assert.Throws<StateMismatchException>(() => adan.Load(adam.StateDict()));
        Assert.Contains("exp_avg_diff.conv1.weight (3, 2, 3, 3)", e.Message, StringComparison.Ordinal);
        Assert.Throws<StateMismatchException>(() => adam.Load(new StateDict()));
    }

    [Fact]
    public void Misuse_is_named_and_memory_returned()
    {
        using var d = new CpuDevice(1);
        using var frozen = ParameterStore.Materialize(d, new TinyNet(), 1, training: false);
        Assert.Contains("nothing in it is trainable", Assert.Throws<InvalidOperationException>(() => new AdamW(frozen)).Message, StringComparison.Ordinal);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1);
        var blocks = d.MemoryInUse.Blocks;
        using (var adan = new Adan(store))
        {
            Assert.Equal(4 * store.Values.Bytes, adan.StateBytes);
            Assert.Throws<ArgumentException>(() => adan.Step(float.NaN));
            Assert.Throws<ArgumentException>(() => adan.Step(-1));
            Assert.Contains("IsFinite", Assert.Throws<ArgumentException>(() => adan.Step(1, float.NaN)).Message, StringComparison.Ordinal);
            Assert.Equal(0, adan.StepCount);
        }
        Assert.Equal(blocks, d.MemoryInUse.Blocks);
        Assert.Throws<ArgumentException>(() => new AdamW(store, beta1: 1f));
        Assert.Throws<ArgumentException>(() => new AdamW(store, eps: 0));
        Assert.Throws<ArgumentException>(() => new Sgd(store, weightDecay: -1));
    }

    private static void Follows(string device, Func<ParameterStore, Optimizer> make, double defaultDecay, Formula formula)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new TinyNet(), 1,
            [new("slow", p => p.Shape.Rank < 2) { LrScale = 0.1f, WeightDecay = 0.3f }, ParameterGroup.All]);
        using var optimizer = make(store);
        var oracle = new Oracle(Array.ConvertAll(store.Values.ToArray(), v => (double)v));
        var slow = (int)store.Ranges[0].Count;
        for (var t = 1; t <= Steps; t++)
        {
            Gradients(store, t);
            var g = store.Grads.ToArray();
            optimizer.Step(Rate, GradScale);
            for (var i = 0; i < g.Length; i++)
                formula(oracle, i, (double)g[i] * GradScale, t, i < slow ? 0.1 * Rate : Rate, i < slow ? 0.3f : defaultDecay);
            Check.Close(oracle.P, store.Values.ToArray(), Tolerance, $"step {t}");
        }
        Assert.Equal(Steps, optimizer.StepCount);
    }

    private static void Gradients(ParameterStore store, int t)
    {
        store.ZeroGrad();
        foreach (var place in store.Trainable)
            place.Parameter.Grad.CopyFrom<float>(Values.Normal((int)place.Parameter.Shape.Count, (uint)(t * 1000 + place.Offset)));
    }

    public sealed class Oracle(double[] p)
    {
        public double[] P { get; } = p;
        public double[] A { get; } = new double[p.Length];
        public double[] B { get; } = new double[p.Length];
        public double[] C { get; } = new double[p.Length];
        public double[] Last { get; } = new double[p.Length];
    }
}

/// <summary>One long vector: more than one task of the CPU device.</summary>
internal sealed class Wide : Module
{
    public Wide(int count) => Vector = Param("vector", new Shape(count), Init.Normal(1f));

    public Parameter Vector { get; }
}
