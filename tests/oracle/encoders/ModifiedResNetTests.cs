using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>The whole picture encoder, stem to head, against LibTorch: outputs and the gradient of every parameter.</summary>
public class ModifiedResNetTests
{
    [Theory]
    [InlineData(ResNetHead.MaxLinear)]
    [InlineData(ResNetHead.AttentionPool)]
    public void Encodes_and_learns_as_in_LibTorch(ResNetHead head)
    {
        var image = new ImageConfig { Height = 64, Width = 32 };
        var config = new ModifiedResNetConfig { Layers = [2, 1, 1, 2], Width = 8, Head = head, Heads = 4, ZeroInitResidual = false };
        using var device = new CpuDevice();
        var encoder = config.Build(image, 24);
        using var store = ParameterStore.Materialize(device, encoder, seed: 3);
        var state = new TorchState(store);
        using var scope = torch.NewDisposeScope();
        var pixels = Torch.Normal(4 * 64 * 32 * 3, 1);
        var peer = new TorchResNet(state);
        var stages = peer.Stages(Torch.Nchw(torch.tensor(pixels, [4, 64, 32, 3])), config.Layers);
        var expected = head == ResNetHead.MaxLinear
            ? functional.linear(stages[3].amax([2, 3]), state["head.weight"], state["head.bias"])
            : peer.AttentionPool(stages[3], config.Heads);

        using var step = device.BeginStep();
        var ours = encoder.Stages(Tensor.From(device, pixels, new Shape(4, 64, 32, 3)));
        for (var s = 0; s < 4; s++) Torch.Close(Torch.Nhwc(stages[s]), ours[s], 1e-4, $"F{s + 1}");
        var embedding = encoder.Embed(ours[3]).Keep();
        Torch.Close(expected, embedding, 1e-4, "embedding");

        var weights = Torch.Normal(4 * 24, 2);
        Ops.Sum(Ops.Multiply(embedding, Tensor.From(device, weights, embedding.Shape))).Backward();
        (expected * torch.tensor(weights, [4, 24])).sum().backward();
        state.SameGradients(1e-3);
    }
}
