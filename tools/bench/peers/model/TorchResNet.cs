using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Bench.Peers;

/// <summary>
/// CLIP's ModifiedResNet with the paper's head, in LibTorch's operators. In training ReLU and the shortcut's sum are in place.
/// In evaluation batch norm is folded into the convolutions beforehand, as one does before serving.
/// </summary>
internal sealed class TorchResNet
{
    private const double Epsilon = 1e-5;

    private readonly TorchState _state;
    private readonly int[] _layers;
    private readonly TorchLayout _layout;
    private readonly Dictionary<string, (Tensor Weight, Tensor Bias)>? _folded;

    public TorchResNet(TorchState state, ModifiedResNetConfig config, TorchLayout layout, bool training)
    {
        (_state, _layers, _layout) = (state, config.Layers, layout);
        if (!training) _folded = new(StringComparer.Ordinal);
    }

    /// <summary>The four stage maps of pictures (N, 3, H, W).</summary>
    /// <param name="statistics">Suffix of the running statistics: "" or, for gray pictures, "_1".</param>
    public Tensor[] Stages(Tensor x, string statistics = "")
    {
        x = Convolve(x, "conv1", "bn1", statistics, 2, 1).relu_();
        x = Convolve(x, "conv2", "bn2", statistics, 1, 1).relu_();
        x = Convolve(x, "conv3", "bn3", statistics, 1, 1).relu_();
        x = functional.avg_pool2d(x, 2);
        var stages = new Tensor[4];
        for (var s = 0; s < 4; s++)
        {
            for (var b = 0; b < _layers[s]; b++) x = Bottleneck(x, $"layer{s + 1}.{b}.", b == 0 && s > 0 ? 2 : 1, statistics);
            stages[s] = x;
        }
        return stages;
    }

    /// <summary>The global embedding from F4.</summary>
    public Tensor Embed(Tensor last) => _state.Linear(last.amax([2, 3]), "visual.head");

    private Tensor Bottleneck(Tensor x, string at, int stride, string statistics)
    {
        var y = Convolve(x, at + "conv1", at + "bn1", statistics, 1, 0).relu_();
        y = Convolve(y, at + "conv2", at + "bn2", statistics, 1, 1).relu_();
        if (stride > 1) y = functional.avg_pool2d(y, stride);
        y = Convolve(y, at + "conv3", at + "bn3", statistics, 1, 0);
        var identity = x;
        if (_state.Has($"visual.{at}downsample.0.weight"))
        {
            if (stride > 1) identity = functional.avg_pool2d(identity, stride);
            identity = Convolve(identity, at + "downsample.0", at + "downsample.1", statistics, 1, 0);
        }
        return y.add_(identity).relu_();
    }

    private Tensor Convolve(Tensor x, string conv, string norm, string statistics, int stride, int padding)
    {
        if (_folded == null)
        {
            var y = functional.conv2d(x, _state[$"visual.{conv}.weight"], strides: [stride, stride], padding: [padding, padding]);
            var at = $"visual.{norm}.";
            return functional.batch_norm(
                y, _state[$"{at}running_mean{statistics}"], _state[$"{at}running_var{statistics}"], _state[at + "weight"], _state[at + "bias"], training: true, eps: Epsilon);
        }
        var (weight, bias) = _folded.TryGetValue(conv, out var folded) ? folded : _folded[conv] = Fold(conv, norm);
        return functional.conv2d(x, weight, bias, strides: [stride, stride], padding: [padding, padding]);
    }

    private (Tensor Weight, Tensor Bias) Fold(string conv, string norm)
    {
        var at = $"visual.{norm}.";
        var scale = _state[at + "weight"] / (_state[at + "running_var"] + Epsilon).sqrt();
        var weight = _layout.Lay(_state[$"visual.{conv}.weight"] * scale.view(-1, 1, 1, 1)).DetachFromDisposeScope();
        return (weight, (_state[at + "bias"] - _state[at + "running_mean"] * scale).DetachFromDisposeScope());
    }
}
