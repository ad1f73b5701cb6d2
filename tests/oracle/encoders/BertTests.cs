using Plip.Encoders;
using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>The text encoder over packed sequences: outputs, and the gradients of all parameters.</summary>
public class BertTests
{
    private static readonly int[] Offsets = [0, 3, 15, 16, 24];

    [Theory]
    [InlineData(TextPooling.Mean, 0f)]
    [InlineData(TextPooling.Pooler, 0f)]
    [InlineData(TextPooling.Mean, 0.1f)]
    public void Encodes_and_learns_as_in_LibTorch(TextPooling pooling, float dropout)
    {
        var config = Config() with { Pooling = pooling, Dropout = dropout };
        var random = new Philox(5, 6);
        var ids = Enumerable.Range(0, Offsets[^1]).Select(i => random.Next((ulong)i, config.VocabularySize)).ToArray();
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var bert = new Bert(config);
        using var store = ParameterStore.Materialize(device, bert, seed: 4);
        TorchState.Shake(store, 0.2f);
        var state = new TorchState(store);
        var peer = new TorchBert(state, config);
        var hidden = peer.Hidden(ids, Offsets, new TorchDropout(7, 2, dropout));
        var expected = peer.Pool(hidden, Offsets);

        using var step = device.BeginStep();
        var text = PackedText.From(device, ids, Offsets);
        var ours = bert.Forward(text, new DropoutStream(7, 2));
        Torch.Close(hidden, ours, 1e-5, "hidden states");
        var embedding = bert.Pool(ours, text).Keep();
        Torch.Close(expected, embedding, 1e-5, "embedding");
        Torch.Backward(embedding, expected);
        state.SameGradients(1e-4);
    }

    [Fact]
    public void One_layer_passes_the_gradient_of_its_input()
    {
        var config = Config();
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var layer = new BertLayer(config.Width, config.Heads, 4 * config.Width, 0);
        using var store = ParameterStore.Materialize(device, layer, seed: 4);
        TorchState.Shake(store, 0.2f);
        var state = new TorchState(store);
        var tokens = Torch.Normal(Offsets[^1] * config.Width, 3);
        var t = Torch.Of(tokens, Offsets[^1], config.Width).requires_grad_();
        var expected = new TorchBert(state, config).Layer(t, "", Offsets, new TorchDropout(0, 0, 0));

        using var step = device.BeginStep();
        var x = Tensor.From(device, tokens, new Shape(Offsets[^1], config.Width)).WithGrad();
        var y = layer.Forward(x, Torch.Ids(x, Offsets), new DropoutStream(0, 0)).Keep();
        Torch.Close(expected, y, 1e-5, "output");
        Torch.Backward(y, expected);
        Torch.Close(t.grad!, x.Grad!, 1e-4, "gradient of the input");
        state.SameGradients(1e-4);
    }

    private static BertConfig Config() => new() { Layers = 2, Width = 32, Heads = 4, VocabularySize = 50, Positions = 20, MaxTokens = 20, Dropout = 0 };
}
