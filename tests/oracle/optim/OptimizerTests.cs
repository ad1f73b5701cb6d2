using Plip.Engine;
using TorchSharp;
using Xunit;
using TorchParameter = TorchSharp.Modules.Parameter;

namespace Plip.Oracle;

/// <summary>Twenty updates by torch.optim and by ours, with gradients that grow, turn and pause.</summary>
public class OptimizerTests
{
    private const int Steps = 20;

    [Theory]
    [InlineData(0f, 0.999f)]
    [InlineData(0.1f, 0.95f)]
    public void AdamW(float decay, float beta2) => Follows(
        store => new AdamW(store, 0.9f, beta2, 1e-8f, decay),
        (parameters, rate) => torch.optim.AdamW(parameters, rate, 0.9, beta2, 1e-8, decay));

    [Theory]
    [InlineData(0f, false, 0f)]
    [InlineData(0.9f, false, 0.01f)]
    [InlineData(0.9f, true, 0f)]
    [InlineData(0.9f, true, 0.01f)]
    public void Sgd(float momentum, bool nesterov, float decay) => Follows(
        store => new Sgd(store, momentum, nesterov, decay),
        (parameters, rate) => torch.optim.SGD(parameters, rate, momentum, 0, decay, nesterov));

    [Theory]
    [InlineData(0.5)]
    [InlineData(1e6)] // nothing to clip
    public void Clipping(double largest)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        using var store = ParameterStore.Materialize(device, new Conv2d(5, 7, 3), seed: 1);
        var theirs = Parameters(store);
        foreach (var ((_, ours), t) in store.Parameters.Zip(theirs)) Give(ours, t, 0);
        var before = store.Parameters.Select(p => p.Parameter.Grad.ToArray()).ToArray();
        var norm = GradientClip.Measure(store, largest);
        var expected = torch.nn.utils.clip_grad_norm_(theirs, largest);
        Assert.Equal(expected, norm.Norm, 1e-6 * expected);
        for (var k = 0; k < theirs.Length; k++)
        {
            var clipped = Torch.Values(Stored(store.Parameters[k].Parameter, theirs[k].grad!));
            Assert.All(clipped.Zip(before[k]), e => Assert.Equal(e.First, e.Second * norm.Scale, 1e-6 * Torch.Largest(clipped)));
        }
    }

    private static void Follows(Func<ParameterStore, Optimizer> make, Func<TorchParameter[], double, torch.optim.Optimizer> peer)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        using var store = ParameterStore.Materialize(device, new Conv2d(5, 7, 3), seed: 1);
        using var optimizer = make(store);
        var theirs = Parameters(store);
        using var reference = peer(theirs, 0.05);
        for (var step = 0; step < Steps; step++)
        {
            foreach (var ((_, ours), t) in store.Parameters.Zip(theirs)) Give(ours, t, step);
            optimizer.Step(0.05f);
            reference.step();
            // A step moves a weight by about the rate, 0.05; F32 carries 6e-8 of a weight of 1 a step.
            foreach (var ((name, ours), t) in store.Parameters.Zip(theirs)) Torch.Close(Stored(ours, t), ours.Value, 2e-6, $"{name} after step {step + 1}");
        }
    }

    private static TorchParameter[] Parameters(ParameterStore store) =>
        [.. store.Parameters.Select(p => new TorchParameter(PyTorch(p.Parameter, Torch.Of(p.Parameter.Value.ToArray(), p.Parameter.Shape.ToArray())).contiguous()))];

    /// <summary>The same gradient for both: of a size that varies by element and step, now and then zero.</summary>
    private static void Give(Parameter ours, TorchParameter theirs, int step)
    {
        var values = step % 7 == 5 ? new float[ours.Shape.Count] : Torch.Normal((int)ours.Shape.Count, (uint)(100 + step), 0.1f * (1 + step));
        ours.Grad.CopyFrom<float>(values);
        theirs.grad = PyTorch(ours, Torch.Of(values, ours.Shape.ToArray())).contiguous();
    }

    private static torch.Tensor PyTorch(Parameter p, torch.Tensor stored) => p.Layout == ParameterLayout.Conv ? Torch.Kcrs(stored) : stored;

    private static torch.Tensor Stored(Parameter p, torch.Tensor x) => p.Layout == ParameterLayout.Conv ? x.permute(2, 3, 1, 0) : x;
}
