using Plip.Configs;
using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>The pretext tasks of a PlipModel in LibTorch's operators, by the model's state-dict names.</summary>
internal sealed class TorchTasks(TorchState state, PlipConfig config)
{
    private readonly int[] _layers = ((ModifiedResNetConfig)config.Visual).Layers;

    /// <summary>V_global (N, D) of pictures (N, H, W, 3).</summary>
    public Tensor Image(Tensor images)
    {
        var visual = new TorchResNet(state, "visual.");
        return visual.Embed(visual.Stages(Torch.Nchw(images), _layers)[3], (ModifiedResNetConfig)config.Visual);
    }

    /// <summary>T_global (N, D).</summary>
    public Tensor Caption(int[] ids, int[] offsets, TorchDropout dropout)
    {
        var bert = new TorchBert(state, config.Text, "textual.");
        return bert.Pool(bert.Hidden(ids, offsets, dropout), offsets);
    }

    /// <summary>Gray pictures (N, H, W, 3) in colour, the same shape.</summary>
    public Tensor Colorize(Tensor gray, Tensor captions)
    {
        var stages = new TorchResNet(state, "visual.", statistics: "_1").Stages(Torch.Nchw(gray), _layers);
        var maps = stages.Select((f, s) => functional.interpolate(
            functional.conv2d(f, state[$"tic.lateral.{s}.weight"], state[$"tic.lateral.{s}.bias"]), [stages[0].shape[2], stages[0].shape[3]],
            mode: InterpolationMode.Bilinear, align_corners: false));
        var x = Scale(torch.cat([.. maps], 1), captions, "tic.se1.");
        x = functional.relu(Deconvolve(x, "tic.up1"));
        return Torch.Nhwc(Deconvolve(Scale(x, captions, "tic.se2."), "tic.up2"));
    }

    /// <summary>Logits of the words at the masked places.</summary>
    public Tensor Predict(Tensor images, int[] ids, int[] offsets, int[] places, TorchDropout dropout)
    {
        var bert = new TorchBert(state, config.Text, "textual.");
        var hidden = bert.Hidden(ids, offsets, dropout);
        var x = torch.cat([.. SequencesTests.Cut(hidden, offsets).Select((t, b) => t + images[b])]);
        for (var l = 0; l < config.Tasks.Iap.Layers; l++) x = bert.Layer(x, $"iap.layer.{l}.", offsets, dropout);
        return state.Linear(x.index_select(0, Torch.Ids(places)), "iap.words");
    }

    /// <summary>The multi-modal SE block on maps (N, C, H, W), by <paramref name="at"/>fc1 and fc2.</summary>
    public static Tensor Scale(TorchState state, Tensor x, Tensor text, string at)
    {
        var s = torch.cat([functional.adaptive_avg_pool2d(x, 1).flatten(1), text], 1);
        s = torch.sigmoid(state.Linear(functional.relu(state.Linear(s, at + "fc1")), at + "fc2"));
        return x * s.unsqueeze(-1).unsqueeze(-1);
    }

    private Tensor Scale(Tensor x, Tensor text, string at) => Scale(state, x, text, at);

    private Tensor Deconvolve(Tensor x, string name) => functional.conv_transpose2d(
        x, state[name + ".weight"], state[name + ".bias"], strides: [2, 2], padding: [1, 1], output_padding: [1, 1]);
}
