using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>The whole picture encoder, stem to head: outputs, gradients of all parameters, running statistics.</summary>
public class ModifiedResNetTests
{
    [Theory]
    [InlineData(ResNetHead.MaxLinear, true)]
    [InlineData(ResNetHead.MeanLinear, true)]
    [InlineData(ResNetHead.AttentionPool, true)]
    [InlineData(ResNetHead.MaxLinear, false)]
    public void Encodes_and_learns_as_in_LibTorch(ResNetHead head, bool training)
    {
        var image = new ImageConfig { Height = 64, Width = 32 };
        var config = new ModifiedResNetConfig { Layers = [2, 1, 1, 2], Width = 8, Head = head, Heads = 4, ZeroInitResidual = false };
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var encoder = config.Build(image, 24);
        using var store = ParameterStore.Materialize(device, encoder, seed: 3);
        TorchState.Shake(store, 0.1f);
        if (!training)
        {
            // Statistics that are not the identity: a training pass leaves some.
            using var before = device.BeginStep(recordGradients: false);
            encoder.Forward(Tensor.From(device, Torch.Normal(4 * 64 * 32 * 3, 9, 2f), new Shape(4, 64, 32, 3)));
            encoder.Eval();
        }
        var state = new TorchState(store);
        var pixels = Torch.Normal(4 * 64 * 32 * 3, 1);
        var peer = new TorchResNet(state, training: training);
        var stages = peer.Stages(Torch.Nchw(Torch.Of(pixels, 4, 64, 32, 3)), config.Layers);
        var expected = peer.Embed(stages[3], config);

        using var step = device.BeginStep();
        var ours = encoder.Stages(Tensor.From(device, pixels, new Shape(4, 64, 32, 3)));
        for (var s = 0; s < 4; s++) Torch.Close(Torch.Nhwc(stages[s]), ours[s], 2e-5, $"F{s + 1}");
        var embedding = encoder.Embed(ours[3]).Keep();
        Torch.Close(expected, embedding, 2e-5, "embedding");
        Torch.Backward(embedding, expected);
        state.SameGradients(2e-4);
        state.SameStatistics(1e-5);
    }

    [Theory]
    [InlineData(32, 8, 1)] // no shortcut convolution
    [InlineData(24, 8, 1)]
    [InlineData(32, 16, 2)]
    public void Bottleneck_passes_the_gradient_of_its_input(int channels, int planes, int stride)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var block = new Bottleneck(channels, planes, stride, zeroInit: false);
        using var store = ParameterStore.Materialize(device, block, seed: 3);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        var maps = Torch.Normal(3 * 12 * 6 * channels, 1);
        var t = Torch.Of(maps, 3, 12, 6, channels).requires_grad_();
        var expected = Torch.Nhwc(new TorchResNet(state).Bottleneck(Torch.Nchw(t), "", stride));

        using var step = device.BeginStep();
        var x = Tensor.From(device, maps, new Shape(3, 12, 6, channels)).WithGrad();
        var y = block.Forward(x, new StatisticsSets(0, 1)).Keep();
        Torch.Close(expected, y, 1e-5, "output");
        Torch.Backward(y, expected);
        Torch.Close(t.grad!, x.Grad!, 1e-4, "gradient of the input");
        state.SameGradients(1e-4);
        state.SameStatistics(1e-6);
    }
}
