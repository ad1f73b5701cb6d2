using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class ConvolutionTests
{
    [Theory]
    [Trait("op", nameof(Ops.Conv2d))]
    [InlineData(2, 96, 48, 3, 3, 8, 2, 1)]
    [InlineData(2, 24, 12, 32, 3, 32, 1, 1)]
    [InlineData(3, 12, 6, 64, 1, 128, 1, 0)]
    [InlineData(1, 9, 7, 5, 5, 19, 3, 2)]
    public void Conv2d(int n, int h, int w, int c, int r, int k, int stride, int padding) =>
        Torch.Same(
            t => Ops.Conv2d(t[0], t[1], t[2], stride, padding),
            t => Torch.Nhwc(functional.conv2d(Torch.Nchw(t[0]), Torch.Kcrs(t[1]), t[2], strides: [stride, stride], padding: [padding, padding])),
            [Torch.Input(1, n, h, w, c), Torch.Input(2, r, r, c, k), Torch.Input(3, k)]);

    [Theory]
    [Trait("op", nameof(Ops.ConvTranspose2d))]
    [InlineData(2, 8, 4, 64, 3, 16, 2, 1, 1)]
    [InlineData(1, 5, 5, 7, 3, 3, 1, 1, 0)]
    [InlineData(2, 3, 4, 20, 2, 33, 2, 0, 0)]
    public void ConvTranspose2d(int n, int h, int w, int k, int r, int c, int stride, int padding, int extra) =>
        Torch.Same(
            t => Ops.ConvTranspose2d(t[0], t[1], t[2], stride, padding, extra),
            t => Torch.Nhwc(functional.conv_transpose2d(Torch.Nchw(t[0]), Torch.Kcrs(t[1]), t[2], strides: [stride, stride], padding: [padding, padding], output_padding: [extra, extra])),
            [Torch.Input(1, n, h, w, k), Torch.Input(2, r, r, c, k), Torch.Input(3, c)]);

    /// <summary>Two kinds of pictures in one batch, each with statistics of its own.</summary>
    [Theory]
    [Trait("op", nameof(Ops.Conv2dBatchNorm))]
    [InlineData(4, 12, 6, 16, 3, 32, 1, 1)]
    [InlineData(2, 9, 7, 5, 1, 19, 1, 0)]
    public void Conv2dBatchNorm(int n, int h, int w, int c, int r, int k, int stride, int padding)
    {
        using var scope = torch.NewDisposeScope();
        using var device = new CpuDevice();
        RunningStatistics New() => new(Tensor.Zeros(device, new(k)), Tensor.From(device, Enumerable.Repeat(1f, k).ToArray(), new(k)));
        var ours = new[] { New(), New() };
        var theirs = Enumerable.Range(0, 2).Select(_ => (Torch.Of(new float[k], k), Torch.Of([.. Enumerable.Repeat(1f, k)], k))).ToArray();
        Torch.Same(
            t => Ops.Conv2dBatchNorm(t[0], t[1], t[2], t[3], ours, training: true, stride, padding, relu: true),
            t =>
            {
                var maps = functional.conv2d(Torch.Nchw(t[0]), Torch.Kcrs(t[1]), strides: [stride, stride], padding: [padding, padding]).chunk(2, 0);
                var normalised = maps.Select((y, g) => functional.batch_norm(y, theirs[g].Item1, theirs[g].Item2, t[2], t[3], training: true)).ToArray();
                return functional.relu(Torch.Nhwc(torch.cat(normalised, 0)));
            },
            [Torch.Input(1, n, h, w, c), Torch.Input(2, r, r, c, k), Torch.Input(3, k), Torch.Input(4, k)]);
        for (var g = 0; g < 2; g++)
        {
            Torch.Close(theirs[g].Item1, ours[g].Mean, 1e-6, "running mean");
            Torch.Close(theirs[g].Item2, ours[g].Variance, 1e-5, "running variance");
        }
    }
}
