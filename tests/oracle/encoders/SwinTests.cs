using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

public class SwinTests
{
    /// <summary>Shifted and not, on maps that windows fill and on those that are padded; a picture now and then goes without.</summary>
    [Theory]
    [InlineData(14, 7, 0, 0f)]
    [InlineData(14, 14, 3, 0f)]
    [InlineData(16, 8, 0, 0f)]
    [InlineData(16, 8, 3, 0.4f)]
    [InlineData(8, 4, 3, 0.4f)]
    public void A_block_passes_the_gradient_of_its_input(int height, int width, int shift, float skip)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var block = new SwinBlock(64, 2, 7, shift, skip);
        using var store = ParameterStore.Materialize(device, block, seed: 3);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        var maps = Torch.Normal(4 * height * width * 64, 1);
        var t = Torch.Of(maps, 4, height, width, 64).requires_grad_();
        var expected = new TorchSwin(state, new SwinConfig()).Block(t, "", 2, shift, skip, new TorchDropout(7, 2, 0));

        using var step = device.BeginStep();
        var x = Tensor.From(device, maps, new Shape(4, height, width, 64)).WithGrad();
        var y = block.Forward(x, new DropoutStream(7, 2)).Keep();
        Torch.Close(expected, y, 1e-5, "output");
        Torch.Backward(y, expected);
        Torch.Close(t.grad!, x.Grad!, 1e-4, "gradient of the input");
        state.SameGradients(1e-4);
    }

    [Theory]
    [InlineData(8, 4)]
    [InlineData(7, 4)]
    [InlineData(3, 5)]
    public void Merging_passes_the_gradient_of_its_input(int height, int width)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var merging = new PatchMerging(24);
        using var store = ParameterStore.Materialize(device, merging, seed: 3);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        var maps = Torch.Normal(3 * height * width * 24, 1);
        var t = Torch.Of(maps, 3, height, width, 24).requires_grad_();
        var expected = new TorchSwin(state, new SwinConfig()).Merge(t, "");

        using var step = device.BeginStep();
        var x = Tensor.From(device, maps, new Shape(3, height, width, 24)).WithGrad();
        var y = merging.Forward(x).Keep();
        Torch.Close(expected, y, 1e-5, "output");
        Torch.Backward(y, expected);
        Torch.Close(t.grad!, x.Grad!, 1e-4, "gradient of the input");
        state.SameGradients(1e-4);
    }

    /// <summary>All of a small one, maps of odd sizes among them: stage maps, embedding, every parameter's gradient.</summary>
    [Theory]
    [InlineData(64, 32, 0f)]
    [InlineData(48, 80, 0.3f)]
    public void Encodes_and_learns_as_in_LibTorch(int height, int width, float depth)
    {
        var config = new SwinConfig { Width = 16, Depths = [1, 2, 2, 1], Heads = [1, 2, 4, 4], Window = 4, StochasticDepth = depth };
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var encoder = config.Build(new ImageConfig { Height = height, Width = width }, 24);
        using var store = ParameterStore.Materialize(device, encoder, seed: 3);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        var pixels = Torch.Normal(3 * height * width * 3, 1);
        var peer = new TorchSwin(state, config);
        var stages = peer.Stages(Torch.Of(pixels, 3, height, width, 3), new TorchDropout(7, 2, 0));
        var expected = peer.Embed(stages[3]);

        using var step = device.BeginStep();
        var ours = encoder.Stages(Tensor.From(device, pixels, new Shape(3, height, width, 3)), VisualPass.Colour, new DropoutStream(7, 2));
        for (var s = 0; s < 4; s++) Torch.Close(stages[s], ours[s], 2e-5, $"F{s + 1}");
        var embedding = encoder.Embed(ours[3]).Keep();
        Torch.Close(expected, embedding, 2e-5, "embedding");
        Torch.Backward(embedding, expected);
        state.SameGradients(2e-4);
    }
}
