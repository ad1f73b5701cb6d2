using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;

namespace Plip.Tasks;

/// <summary>
/// Text-guided image colorization. The gray picture's stage maps are brought to H/4×W/4 by 1×1 convolutions and
/// bilinear up-sampling by 1, 2, 4, 8 and concatenated; then twice a multi-modal SE block, in which the caption's embedding
/// helps to scale the channels, and a transposed convolution (kernel 3, stride 2, padding 1, output padding 1).
/// </summary>
public sealed class TicTask : PretextTask
{
    private readonly TicConfig _config;
    private readonly ModuleList<Conv2d> _lateral;
    private readonly MultiModalSe _se1, _se2;
    private readonly ConvTranspose2d _up1, _up2;

    /// <summary>A decoder over stages of these channels, guided by text embeddings of this width.</summary>
    public TicTask(TicConfig config, IReadOnlyList<int> stageChannels, int embedding)
    {
        _config = config;
        var quarter = config.Channels / 4;
        _lateral = Child("lateral", new ModuleList<Conv2d>(stageChannels.Select(c => new Conv2d(c, quarter, 1))));
        _se1 = Child("se1", new MultiModalSe(config.Channels, embedding));
        _up1 = Child("up1", new ConvTranspose2d(config.Channels, quarter, 3, stride: 2, padding: 1, outputPadding: 1));
        _se2 = Child("se2", new MultiModalSe(quarter, embedding));
        _up2 = Child("up2", new ConvTranspose2d(quarter, 3, 3, stride: 2, padding: 1, outputPadding: 1));
    }

    /// <inheritdoc/>
    public override string Name => "tic";

    /// <inheritdoc/>
    public override float Weight => _config.Weight;

    /// <inheritdoc/>
    public override Tensor Loss(TaskBatch batch)
    {
        var painted = Paint(batch.GrayStages, batch.CaptionEmbedding);
        return (_config.Distance, _config.Reduction) switch
        {
            (TicDistance.Euclidean, TicReduction.PerImageNorm) => Ops.EuclideanLoss(painted, batch.Images, EuclideanReduction.PerImageNorm),
            (TicDistance.Euclidean, TicReduction.Mean) => Ops.EuclideanLoss(painted, batch.Images, EuclideanReduction.MeanSquare),
            (TicDistance.Euclidean, TicReduction.Sum) => Ops.EuclideanLoss(painted, batch.Images, EuclideanReduction.SumSquare),
            (TicDistance.Manhattan, TicReduction.PerImageNorm) => Ops.ManhattanLoss(painted, batch.Images, ManhattanReduction.PerImage),
            (TicDistance.Manhattan, TicReduction.Mean) => Ops.ManhattanLoss(painted, batch.Images, ManhattanReduction.Mean),
            _ => throw new ConfigException($"tasks.tic: {_config.Distance} has no reduction {_config.Reduction}"),
        };
    }

    /// <summary>Gray pictures (N, H, W, 3, all channels alike, normalised) in the colours that captions (N, D) name; the same shape, F32.</summary>
    public Tensor Colorize(VisualEncoder visual, Tensor gray, Tensor captions) => Paint(visual.Stages(gray, VisualPass.Gray), captions);

    private Tensor Paint(Tensor[] stages, Tensor captions)
    {
        var maps = new Tensor[stages.Length];
        for (var s = 0; s < stages.Length; s++)
        {
            var map = _lateral[s].Forward(stages[s]);
            maps[s] = s == 0 ? map : Ops.UpsampleBilinear2d(map, stages[0].Shape[1], stages[0].Shape[2]);
        }
        var x = _se1.Forward(Ops.Concat(maps, 3), captions);
        x = _up1.Forward(x, relu: true);
        return Ops.Cast(_up2.Forward(_se2.Forward(x, captions)), DType.F32);
    }
}

/// <summary>
/// Squeeze and excitation with a second modality: the channels' means and the text embedding, concatenated, decide how
/// much of each channel passes: s = σ(W₂·relu(W₁·[mean x; t])), y = s ⊙ x.
/// </summary>
internal sealed class MultiModalSe : Module
{
    private readonly Linear _squeeze, _excite;

    public MultiModalSe(int channels, int embedding)
    {
        _squeeze = Child("fc1", new Linear(channels + embedding, channels));
        _excite = Child("fc2", new Linear(channels, channels));
    }

    /// <summary>x (N, H, W, C), text (N, D) → (N, H, W, C).</summary>
    public Tensor Forward(Tensor x, Tensor text)
    {
        var s = Ops.Relu(_squeeze.Forward(Ops.Concat([Ops.MeanPixels(x), Ops.Cast(text, x.DType)], 1)));
        return Ops.ScaleChannels(x, Ops.Sigmoid(_excite.Forward(s)));
    }
}
