using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>
/// torchvision's Swin transformer in LibTorch's operators, by state-dict names, in torchvision's order: maps are padded with zeros, rolled and cut before
/// queries, keys and values are made, and the mask is numbered by slices. Maps are NHWC.
/// </summary>
internal sealed class TorchSwin(TorchState state, SwinConfig config, string prefix = "")
{
    /// <summary>The four stage maps of pictures (N, H, W, 3).</summary>
    public Tensor[] Stages(Tensor pictures, TorchDropout dropout)
    {
        var x = Torch.Nhwc(functional.conv2d(Torch.Nchw(pictures), state[prefix + "features.0.0.weight"], state[prefix + "features.0.0.bias"], strides: [4, 4]));
        x = Norm(x, "features.0.2");
        var stages = new Tensor[4];
        var (id, last) = (0, Math.Max(1, config.Depths.Sum() - 1));
        for (var s = 0; s < 4; s++)
        {
            if (s > 0) x = Merge(x, $"features.{2 * s}.");
            for (var b = 0; b < config.Depths[s]; b++)
                x = Block(x, $"features.{2 * s + 1}.{b}.", config.Heads[s], b % 2 == 0 ? 0 : config.Window / 2, config.StochasticDepth * id++ / last, dropout);
            stages[s] = x;
        }
        return stages;
    }

    public Tensor Embed(Tensor last) => state.Linear(Norm(last, "norm").mean([1, 2]), prefix + "head");

    public Tensor Block(Tensor x, string at, int heads, int shift, float skip, TorchDropout dropout)
    {
        x = dropout.AddBranch(x, Attention(Norm(x, at + "norm1"), at + "attn.", heads, shift), skip);
        var h = functional.gelu(state.Linear(Norm(x, at + "norm2"), prefix + at + "mlp.0"));
        return dropout.AddBranch(x, state.Linear(h, prefix + at + "mlp.3"), skip);
    }

    public Tensor Merge(Tensor x, string at)
    {
        x = functional.pad(x, [0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2]);
        Tensor Every(int row, int column) => x[TensorIndex.Ellipsis, TensorIndex.Slice(row, null, 2), TensorIndex.Slice(column, null, 2), TensorIndex.Colon];
        x = Norm(cat([Every(0, 0), Every(1, 0), Every(0, 1), Every(1, 1)], -1), at + "norm");
        return functional.linear(x, state[prefix + at + "reduction.weight"]);
    }

    private Tensor Attention(Tensor x, string at, int heads, int shift)
    {
        var (h, w) = ((int)x.shape[1], (int)x.shape[2]);
        var qkv = state.Linear(Padded(x, config.Window), prefix + at + "qkv"); // of the zeros too
        return state.Linear(Windows(qkv, state[prefix + at + "relative_position_bias_table"], heads, config.Window, shift, h, w), prefix + at + "proj");
    }

    /// <summary>Zeros below and on the right, up to whole windows.</summary>
    private static Tensor Padded(Tensor x, int window)
    {
        long Missing(int axis) => (window - x.shape[axis] % window) % window;
        return functional.pad(x, [0, 0, 0, Missing(2), 0, Missing(1)]);
    }

    /// <summary>Attention of padded qkv (N, H', W', 3C), cut back to (N, h, w, C).</summary>
    private static Tensor Windows(Tensor qkv, Tensor table, int heads, int window, int shift, int h, int w)
    {
        var (n, high, wide, c) = (qkv.shape[0], qkv.shape[1], qkv.shape[2], qkv.shape[3] / 3);
        long sy = window >= high ? 0 : shift, sx = window >= wide ? 0 : shift, tokens = window * window;
        var rolled = qkv.roll([-sy, -sx], [1, 2]);
        Tensor Cut(Tensor x) => x.view(x.shape[0], high / window, window, wide / window, window, x.shape[3]).permute(0, 1, 3, 2, 4, 5).reshape(-1, tokens, x.shape[3]);
        var parts = Cut(rolled).view(-1, tokens, 3, heads, c / heads).permute(2, 0, 3, 1, 4);
        var scores = (parts[0] * Math.Pow(c / heads, -0.5)).matmul(parts[1].transpose(-2, -1));
        scores = scores + table.index_select(0, Index(window)).view(tokens, tokens, heads).permute(2, 0, 1).unsqueeze(0);
        if (sy + sx > 0)
        {
            var regions = zeros(1, high, wide, 1, float64);
            var count = 0;
            foreach (var (top, bottom) in Slices(high, window, sy))
                foreach (var (left, right) in Slices(wide, window, sx))
                {
                    if (top < bottom && left < right) regions[TensorIndex.Colon, TensorIndex.Slice(top, bottom), TensorIndex.Slice(left, right), TensorIndex.Colon] = count;
                    count++;
                }
            var cut = Cut(regions).squeeze(-1); // (windows, tokens)
            var mask = (cut.unsqueeze(1) - cut.unsqueeze(2)).ne(0).to(float64) * -100.0;
            scores = (scores.view(n, -1, heads, tokens, tokens) + mask.unsqueeze(1).unsqueeze(0)).view(-1, heads, tokens, tokens);
        }
        var o = functional.softmax(scores, -1).matmul(parts[2]).transpose(1, 2).reshape(-1, tokens, c);
        o = o.view(n, high / window, wide / window, window, window, c).permute(0, 1, 3, 2, 4, 5).reshape(n, high, wide, c).roll([sy, sx], [1, 2]);
        return o[TensorIndex.Colon, TensorIndex.Slice(0, h), TensorIndex.Slice(0, w), TensorIndex.Colon].contiguous();
    }

    /// <summary>The op's form: qkv (N, H, W, 3C), with a given row in the places that pad.</summary>
    public static Tensor Windows(Tensor qkv, Tensor padding, Tensor table, int heads, int window, int shift)
    {
        var there = Padded(ones([1, qkv.shape[1], qkv.shape[2], 1], float64), window);
        return Windows(Padded(qkv, window) + (1 - there) * padding, table, heads, window, shift, (int)qkv.shape[1], (int)qkv.shape[2]);
    }

    // (0, −w), (−w, −s), (−s, None)
    private static (long, long)[] Slices(long extent, long window, long shift) =>
        shift == 0 ? [(0, extent - window), (0, 0), (0, extent)] : [(0, extent - window), (extent - window, extent - shift), (extent - shift, extent)];

    private static Tensor Index(int window)
    {
        var at = arange(window, int64);
        var grid = stack([at.view(-1, 1).expand(window, window), at.view(1, -1).expand(window, window)]).flatten(1); // (2, tokens)
        var relative = grid.unsqueeze(2) - grid.unsqueeze(1) + (window - 1);
        return (relative[0] * (2 * window - 1) + relative[1]).flatten();
    }

    private Tensor Norm(Tensor x, string name) =>
        functional.layer_norm(x, [x.shape[^1]], state[$"{prefix}{name}.weight"], state[$"{prefix}{name}.bias"], 1e-5);
}
