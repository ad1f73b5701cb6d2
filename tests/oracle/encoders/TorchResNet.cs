using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>CLIP's ModifiedResNet in LibTorch's own operators, by state-dict names; pictures are NCHW.</summary>
/// <param name="state">Its batch norms update the running statistics in place when training.</param>
/// <param name="statistics">Suffix of the running statistics to use: "" or, for gray pictures, "_1".</param>
internal sealed class TorchResNet(TorchState state, string prefix = "", bool training = true, string statistics = "")
{
    /// <summary>The four stage maps.</summary>
    public Tensor[] Stages(Tensor x, int[] layers)
    {
        x = functional.relu(Norm(Conv(x, "conv1", 2, 1), "bn1"));
        x = functional.relu(Norm(Conv(x, "conv2", 1, 1), "bn2"));
        x = functional.relu(Norm(Conv(x, "conv3", 1, 1), "bn3"));
        x = functional.avg_pool2d(x, 2);
        var stages = new Tensor[4];
        for (var s = 0; s < 4; s++)
        {
            for (var b = 0; b < layers[s]; b++) x = Bottleneck(x, $"layer{s + 1}.{b}.", b == 0 && s > 0 ? 2 : 1);
            stages[s] = x;
        }
        return stages;
    }

    public Tensor Bottleneck(Tensor x, string at, int stride)
    {
        var y = functional.relu(Norm(Conv(x, at + "conv1", 1, 0), at + "bn1"));
        y = functional.relu(Norm(Conv(y, at + "conv2", 1, 1), at + "bn2"));
        if (stride > 1) y = functional.avg_pool2d(y, stride);
        y = Norm(Conv(y, at + "conv3", 1, 0), at + "bn3");
        var identity = x;
        if (state.Has($"{prefix}{at}downsample.0.weight"))
        {
            if (stride > 1) identity = functional.avg_pool2d(identity, stride);
            identity = Norm(Conv(identity, at + "downsample.0", 1, 0), at + "downsample.1");
        }
        return functional.relu(y + identity);
    }

    /// <summary>The global embedding from F4.</summary>
    public Tensor Embed(Tensor last, ModifiedResNetConfig config) => config.Head switch
    {
        ResNetHead.MaxLinear => state.Linear(last.amax([2, 3]), prefix + "head"),
        ResNetHead.MeanLinear => state.Linear(last.mean([2, 3]), prefix + "head"),
        _ => AttentionPool(last, config.Heads),
    };

    private Tensor AttentionPool(Tensor x, int heads)
    {
        var (n, c) = (x.shape[0], x.shape[1]);
        var tokens = x.flatten(2).permute(0, 2, 1);
        tokens = torch.cat([tokens.mean([1], keepdim: true), tokens], 1) + state[prefix + "attnpool.positional_embedding"];
        Tensor Project(Tensor t, string name) => state.Linear(t, $"{prefix}attnpool.{name}");
        Tensor Heads(Tensor t) => t.view(n, t.shape[1], heads, c / heads).transpose(1, 2);
        var o = functional.scaled_dot_product_attention(
            Heads(Project(tokens.narrow(1, 0, 1), "q_proj")), Heads(Project(tokens, "k_proj")), Heads(Project(tokens, "v_proj")));
        return Project(o.transpose(1, 2).reshape(n, c), "c_proj");
    }

    private Tensor Conv(Tensor x, string name, int stride, int padding) =>
        functional.conv2d(x, state[$"{prefix}{name}.weight"], strides: [stride, stride], padding: [padding, padding]);

    private Tensor Norm(Tensor x, string name)
    {
        var at = prefix + name + ".";
        return functional.batch_norm(
            x, state[$"{at}running_mean{statistics}"], state[$"{at}running_var{statistics}"], state[at + "weight"], state[at + "bias"], training, eps: 1e-5);
    }
}
