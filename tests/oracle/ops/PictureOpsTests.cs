using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

public class PictureOpsTests
{
    [Theory]
    [Trait("op", nameof(Ops.BatchNorm))]
    [InlineData(2, 24, 12, 8)]
    [InlineData(3, 7, 5, 19)]
    [InlineData(4, 16, 8, 256)]
    public void BatchNorm(int n, int h, int w, int c)
    {
        var (mean, variance) = (Torch.Normal(c, 8), Array.ConvertAll(Torch.Normal(c, 9), v => 0.5f + v * v));
        using var scope = torch.NewDisposeScope();
        foreach (var training in new[] { true, false })
            foreach (var (relu, residual) in new[] { (false, false), (true, false), (false, true), (true, true) })
            {
                using var device = new CpuDevice();
                var (m, v) = (Tensor.From(device, mean, new(c)), Tensor.From(device, variance, new(c)));
                var (tm, tv) = (Torch.Of(mean, c), Torch.Of(variance, c));
                (float[], int[])[] inputs = [Torch.Input(1, n, h, w, c), Torch.Input(2, c), Torch.Input(3, c), Torch.Input(4, n, h, w, c)];
                Torch.Same(
                    t => Ops.BatchNorm(t[0], t[1], t[2], m, v, training, relu: relu, residual: residual ? t[3] : null),
                    t =>
                    {
                        var y = Torch.Nhwc(functional.batch_norm(Torch.Nchw(t[0]), tm, tv, t[1], t[2], training));
                        if (residual) y += t[3];
                        return relu ? functional.relu(y) : y;
                    },
                    residual ? inputs : inputs[..3]);
                Torch.Close(tm, m, 1e-6, "running mean");
                Torch.Close(tv, v, 1e-6, "running variance");
            }
    }

    [Theory]
    [Trait("op", nameof(Ops.AvgPool2d)), Trait("op", nameof(Ops.AdaptiveAvgPool2d))]
    [Trait("op", nameof(Ops.MaxPool2d))]
    [InlineData(2, 24, 12, 16)]
    [InlineData(1, 9, 7, 19)]
    public void Pooling(int n, int h, int w, int c)
    {
        (float[], int[])[] x = [Torch.Input(1, n, h, w, c)];
        Torch.Same(t => Ops.AvgPool2d(t[0], 2), t => Torch.Nhwc(functional.avg_pool2d(Torch.Nchw(t[0]), 2)), x, 1e-6, 1e-6);
        Torch.Same(t => Ops.AvgPool2d(t[0], 3), t => Torch.Nhwc(functional.avg_pool2d(Torch.Nchw(t[0]), 3)), x, 1e-6, 1e-6);
        Torch.Same(t => Ops.AdaptiveAvgPool2d(t[0], 5, 4), t => Torch.Nhwc(functional.adaptive_avg_pool2d(Torch.Nchw(t[0]), new long[] { 5, 4 })), x, 1e-6, 1e-6);
        Torch.Same(t => Ops.MaxPool2d(t[0], 2), t => Torch.Nhwc(functional.max_pool2d(Torch.Nchw(t[0]), 2)), x, 0, 1e-6);
        Torch.Same(t => Ops.MaxPool2d(t[0], 3, 2, 1), t => Torch.Nhwc(functional.max_pool2d(Torch.Nchw(t[0]), 3, 2, 1)), x, 0, 1e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.UpsampleBilinear2d)), Trait("op", nameof(Ops.UpsampleNearest2d))]
    [InlineData(2, 6, 3, 16, 12, 12)]
    [InlineData(1, 9, 7, 19, 13, 5)]
    public void Upsampling(int n, int h, int w, int c, int outH, int outW)
    {
        (float[], int[])[] x = [Torch.Input(1, n, h, w, c)];
        // Both take a pixel's place in F64 or F32 as they like; the weights differ by 1e-6 at these sizes.
        Torch.Same(
            t => Ops.UpsampleBilinear2d(t[0], outH, outW),
            t => Torch.Nhwc(functional.interpolate(Torch.Nchw(t[0]), [outH, outW], mode: torch.InterpolationMode.Bilinear, align_corners: false)), x, 2e-6, 2e-6);
        Torch.Same(
            t => Ops.UpsampleNearest2d(t[0], 4),
            t => Torch.Nhwc(functional.interpolate(Torch.Nchw(t[0]), [4 * h, 4 * w], mode: torch.InterpolationMode.Nearest)), x, 0, 1e-6);
    }

    [Theory]
    [Trait("op", nameof(Ops.ScaleChannels)), Trait("op", nameof(Ops.MeanPixels)), Trait("op", nameof(Ops.MaxPixels))]
    [InlineData(1, 1, 1, 1)]
    [InlineData(2, 9, 7, 19)]
    [InlineData(3, 24, 12, 64)]
    public void Channels(int n, int h, int w, int c)
    {
        (float[], int[])[] x = [Torch.Input(1, n, h, w, c), Torch.Input(2, n, c)];
        Torch.Same(t => Ops.ScaleChannels(t[0], t[1]), t => t[0] * t[1].view(n, 1, 1, c), x, 2e-7, 5e-6);
        Torch.Same(t => Ops.MeanPixels(t[0]), t => functional.adaptive_avg_pool2d(Torch.Nchw(t[0]), 1).view(n, c), x[..1], 2e-6, 1e-6);
        Torch.Same(t => Ops.MaxPixels(t[0]), t => Torch.Nchw(t[0]).amax([2, 3]), x[..1], 0, 0);
    }

    [Fact]
    [Trait("op", nameof(Ops.ToGray))]
    public void Gray()
    {
        float[] mean = [0.357f, 0.323f, 0.328f], std = [0.252f, 0.242f, 0.239f];
        using var device = new CpuDevice();
        using var step = device.BeginStep();
        using var scope = torch.NewDisposeScope();
        var x = Torch.Normal(2 * 9 * 7 * 3, 1);
        var ours = Ops.ToGray(Tensor.From(device, x, new Shape(2, 9, 7, 3)), mean, std);
        Torch.Close(TorchLosses.ToGray(Torch.Of(x, 2, 9, 7, 3), mean, std), ours, 1e-6, "gray");
    }
}
