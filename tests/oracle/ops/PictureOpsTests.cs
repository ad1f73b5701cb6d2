using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class PictureOpsTests
{
    [Theory]
    [InlineData(2, 24, 12, 8)]
    [InlineData(3, 7, 5, 19)]
    [InlineData(4, 16, 8, 256)]
    public void BatchNorm(int n, int h, int w, int c)
    {
        var (mean, variance) = (Torch.Normal(c, 8), Array.ConvertAll(Torch.Normal(c, 9), v => 0.5f + v * v));
        foreach (var training in new[] { true, false })
        {
            using var device = new CpuDevice();
            var (m, v) = (Tensor.From(device, mean, new(c)), Tensor.From(device, variance, new(c)));
            var (tm, tv) = (torch.tensor(mean), torch.tensor(variance));
            Torch.Same(
                t => Ops.BatchNorm(t[0], t[1], t[2], m, v, training, relu: true, residual: t[3]),
                t => functional.relu(Torch.Nhwc(functional.batch_norm(Torch.Nchw(t[0]), tm, tv, t[1], t[2], training)) + t[3]),
                [Torch.Input(1, n, h, w, c), Torch.Input(2, c), Torch.Input(3, c), Torch.Input(4, n, h, w, c)]);
            Torch.Close(tm, m, 1e-5, "running mean");
            Torch.Close(tv, v, 1e-5, "running variance");
        }
    }

    [Theory]
    [InlineData(2, 24, 12, 16)]
    [InlineData(1, 9, 7, 19)]
    public void Pooling(int n, int h, int w, int c)
    {
        (float[], int[])[] x = [Torch.Input(1, n, h, w, c)];
        Torch.Same(t => Ops.AvgPool2d(t[0], 2), t => Torch.Nhwc(functional.avg_pool2d(Torch.Nchw(t[0]), 2)), x, 1e-6);
        Torch.Same(t => Ops.AdaptiveAvgPool2d(t[0], 5, 4), t => Torch.Nhwc(functional.adaptive_avg_pool2d(Torch.Nchw(t[0]), new long[] { 5, 4 })), x, 1e-6);
        Torch.Same(t => Ops.MaxPool2d(t[0], 3, 2, 1), t => Torch.Nhwc(functional.max_pool2d(Torch.Nchw(t[0]), 3, 2, 1)), x, 1e-6);
        Torch.Same(t => Ops.GlobalMaxPool2d(t[0]), t => Torch.Nchw(t[0]).amax(2, 3), x, 1e-6);
    }

    [Theory]
    [InlineData(2, 6, 3, 16, 12, 12)]
    [InlineData(1, 9, 7, 19, 13, 5)]
    public void Upsampling(int n, int h, int w, int c, int outH, int outW)
    {
        (float[], int[])[] x = [Torch.Input(1, n, h, w, c)];
        Torch.Same(
            t => Ops.UpsampleBilinear2d(t[0], outH, outW),
            t => Torch.Nhwc(functional.interpolate(Torch.Nchw(t[0]), [outH, outW], mode: torch.InterpolationMode.Bilinear, align_corners: false)), x, 1e-5);
        Torch.Same(
            t => Ops.UpsampleNearest2d(t[0], 4),
            t => Torch.Nhwc(functional.interpolate(Torch.Nchw(t[0]), [4 * h, 4 * w], mode: torch.InterpolationMode.Nearest)), x, 1e-6);
    }
}
