using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class LossTests
{
    [Theory]
    [Trait("op", nameof(Ops.CrossEntropy))]
    [InlineData(1, 2, 1f)]
    [InlineData(9, 17, 1f)]
    [InlineData(40, 3000, 3f)]
    [InlineData(6, 33, 100f)]
    public void CrossEntropy(int rows, int classes, float scale)
    {
        var random = new Philox(6, 1);
        foreach (var ignored in new[] { false, true })
        {
            // Every third row does not count, but for the first.
            var labels = Enumerable.Range(0, rows).Select(t => ignored && t % 3 == 1 ? -100 : random.Next((ulong)t, classes)).ToArray();
            Torch.Same(
                t => Ops.CrossEntropy(t[0], Torch.Ids(t[0], labels)),
                t => functional.cross_entropy(t[0], Torch.Ids(labels), ignore_index: -100),
                [(Torch.Normal(rows * classes, 1, scale), [rows, classes])], 2e-6, 1e-5);
        }
    }

    /// <summary>In one part, and at BERT's vocabulary in the parts that the op itself cuts it into.</summary>
    [Theory]
    [Trait("op", nameof(Ops.LinearCrossEntropy))]
    [InlineData(9, 16, 17)]
    [InlineData(150, 8, 30522)]
    public void LinearCrossEntropy(int rows, int width, int classes)
    {
        var random = new Philox(6, 2);
        var labels = Enumerable.Range(0, rows).Select(t => t % 3 == 1 ? -100 : random.Next((ulong)t, classes)).ToArray();
        Torch.Same(
            t => Ops.LinearCrossEntropy(t[0], t[1], t[2], Torch.Ids(t[0], labels)),
            t => functional.cross_entropy(functional.linear(t[0], t[1], t[2]), Torch.Ids(labels), ignore_index: -100),
            [Torch.Input(1, rows, width), Torch.Input(2, classes, width), Torch.Input(3, classes)], 2e-6, 2e-5);
    }

    [Theory]
    [Trait("op", nameof(Ops.EuclideanLoss))]
    [InlineData(1, 2, 2, 1)]
    [InlineData(3, 5, 7, 3)]
    [InlineData(4, 64, 33, 3)]
    public void Euclidean(params int[] shape)
    {
        var (pred, target) = Pictures(shape);
        Torch.Same(t => Ops.EuclideanLoss(t[0], t[1]), t => TorchLosses.Euclidean(t[0], t[1]), [pred, target], 2e-6, 5e-6);
        Torch.Same(t => Ops.EuclideanLoss(t[0], t[1], EuclideanReduction.MeanSquare), t => functional.mse_loss(t[0], t[1]), [pred, target], 2e-6, 5e-6);
        Torch.Same(
            t => Ops.EuclideanLoss(t[0], t[1], EuclideanReduction.SumSquare),
            t => functional.mse_loss(t[0], t[1], Reduction.Sum) / shape[0], [pred, target], 2e-6, 5e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.ManhattanLoss))]
    [InlineData(1, 2, 2, 1)]
    [InlineData(3, 5, 7, 3)]
    [InlineData(4, 64, 33, 3)]
    public void Manhattan(params int[] shape)
    {
        var (pred, target) = Pictures(shape);
        Torch.Same(t => Ops.ManhattanLoss(t[0], t[1], ManhattanReduction.Mean), t => functional.l1_loss(t[0], t[1]), [pred, target], 2e-6, 2e-6);
        Torch.Same(t => Ops.ManhattanLoss(t[0], t[1]), t => functional.l1_loss(t[0], t[1], Reduction.Sum) / shape[0], [pred, target], 2e-6, 2e-6);
    }

    [Fact]
    [Trait("op", nameof(Ops.EuclideanLoss))]
    public void A_picture_without_error_has_no_gradient()
    {
        var (pred, target) = Pictures([3, 5, 7, 3]);
        Array.Copy(target.Values, pred.Values, 5 * 7 * 3);
        Torch.Same(t => Ops.EuclideanLoss(t[0], t[1]), t => TorchLosses.Euclidean(t[0], t[1]), [pred, target], 2e-6, 5e-6);
    }

    private static ((float[] Values, int[] Shape) Pred, (float[] Values, int[] Shape) Target) Pictures(int[] shape) =>
        (Torch.Input(1, shape), Torch.Input(2, shape));
}
