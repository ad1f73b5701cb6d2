using Plip.Engine;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class MatMulTests
{
    [Theory]
    [Trait("op", nameof(Ops.MatMul))]
    [CombinatorialShapes]
    public void Every_transpose_and_batch(int batch, int m, int n, int k, bool transA, bool transB)
    {
        int[] Of(int rows, int cols) => batch == 0 ? [rows, cols] : [batch, rows, cols];
        Torch.Same(
            t => Ops.MatMul(t[0], t[1], transA, transB),
            t => (transA ? t[0].transpose(-2, -1) : t[0]).matmul(transB ? t[1].transpose(-2, -1) : t[1]),
            [Torch.Input(1, transA ? Of(k, m) : Of(m, k)), Torch.Input(2, transB ? Of(n, k) : Of(k, n))], 2e-6, 5e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.Linear))]
    [InlineData(1, 1, 1)]
    [InlineData(7, 5, 3)]
    [InlineData(129, 65, 33)]
    [InlineData(40, 300, 257)]
    public void Linear(int rows, int inputs, int outputs)
    {
        (float[], int[])[] all = [Torch.Input(1, rows, inputs), Torch.Input(2, outputs, inputs), Torch.Input(3, outputs)];
        Torch.Same(t => Ops.Linear(t[0], t[1], t[2]), t => functional.linear(t[0], t[1], t[2]), all, 2e-6, 5e-6);
        Torch.Same(t => Ops.Linear(t[0], t[1]), t => functional.linear(t[0], t[1]), all[..2], 2e-6, 5e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.LinearGelu))]
    [InlineData(7, 5, 3)]
    [InlineData(129, 65, 33)]
    [InlineData(201, 800, 170)] // a sum over two stretches of K, and weights packed by task
    public void Linear_and_GELU(int rows, int inputs, int outputs)
    {
        (float[], int[])[] all = [Torch.Input(1, rows, inputs), Torch.Input(2, outputs, inputs), Torch.Input(3, outputs)];
        Torch.Same(t => Ops.LinearGelu(t[0], t[1], t[2]), t => functional.gelu(functional.linear(t[0], t[1], t[2])), all, 2e-6, 5e-6);
        Torch.Same(t => Ops.LinearGelu(t[0], t[1]), t => functional.gelu(functional.linear(t[0], t[1])), all[..2], 2e-6, 5e-6);
    }

    [Fact]
    [Trait("op", nameof(Ops.Linear))]
    public void Linear_over_the_last_of_three_axes() =>
        Torch.Same(
            t => Ops.Linear(t[0], t[1], t[2]), t => functional.linear(t[0], t[1], t[2]),
            [Torch.Input(1, 3, 5, 17), Torch.Input(2, 9, 17), Torch.Input(3, 9)], 2e-6, 5e-6);
}

/// <summary>Ragged products, alone and batched, in the four ways of transposing.</summary>
internal sealed class CombinatorialShapesAttribute : Xunit.v3.DataAttribute
{
    private static readonly (int Batch, int M, int N, int K)[] Shapes = [(0, 1, 1, 1), (0, 7, 5, 3), (0, 65, 33, 129), (0, 20, 300, 257), (3, 13, 17, 31)];

    public override bool SupportsDiscoveryEnumeration() => true;

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(System.Reflection.MethodInfo testMethod, Xunit.Sdk.DisposalTracker disposalTracker)
    {
        bool[] both = [false, true];
        return new([.. from s in Shapes from a in both from b in both select new TheoryDataRow(s.Batch, s.M, s.N, s.K, a, b)]);
    }
}
