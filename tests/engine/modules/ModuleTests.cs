using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ModuleTests
{
    [Fact]
    public void Names_are_PyTorchs_from_the_root()
    {
        var model = new TinyNet();
        Assert.Equal(
            ["scale", "conv1.weight", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "up.0.weight", "up.0.bias"],
            model.NamedParameters().Select(p => p.Name));
        Assert.Equal(["running_mean", "num_batches_tracked"], model.NamedBuffers().Select(b => b.Name));
        Assert.Equal("layers.1.bias", model.Layers[1].Bias!.Name);
        Assert.Equal("layers.1", model.Layers[1].Path);
        Assert.Equal(new Shape(5, 3, 1, 2), new Holder(new Shape(1, 2, 3, 5)).Weight.PyTorchShape);
    }

    [Fact]
    public void The_training_flag_reaches_every_child()
    {
        var model = new TinyNet();
        Assert.True(model.Layers[1].Training);
        model.Eval();
        Assert.All((Module[])[model, model.Layers, model.Layers[0], model.Layers[1]], m => Assert.False(m.Training));
        model.Train();
        Assert.True(model.Layers[1].Training);
    }

    [Fact]
    public void A_parameter_without_memory_says_what_to_do()
    {
        var model = new TinyNet();
        var e = Assert.Throws<InvalidOperationException>(() => model.Layers[0].Weight.Value);
        Assert.Contains("layers.0.weight (4, 3) has no memory: call ParameterStore.Materialize", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_registrations_are_refused()
    {
        Assert.Contains("has a \"a\" already", Assert.Throws<ArgumentException>(() => new Twice("a", "a")).Message, StringComparison.Ordinal);
        Assert.Contains("no name", Assert.Throws<ArgumentException>(() => new Twice("a", "b..c")).Message, StringComparison.Ordinal);
        Assert.Contains("no name", Assert.Throws<ArgumentException>(() => new Twice("a", "")).Message, StringComparison.Ordinal);
        var shared = new Linear(1, 1);
        _ = new ModuleList<Linear>([shared]);
        Assert.Contains("another module already", Assert.Throws<ArgumentException>(() => new ModuleList<Linear>([shared])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new Holder(new Shape(2, 2)));
    }

    private sealed class Twice : Module
    {
        public Twice(string a, string b)
        {
            Param(a, new Shape(1), Init.Zeros);
            Buffer(b, new Shape(1), 0);
        }
    }

    private sealed class Holder : Module
    {
        public Holder(Shape shape) => Weight = Param("weight", shape, Init.Zeros, ParameterLayout.Conv);

        public Parameter Weight { get; }
    }
}

/// <summary>A model with every kind of entry; small enough to check by hand.</summary>
internal sealed class TinyNet : Module
{
    public TinyNet()
    {
        Scale = Param("scale", new Shape(), Init.Constant(2f));
        Mean = Buffer("running_mean", new Shape(3), 0.5f);
        Steps = Counter("num_batches_tracked");
        Conv1 = Child("conv1", new Conv2d(2, 3, 3, padding: 1, bias: false));
        Layers = Child("layers", new ModuleList<Linear>([new(3, 4), new(4, 2, init: Init.Normal(0.02f))]));
        Up = Child("up.0", new ConvTranspose2d(2, 3, 3, 2, 1, 1));
    }

    public Parameter Scale { get; }
    public StateBuffer Mean { get; }
    public StateBuffer Steps { get; }
    public Conv2d Conv1 { get; }
    public ModuleList<Linear> Layers { get; }
    public ConvTranspose2d Up { get; }

    /// <summary>(N, H, W, 2) → a scalar through every parameter but <see cref="Scale"/>.</summary>
    public Tensor Forward(Tensor x)
    {
        foreach (var layer in (IEnumerable<Func<Tensor, Tensor>>)[Conv1.Forward, Layers[0].Forward, Layers[1].Forward, Up.Forward]) x = layer(x);
        return Ops.Sum(Ops.Multiply(x, x));
    }
}
