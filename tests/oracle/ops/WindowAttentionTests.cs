using Plip.Engine;
using TorchSharp;
using Xunit;

namespace Plip.Oracle;

public class WindowAttentionTests
{
    /// <summary>Swin's windows of 7 on the maps of 256×128 pictures, shifted and not, and some that are smaller than a window.</summary>
    [Theory]
    [Trait("op", nameof(Ops.WindowAttention))]
    [InlineData(1, 64, 32, 2, 7, 3)]
    [InlineData(2, 32, 16, 1, 7, 0)]
    [InlineData(2, 16, 8, 2, 7, 3)]
    [InlineData(3, 8, 4, 4, 7, 3)]
    [InlineData(2, 6, 3, 1, 7, 3)]
    [InlineData(2, 9, 10, 1, 4, 1)]
    public void Attends_within_shifted_windows(int pictures, int height, int width, int heads, int window, int shift)
    {
        var c = 3 * 32 * heads;
        Torch.Same(
            t => Ops.WindowAttention(t[0], t[1], t[2], heads, window, shift),
            t => TorchSwin.Windows(t[0], t[1], t[2], heads, window, shift),
            [Torch.Input(1, pictures, height, width, c), Torch.Input(2, c), Torch.Input(3, (2 * window - 1) * (2 * window - 1), heads)], 1e-5, 1e-4, floor: 1e-3);
    }

    [Theory]
    [Trait("op", nameof(Ops.AddStochasticDepth))]
    [InlineData(0f)]
    [InlineData(0.4f)]
    public void Leaves_a_branch_out_by_chance(float p)
    {
        var random = new Philox(7, 0xD0000000, 2); // the first stream of a step's
        Torch.Same(
            t => Ops.AddStochasticDepth(t[0], t[1], p, random), t => new TorchDropout(7, 2, 0).AddBranch(t[0], t[1], p),
            [Torch.Input(1, 9, 5, 3, 7), Torch.Input(2, 9, 5, 3, 7)], 1e-6, p == 0 ? 1e-6 : 2e-6);
    }
}
