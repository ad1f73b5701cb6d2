using Plip.Engine;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class NormTests
{
    [Theory]
    [Trait("op", nameof(Ops.LayerNorm))]
    [InlineData(3, 7, 0f, 1e-5f)]
    [InlineData(5, 768, 0f, 1e-12f)]
    [InlineData(64, 1023, 0f, 1e-5f)]
    public void LayerNorm(int rows, int cols, float shift, float eps) =>
        Torch.Same(
            t => Ops.LayerNorm(t[0], t[1], t[2], eps),
            t => functional.layer_norm(t[0], [cols], t[1], t[2], eps),
            [(Array.ConvertAll(Torch.Normal(rows * cols, 1), v => v + shift), [rows, cols]), Torch.Input(2, cols), Torch.Input(3, cols)], 2e-6, 1e-5);

    [Fact]
    [Trait("op", nameof(Ops.LayerNorm))]
    public void LayerNorm_far_from_zero() =>
        // |mean| = 1000 deviations: x itself is rounded to 6e-5 of a deviation, alike for both; a one-pass variance fails here.
        Torch.Same(
            t => Ops.LayerNorm(t[0], t[1], t[2]), t => functional.layer_norm(t[0], [333], t[1], t[2], 1e-5),
            [(Array.ConvertAll(Torch.Normal(9 * 333, 1), v => v + 1000), [9, 333]), Torch.Input(2, 333), Torch.Input(3, 333)], 1e-4, 1e-4);

    [Theory]
    [Trait("op", nameof(Ops.AddLayerNorm))]
    [InlineData(5, 768, 0f)]
    [InlineData(64, 1023, 0.1f)]
    public void AddLayerNorm(int rows, int cols, float p)
    {
        var random = new Philox(5, 9, 3);
        var kept = Enumerable.Range(0, rows * cols).Select(i => random.Uniform((ulong)i) >= p ? 1f : 0f).ToArray();
        Torch.Same(
            t => Ops.AddLayerNorm(t[0], t[1], t[2], t[3], 1e-12f, p, random),
            t => functional.layer_norm(t[0] + t[1] * Torch.Of(kept, rows, cols) / (1 - p), [cols], t[2], t[3], 1e-12),
            [Torch.Input(1, rows, cols), Torch.Input(2, rows, cols), Torch.Input(3, cols), Torch.Input(4, cols)], 2e-6, 1e-5);
    }

    [Theory]
    [Trait("op", nameof(Ops.Softmax)), Trait("op", nameof(Ops.LogSoftmax))]
    [InlineData(1, 1, 1f)]
    [InlineData(3, 7, 1f)]
    [InlineData(9, 1023, 3f)]
    [InlineData(5, 33, 100f)] // e^100 overflows unless the largest is taken off
    public void Softmax(int rows, int cols, float scale)
    {
        (float[], int[])[] x = [(Torch.Normal(rows * cols, 1, scale), [rows, cols])];
        // A nearly certain row has hardly any gradient: in p·(dy − Σ p·dy) the difference of terms of size 1 cancels.
        Torch.Same(t => Ops.Softmax(t[0]), t => functional.softmax(t[0], -1), x, 5e-6, 2e-5, floor: 0.005);
        Torch.Same(t => Ops.LogSoftmax(t[0]), t => functional.log_softmax(t[0], -1), x, 2e-6, 2e-5);
    }

    [Theory]
    [Trait("op", nameof(Ops.L2Normalize))]
    [InlineData(1, 2, 1f)]
    [InlineData(7, 19, 1f)]
    [InlineData(33, 768, 1e-3f)]
    public void L2Normalize(int rows, int cols, float scale) =>
        Torch.Same(
            t => Ops.L2Normalize(t[0]), t => functional.normalize(t[0], dim: -1),
            [(Torch.Normal(rows * cols, 1, scale), [rows, cols])], 1e-6, 1e-5);
}
