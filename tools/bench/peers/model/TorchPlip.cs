using Plip.Configs;
using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Bench.Peers;

/// <summary>The three tasks of a PlipModel in LibTorch's operators, with the losses of the built-in configurations.</summary>
internal sealed class TorchPlip
{
    private static readonly float[] Luma = [0.299f, 0.587f, 0.114f];

    private readonly TorchState _state;
    private readonly PlipConfig _config;
    private readonly TorchResNet _visual;
    private readonly TorchBert _textual;
    private readonly Tensor _grayWeights, _grayScale, _grayShift;

    public TorchPlip(TorchState state, PlipConfig config, TorchLayout layout)
    {
        (_state, _config) = (state, config);
        _visual = new TorchResNet(state, (ModifiedResNetConfig)config.Visual, layout, training: true);
        _textual = new TorchBert(state, config.Text, training: true);
        // gray = Σ luma·(x·std + mean), then normalised by each channel's own mean and std.
        var (mean, std) = (config.Image.Mean, config.Image.Std);
        var offset = Luma.Zip(mean, (l, m) => l * m).Sum();
        Tensor Channels(IEnumerable<float> values) => tensor(values.ToArray(), 1, 3, 1, 1);
        _grayWeights = Channels(Luma.Zip(std, (l, s) => l * s));
        _grayScale = Channels(std.Select(s => 1 / s));
        _grayShift = Channels(mean.Zip(std, (m, s) => (offset - m) / s));
    }

    /// <summary>L_ivlc, L_tic, L_iap and their weighted sum.</summary>
    public (Tensor Ivlc, Tensor Tic, Tensor Iap, Tensor Total) Losses(TorchBatch batch)
    {
        var v = _visual.Embed(_visual.Stages(batch.Images)[3]);
        var t = TorchBert.Pool(_textual.Hidden(batch.Captions), batch.Captions);
        var tasks = _config.Tasks;
        var ivlc = tasks.Ivlc.Loss switch
        {
            IvlcLoss.Cmpm when tasks.Ivlc.Scale == 1 && !tasks.Ivlc.Normalize => TorchOps.Cmpm(v, t, batch.Identities),
            IvlcLoss.InfoNce => TorchOps.InfoNce(v, t, tasks.Ivlc.Scale),
            _ => throw new BenchException($"the LibTorch twin has no contrast {tasks.Ivlc.Loss} with these settings"),
        };
        var painted = Colorize(batch.Images, t);
        var tic = tasks.Tic.Reduction switch
        {
            TicReduction.PerImageNorm => TorchOps.Euclidean(painted, batch.Images),
            TicReduction.Mean => functional.mse_loss(painted, batch.Images),
            _ => throw new BenchException($"the LibTorch twin has no reduction {tasks.Tic.Reduction}"),
        };
        var iap = functional.cross_entropy(Predict(v, batch), batch.Answers);
        return (ivlc, tic, iap, ivlc + tasks.Tic.Weight * tic + tasks.Iap.Weight * iap);
    }

    private Tensor Colorize(Tensor images, Tensor captions)
    {
        var gray = (images * _grayWeights).sum(1, keepdim: true) * _grayScale + _grayShift;
        var stages = _visual.Stages(gray, "_1");
        var maps = stages.Select((f, s) =>
        {
            var map = functional.conv2d(f, _state[$"tic.lateral.{s}.weight"], _state[$"tic.lateral.{s}.bias"]);
            return s == 0 ? map : functional.interpolate(map, [stages[0].shape[2], stages[0].shape[3]], mode: InterpolationMode.Bilinear, align_corners: false);
        });
        var x = Deconvolve(Scale(cat([.. maps], 1), captions, "tic.se1."), "tic.up1").relu_();
        return Deconvolve(Scale(x, captions, "tic.se2."), "tic.up2");
    }

    private Tensor Predict(Tensor images, TorchBatch batch)
    {
        var text = batch.Masked;
        var x = _textual.Hidden(text) + images.unsqueeze(1);
        for (var l = 0; l < _config.Tasks.Iap.Layers; l++) x = _textual.Layer(x, $"iap.layer.{l}.", text.Mask);
        return _state.Linear(x.view(text.Count * text.Longest, _config.Text.Width).index_select(0, batch.Places), "iap.words");
    }

    private Tensor Scale(Tensor x, Tensor text, string at)
    {
        var s = _state.Linear(cat([x.mean([2, 3]), text], 1), at + "fc1").relu_();
        return x * _state.Linear(s, at + "fc2").sigmoid_().unsqueeze(-1).unsqueeze(-1);
    }

    private Tensor Deconvolve(Tensor x, string name) => functional.conv_transpose2d(
        x, _state[name + ".weight"], _state[name + ".bias"], strides: [2, 2], padding: [1, 1], output_padding: [1, 1]);
}

/// <summary>A synthetic batch on LibTorch's side.</summary>
internal sealed class TorchBatch
{
    public TorchBatch(SyntheticBatch batch, PlipConfig config, TorchLayout layout)
    {
        Images = layout.Picture(batch.Images, batch.Size, config.Image.Height, config.Image.Width, 3);
        Identities = tensor(Array.ConvertAll(batch.Identities, i => (long)i));
        Captions = new PaddedText(batch.Ids, batch.Offsets);
        Masked = new PaddedText(batch.Masked, batch.Offsets);
        Places = tensor(Array.ConvertAll(batch.Places, i => Masked.Packed[i]));
        Answers = tensor(Array.ConvertAll(batch.Places, i => (long)batch.Labels[i]));
    }

    public Tensor Images { get; }

    public Tensor Identities { get; }

    public PaddedText Captions { get; }

    public PaddedText Masked { get; }

    /// <summary>Places of masked words in (B·T).</summary>
    public Tensor Places { get; }

    public Tensor Answers { get; }
}
