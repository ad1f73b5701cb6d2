using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>Ops that move or convert elements: the numbers must be equal, not close.</summary>
public class ShapesTests
{
    [Theory]
    [Trait("op", nameof(Ops.Concat)), Trait("op", nameof(Ops.Slice))]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(-1)]
    public void Concat_and_slice(int axis)
    {
        int[] Of(int extent)
        {
            int[] dims = [4, 5, 6];
            dims[axis < 0 ? 3 + axis : axis] = extent;
            return dims;
        }
        (float[], int[])[] three = [Torch.Input(1, Of(3)), Torch.Input(2, Of(1)), Torch.Input(3, Of(7))];
        Torch.Same(t => Ops.Concat(t, axis), t => torch.cat(t, axis), three, 0, 0);
        Torch.Same(t => Ops.Slice(t[0], axis, 2, 4), t => t[0].narrow(axis < 0 ? 3 + axis : axis, 2, 4), three[2..], 0, 0);
    }

    [Fact]
    [Trait("op", nameof(Ops.Reshape))]
    public void Reshape() =>
        Torch.Same(t => Ops.Reshape(t[0], 4, -1, 3), t => t[0].reshape(4, -1, 3), [Torch.Input(1, 6, 10)], 0, 0);

    [Fact]
    [Trait("op", nameof(Ops.ArgMax))]
    public void ArgMax()
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        foreach (var (rows, cols) in new[] { (1, 1), (7, 5), (33, 1023) })
        {
            var x = Torch.Normal(rows * cols, 1);
            var ours = Ops.ArgMax(Tensor.From(device, x, new Shape(rows, cols))).ToArray<int>();
            Assert.Equal(Torch.Of(x, rows, cols).argmax(1).data<long>().ToArray(), ours.Select(i => (long)i));
        }
    }

    [Fact]
    [Trait("op", nameof(Ops.Cast))]
    public void Rounding_to_half_and_bfloat()
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        // Up to 7e4 (past F16's largest, 65504) and down to its subnormals; and ties between neighbours.
        float[] values = [.. Torch.Normal(500, 1), .. Torch.Normal(500, 2, 2e4f), .. Torch.Normal(500, 3, 1e-6f), 1 + 1f / 256, 1 + 3f / 256, 1 + 1f / 2048, 1 + 3f / 2048, 0f, -0f, 1e30f];
        var x = Tensor.From(device, values, new Shape(values.Length));
        foreach (var (ours, theirs) in new[] { (DType.BF16, torch.bfloat16), (DType.F16, torch.float16) })
        {
            var expected = torch.tensor(values).to(theirs).to(torch.float32).data<float>().ToArray();
            Assert.Equal(expected, Ops.Cast(Ops.Cast(x, ours), DType.F32).ToArray());
        }
    }

    [Fact]
    [Trait("op", nameof(Ops.Cast))]
    public void Gradient_passes_a_bfloat()
    {
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        var values = Torch.Normal(100, 1);
        var x = Tensor.From(device, values, new Shape(100)).WithGrad();
        var t = torch.tensor(values, requires_grad: true);
        var y = Ops.Cast(Ops.Cast(x, DType.BF16), DType.F32);
        Ops.Sum(Ops.Multiply(y, y)).Backward();
        var u = t.to(torch.bfloat16).to(torch.float32);
        (u * u).sum().backward();
        Assert.Equal(t.grad!.data<float>().ToArray(), x.Grad!.ToArray());
    }
}
