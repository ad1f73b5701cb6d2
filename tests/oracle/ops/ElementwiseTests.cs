using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class ElementwiseTests
{
    // One rounding an element.
    private const double Exact = 2e-7;

    [Theory]
    [Trait("op", nameof(Ops.Add)), Trait("op", nameof(Ops.Subtract)), Trait("op", nameof(Ops.Multiply)), Trait("op", nameof(Ops.Affine))]
    [InlineData(1, 1)]
    [InlineData(3, 7)]
    [InlineData(5, 17, 33)]
    [InlineData(64, 1023)]
    public void Arithmetic(params int[] shape)
    {
        (float[], int[])[] two = [Torch.Input(1, shape), Torch.Input(2, shape)];
        Torch.Same(t => Ops.Add(t[0], t[1]), t => t[0] + t[1], two, Exact, Exact);
        Torch.Same(t => Ops.Subtract(t[0], t[1]), t => t[0] - t[1], two, Exact, Exact);
        Torch.Same(t => Ops.Multiply(t[0], t[1]), t => t[0] * t[1], two, Exact, Exact);
        Torch.Same(t => Ops.Affine(t[0], -1.75f, 0.25f), t => t[0] * -1.75 + 0.25, two[..1], Exact, Exact);
    }

    [Fact]
    [Trait("op", nameof(Ops.Multiply))]
    public void One_tensor_twice_gets_both_gradients() =>
        Torch.Same(t => Ops.Multiply(t[0], Ops.Add(t[0], t[0])), t => t[0] * (t[0] + t[0]), [Torch.Input(1, 5, 19)], 1e-6, 1e-6);

    [Fact]
    [Trait("op", nameof(Ops.WeightedSum)), Trait("op", nameof(Ops.Sum)), Trait("op", nameof(Ops.Mean))]
    public void Weighted_sum_of_losses() =>
        Torch.Same(
            t => Ops.WeightedSum([(Ops.Mean(t[0]), 1f), (Ops.Sum(t[1]), 0.02f), (Ops.Mean(Ops.Multiply(t[0], t[0])), 0.1f)]),
            t => t[0].mean() + 0.02 * t[1].sum() + 0.1 * (t[0] * t[0]).mean(),
            [Torch.Input(1, 5, 7), Torch.Input(2, 3)], 1e-6, 1e-6);

    [Theory]
    [Trait("op", nameof(Ops.Sum)), Trait("op", nameof(Ops.Mean)), Trait("op", nameof(Ops.SumRows))]
    [InlineData(1, 1)]
    [InlineData(7, 5)]
    [InlineData(300, 33)]
    [InlineData(700, 513)]
    public void Reductions(int rows, int cols)
    {
        // A mean well away from 0: sums of balanced noise would make the relative tolerance mean nothing.
        (float[], int[])[] x = [(Array.ConvertAll(Torch.Normal(rows * cols, 1), v => v + 1), [rows, cols])];
        Torch.Same(t => Ops.Sum(t[0]), t => t[0].sum(), x, 1e-6, 1e-6);
        Torch.Same(t => Ops.Mean(t[0]), t => t[0].mean(), x, 1e-6, 1e-6);
        Torch.Same(t => Ops.SumRows(t[0]), t => t[0].sum([0]), x, 5e-6, 1e-6);
    }

    [Fact]
    [Trait("op", nameof(Ops.BroadcastRows)), Trait("op", nameof(Ops.Full))]
    public void Broadcasts()
    {
        Torch.Same(t => Ops.BroadcastRows(t[0], new Shape(4, 70, 19)), t => t[0].expand(4, 70, 19), [Torch.Input(1, 19)], Exact, 5e-6);
        Torch.Same(
            t => Ops.Multiply(t[0], Ops.Full(t[0].Device, t[0].Shape, 2.5f)),
            t => t[0] * torch.full(t[0].shape, 2.5, torch.float64), [Torch.Input(1, 3, 19)], Exact, Exact);
    }

    [Theory]
    [Trait("op", nameof(Ops.Gelu)), Trait("op", nameof(Ops.Relu)), Trait("op", nameof(Ops.Sigmoid)), Trait("op", nameof(Ops.Tanh))]
    [InlineData(0.01f)]
    [InlineData(1f)]
    [InlineData(30f)] // far into the tails, where 1 − tanh² and Φ vanish
    public void Activations(float scale)
    {
        (float[], int[])[] x = [(Torch.Normal(37 * 29, 1, scale), [37, 29])];
        Torch.Same(t => Ops.Gelu(t[0]), t => functional.gelu(t[0]), x, 1e-6, 2e-6);
        Torch.Same(t => Ops.Relu(t[0]), t => functional.relu(t[0]), x, Exact, Exact);
        Torch.Same(t => Ops.Sigmoid(t[0]), t => torch.sigmoid(t[0]), x, 1e-6, 2e-6);
        Torch.Same(t => Ops.Tanh(t[0]), t => torch.tanh(t[0]), x, 1e-6, 2e-6);
    }
}
