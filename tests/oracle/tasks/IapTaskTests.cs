using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>Attribute prediction end to end: masked captions and picture embeddings in, words out.</summary>
public class IapTaskTests
{
    [Theory]
    [InlineData(1, 0f)]
    [InlineData(2, 0.1f)]
    public void Predicts_and_learns_as_in_LibTorch(int layers, float dropout)
    {
        var config = Tiny.Config(dropout, new TasksConfig { Tic = new TicConfig { Enabled = false }, Iap = new IapConfig { Layers = layers } });
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        TorchState.Shake(store, 0.2f);
        var state = new TorchState(store);
        var (ids, embedding) = (Tiny.Masked(), Torch.Normal(Tiny.Pairs * config.Text.Width, 5));
        var pictures = Torch.Of(embedding, Tiny.Pairs, config.Text.Width).requires_grad_();
        var expected = new TorchTasks(state, config).Predict(pictures, ids, Tiny.Offsets, Tiny.Places, new TorchDropout(7, 2, dropout));

        using var step = device.BeginStep();
        var v = Tensor.From(device, embedding, new Shape(Tiny.Pairs, config.Text.Width)).WithGrad();
        var labels = Tiny.Captions().Select((id, i) => Tiny.Places.Contains(i) ? id : -100).ToArray();
        var masked = MaskedCaptions.From(device, ids, Tiny.Offsets, labels);
        Assert.Equal(Tiny.Places, masked.Places!.ToArray<int>());
        var y = model.Task<IapTask>()!.Predict(model, v, masked, new DropoutStream(7, 2)).Keep();
        Torch.Close(expected, y, 1e-5, "logits");
        Ops.CrossEntropy(y, masked.Labels!).Backward();
        functional.cross_entropy(expected, Torch.Ids(Tiny.Answers())).backward();
        Torch.Close(pictures.grad!, v.Grad!, 1e-4, "gradient of the pictures");
        state.SameGradients(1e-4);
    }
}
