using Plip.Engine;
using Plip.Tasks;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

public class SeBlockTests
{
    [Theory]
    [InlineData(2, 8, 4, 16, 24)]
    [InlineData(3, 5, 7, 19, 33)]
    public void Scales_and_learns_as_in_LibTorch(int n, int h, int w, int c, int d)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var block = new MultiModalSe(c, d);
        using var store = ParameterStore.Materialize(device, block, seed: 2);
        TorchState.Shake(store, 0.2f);
        var state = new TorchState(store);
        var (maps, text) = (Torch.Normal(n * h * w * c, 1), Torch.Normal(n * d, 2));
        var (tx, tt) = (Torch.Of(maps, n, h, w, c).requires_grad_(), Torch.Of(text, n, d).requires_grad_());
        var expected = Torch.Nhwc(TorchTasks.Scale(state, Torch.Nchw(tx), tt, ""));

        using var step = device.BeginStep();
        var (x, t) = (Tensor.From(device, maps, new Shape(n, h, w, c)).WithGrad(), Tensor.From(device, text, new Shape(n, d)).WithGrad());
        var y = block.Forward(x, t).Keep();
        Torch.Close(expected, y, 2e-6, "output");
        Torch.Backward(y, expected);
        Torch.Close(tx.grad!, x.Grad!, 1e-5, "gradient of the maps");
        Torch.Close(tt.grad!, t.Grad!, 1e-5, "gradient of the text");
        state.SameGradients(1e-5);
    }
}
