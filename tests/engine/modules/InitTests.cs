using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class InitTests
{
    [Fact]
    public void Values_depend_on_seed_and_name_and_on_nothing_else()
    {
        using var d = new CpuDevice(2);
        float[] First(Module model, ulong seed, string name)
        {
            using var store = ParameterStore.Materialize(d, model, seed);
            return store.Parameters.Single(p => p.Name == name).Parameter.Value.ToArray();
        }

        var alone = First(new Only("a"), 5, "a");
        Assert.Equal(alone, First(new Only("b", "a"), 5, "a"));
        Assert.NotEqual(alone, First(new Only("a"), 6, "a"));
        Assert.NotEqual(alone, First(new Only("b"), 5, "b"));
        Assert.NotEqual(alone, First(new Only("a"), 5UL << 32, "a"));
    }

    [Fact]
    public void Distributions_have_their_moments()
    {
        const int N = 200_000;
        var v = new float[N];
        Init.Normal(0.02f).Fill(v, 1, "normal");
        // The mean's deviation is 0.02/√N = 4.5e-5, the deviation's 0.02/√(2N) = 3.2e-5; five of them are allowed.
        Assert.InRange(v.Average(), -2.3e-4, 2.3e-4);
        Assert.InRange(Math.Sqrt(v.Sum(x => (double)x * x) / N), 0.02 - 1.6e-4, 0.02 + 1.6e-4);
        Init.Kaiming(16).Fill(v, 1, "uniform");
        Assert.All(v, x => Assert.InRange(x, -0.25f, 0.25f));
        Assert.InRange(v.Average(), -1.7e-3, 1.7e-3);
        Assert.InRange(v.Sum(x => (double)x * x) / N, 0.0625 / 3 * 0.98, 0.0625 / 3 * 1.02);
        Init.Constant(3f).Fill(v, 1, "constant");
        Assert.All(v, x => Assert.Equal(3f, x));
    }

    [Fact]
    public void Layers_start_as_PyTorchs()
    {
        using var d = new CpuDevice(1);
        var model = new TinyNet();
        using var store = ParameterStore.Materialize(d, model, 3);
        Assert.All(model.Conv1.Weight.Value.ToArray(), v => Assert.InRange(Math.Abs(v), 0, 1 / Math.Sqrt(2 * 9)));
        Assert.All(model.Layers[0].Bias!.Value.ToArray(), v => Assert.InRange(Math.Abs(v), 1e-9, 1 / Math.Sqrt(3)));
        Assert.All(model.Layers[1].Bias!.Value.ToArray(), v => Assert.Equal(0f, v));
        Assert.All(model.Up.Weight.Value.ToArray(), v => Assert.InRange(Math.Abs(v), 0, 1 / Math.Sqrt(3 * 9)));
        Assert.All(model.Mean.Value.ToArray(), v => Assert.Equal(0.5f, v));
        Assert.Equal([0L], model.Steps.Value.ToArray<long>());
    }

    private sealed class Only : Module
    {
        public Only(params string[] names)
        {
            foreach (var n in names) Param(n, new Shape(100), Init.Normal(1f));
        }
    }
}
