using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>The same op with the same numbers in LibTorch: values and gradients side by side.</summary>
internal static class Torch
{
    /// <summary>Compares an op's output and the gradients of all float inputs with LibTorch's, in F32.</summary>
    /// <param name="op">Ours.</param>
    /// <param name="peer">The same with LibTorch.</param>
    /// <param name="inputs">Values and shapes, as ours takes them.</param>
    /// <param name="tolerance">Relative to the largest magnitude (at least 1): two F32 programs that add in different orders.</param>
    public static void Same(Func<Tensor[], Tensor> op, Func<torch.Tensor[], torch.Tensor> peer, (float[] Values, int[] Shape)[] inputs, double tolerance = 1e-4)
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        var ours = inputs.Select(i => Tensor.From(device, i.Values, new Shape(i.Shape)).WithGrad()).ToArray();
        var theirs = inputs.Select(i => torch.tensor(i.Values, [.. i.Shape.Select(d => (long)d)], requires_grad: true)).ToArray();
        var y = op(ours).Keep();
        var t = peer(theirs);
        Close(t, y, tolerance, "forward");
        var weights = Normal((int)y.Count, 77);
        Ops.Sum(Ops.Multiply(y, Tensor.From(device, weights, y.Shape))).Backward();
        (t.contiguous() * torch.tensor(weights, t.shape)).sum().backward();
        for (var k = 0; k < ours.Length; k++)
        {
            Assert.True(ours[k].Grad != null || theirs[k].grad is null, $"input {k}: no gradient from ours");
            if (theirs[k].grad is { } g) Close(g, ours[k].Grad!, tolerance * 5, $"gradient of input {k}");
        }
    }

    /// <summary>Every element within tolerance·max(1, largest magnitude).</summary>
    public static void Close(torch.Tensor expected, Tensor actual, double tolerance, string what)
    {
        var e = expected.detach().contiguous().data<float>().ToArray();
        var a = actual.ToArray();
        Assert.Equal(e.Length, a.Length);
        var scale = Math.Max(1.0, e.Length == 0 ? 0 : e.Max(v => Math.Abs((double)v)));
        for (var i = 0; i < e.Length; i++)
            if (!(Math.Abs((double)e[i] - a[i]) <= tolerance * scale))
                Assert.Fail($"{what}: element {i} is {a[i]:R}, LibTorch has {e[i]:R} (tolerance {tolerance * scale:g3})");
    }

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
