using Plip.Engine;
using TorchSharp;
using Xunit;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)] // both programs bring threads of their own

namespace Plip.Oracle;

/// <summary>
/// The same op with the same numbers in LibTorch: values and gradients side by side. LibTorch computes in F64, so what
/// differs is our F32 alone, and the tolerances can be a few roundings wide.
/// </summary>
internal static class Torch
{
    /// <summary>Relative tolerances of outputs and gradients, unless a test says otherwise and why.</summary>
    public const double Output = 1e-5, Gradient = 5e-5;

    /// <summary>Compares an op's output and the gradients of all its inputs with LibTorch's.</summary>
    /// <param name="op">Ours.</param>
    /// <param name="peer">The same with LibTorch.</param>
    /// <param name="inputs">Values and shapes, as ours takes them.</param>
    /// <param name="tolerance">Of the output, relative to its largest magnitude.</param>
    /// <param name="gradient">Of the gradients, each relative to its largest magnitude.</param>
    /// <param name="floor">The least that a gradient's tolerance is relative to; what flows in is of size 1.</param>
    /// <param name="least">The least that the output's tolerance is relative to, where the output is a small difference of larger numbers.</param>
    public static void Same(
        Func<Tensor[], Tensor> op, Func<torch.Tensor[], torch.Tensor> peer, (float[] Values, int[] Shape)[] inputs,
        double tolerance = Output, double gradient = Gradient, double floor = 1e-12, double least = 1e-12)
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        var ours = inputs.Select(i => Tensor.From(device, i.Values, new Shape(i.Shape)).WithGrad()).ToArray();
        var theirs = inputs.Select(i => Of(i.Values, i.Shape).requires_grad_()).ToArray();
        var y = op(ours).Keep();
        var t = peer(theirs);
        Assert.Equal(t.shape, y.Shape.ToArray().Select(d => (long)d));
        Close(t, y, tolerance, "forward", least);
        Backward(y, t);
        for (var k = 0; k < ours.Length; k++)
        {
            Assert.True(theirs[k].grad is not null, $"input {k}: LibTorch has no gradient; it does not belong among the inputs");
            Assert.True(ours[k].Grad != null, $"input {k}: no gradient from ours");
            Close(theirs[k].grad!, ours[k].Grad!, gradient, $"gradient of input {k}", floor);
        }
    }

    /// <summary>Walks both tapes back from the same random combination of the outputs.</summary>
    public static void Backward(Tensor ours, torch.Tensor theirs)
    {
        var weights = Normal((int)ours.Count, 77);
        Ops.Sum(Ops.Multiply(ours, Tensor.From(ours.Device, weights, ours.Shape))).Backward();
        (theirs * Of(weights, ours.Shape.ToArray())).sum().backward();
    }

    /// <summary>Walks both tapes back from the same random combination of several outputs.</summary>
    public static void Backward(IEnumerable<(Tensor Ours, torch.Tensor Theirs)> outputs)
    {
        var (terms, sum, seed) = (new List<(Tensor, float)>(), torch.zeros(1, torch.float64), 77u);
        foreach (var (ours, theirs) in outputs)
        {
            var weights = Normal((int)ours.Count, seed++);
            terms.Add((Ops.Sum(Ops.Multiply(ours, Tensor.From(ours.Device, weights, ours.Shape))), 1f));
            sum = sum + (theirs * Of(weights, ours.Shape.ToArray())).sum();
        }
        Ops.WeightedSum(terms).Backward();
        sum.backward();
    }

    /// <summary>Every element within tolerance times the largest magnitude of what LibTorch has.</summary>
    /// <param name="floor">Takes the place of a smaller magnitude: for gradients that are zero but for rounding.</param>
    public static void Close(torch.Tensor expected, Tensor actual, double tolerance, string what, double floor = 1e-12)
    {
        var e = Values(expected);
        var a = actual.ToArray();
        Assert.Equal(e.Length, a.Length);
        var within = tolerance * Math.Max(floor, Largest(e));
        for (var i = 0; i < e.Length; i++)
            if (!(Math.Abs(e[i] - a[i]) <= within))
                Assert.Fail($"{what}: element {i} is {a[i]:R}, LibTorch has {e[i]:R} (tolerance {within:g3}, off by {Math.Abs(e[i] - a[i]):g3})");
    }

    /// <summary>A tensor as a whole: ‖actual − expected‖ within tolerance·‖expected‖.</summary>
    public static void Near(torch.Tensor expected, Tensor actual, double tolerance, string what)
    {
        var off = Off(expected, actual, 1e-12);
        Assert.True(off <= tolerance, $"{what}: off by {off:g3} of its norm, {tolerance:g3} allowed");
        TestContext.Current.TestOutputHelper?.WriteLine($"{what}: off by {off:g3} of its norm");
    }

    /// <summary>‖actual − expected‖ / ‖expected‖; <paramref name="floor"/> is the least that an element's root mean square is taken for.</summary>
    public static double Off(torch.Tensor expected, Tensor actual, double floor)
    {
        using var scope = torch.NewDisposeScope();
        var e = expected.detach();
        Assert.Equal(e.numel(), actual.Count);
        var a = torch.tensor(actual.ToArray(), e.shape).to(torch.float64);
        var norm = Math.Max(e.norm().item<double>(), floor * Math.Sqrt(actual.Count));
        return (a - e).norm().item<double>() / norm;
    }

    /// <summary>The elements in logical order.</summary>
    public static double[] Values(torch.Tensor x) => x.detach().contiguous().data<double>().ToArray();

    /// <summary>Largest magnitude, 0 of none.</summary>
    public static double Largest(double[] values) => values.Length == 0 ? 0 : values.Max(Math.Abs);

    /// <summary>An F64 tensor of LibTorch with these values.</summary>
    public static torch.Tensor Of(float[] values, params int[] shape) =>
        torch.tensor(Array.ConvertAll(values, v => (double)v), [.. shape.Select(d => (long)d)]);

    /// <summary>An I64 vector of LibTorch.</summary>
    public static torch.Tensor Ids(params int[] ids) => torch.tensor(Array.ConvertAll(ids, i => (long)i));

    /// <summary>An I32 vector of ours beside <paramref name="x"/>.</summary>
    public static Tensor Ids(Tensor x, params int[] ids) => Tensor.From(x.Device, ids, new Shape(ids.Length));

    /// <summary>Reproducible standard normal values.</summary>
    public static float[] Normal(int count, uint seed, float scale = 1f)
    {
        var random = new Philox(4711, seed);
        return [.. Enumerable.Range(0, count).Select(i => random.Normal((ulong)i) * scale)];
    }

    /// <summary>A random input.</summary>
    public static (float[] Values, int[] Shape) Input(uint seed, params int[] shape) =>
        (Normal(shape.Aggregate(1, (a, b) => a * b), seed), shape);

    /// <summary>NHWC to NCHW.</summary>
    public static torch.Tensor Nchw(torch.Tensor x) => x.permute(0, 3, 1, 2);

    /// <summary>NCHW to NHWC.</summary>
    public static torch.Tensor Nhwc(torch.Tensor x) => x.permute(0, 2, 3, 1);

    /// <summary>(R, S, C, K) to PyTorch's (K, C, R, S).</summary>
    public static torch.Tensor Kcrs(torch.Tensor w) => w.permute(3, 2, 0, 1);
}
