using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

/// <summary>Colorization end to end: gray picture and caption embedding in, colours out, all parameters' gradients back.</summary>
public class TicTaskTests
{
    [Fact]
    public void Colorizes_and_learns_as_in_LibTorch()
    {
        var config = Tiny.Config();
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        var (pixels, text) = (Tiny.Pixels(), Torch.Normal(Tiny.Pairs * config.Text.Width, 5));
        var captions = Torch.Of(text, Tiny.Pairs, config.Text.Width).requires_grad_();
        var gray = TorchLosses.ToGray(Torch.Of(pixels, Tiny.Pairs, Tiny.Height, Tiny.Width, 3), config.Image.Mean, config.Image.Std);
        var expected = new TorchTasks(state, config).Colorize(gray, captions);

        using var step = device.BeginStep();
        var images = Tensor.From(device, pixels, new Shape(Tiny.Pairs, Tiny.Height, Tiny.Width, 3));
        var t = Tensor.From(device, text, new Shape(Tiny.Pairs, config.Text.Width)).WithGrad();
        var y = model.Task<TicTask>()!.Colorize(model.Visual, Ops.ToGray(images, config.Image.Mean, config.Image.Std), t).Keep();
        Torch.Close(expected, y, 2e-5, "colours");
        Torch.Backward(y, expected);
        Torch.Close(captions.grad!, t.Grad!, 2e-4, "gradient of the captions");
        state.SameGradients(2e-4);
        state.SameStatistics(1e-5); // the gray set moved, the colour set did not
    }
}
