using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Tasks;

namespace Plip.Model;

/// <summary>
/// PLIP: a picture encoder, a text encoder and the pretext tasks that train them (Zuo et al., NeurIPS 2024,
/// arXiv:2305.08386). Keys: "visual.*", "textual.*", and a prefix for each task.
/// </summary>
public sealed class PlipModel : Module
{
    /// <summary>Builds the model a configuration describes; no memory until <see cref="Materialize"/>.</summary>
    /// <param name="config">Validated; its text.vocabularySize must be set.</param>
    public PlipModel(PlipConfig config)
    {
        Config = config;
        Visual = Child("visual", config.Visual.Build(config.Image, config.Text.Width));
        Textual = Child("textual", new Bert(config.Text));
        Visual.Recomputes = config.Training.Recompute != Recomputation.None;
        Textual.Recomputes = config.Training.Recompute == Recomputation.All;
        var tasks = new List<PretextTask>();
        if (config.Tasks.Ivlc.Enabled) tasks.Add(new IvlcTask(config.Tasks.Ivlc));
        if (config.Tasks.Tic.Enabled) tasks.Add(Child("tic", new TicTask(config.Tasks.Tic, Visual.StageChannels, config.Text.Width)));
        if (config.Tasks.Iap.Enabled) tasks.Add(Child("iap", new IapTask(config.Tasks.Iap, config.Text)));
        Tasks = tasks;
    }

    /// <summary>What the model was built from.</summary>
    public PlipConfig Config { get; }

    /// <summary>Pictures to stage maps and embeddings.</summary>
    public VisualEncoder Visual { get; }

    /// <summary>Captions to hidden states and embeddings.</summary>
    public Bert Textual { get; }

    /// <summary>The enabled tasks, in the order of the loss.</summary>
    public IReadOnlyList<PretextTask> Tasks { get; }

    /// <summary>The enabled task of a type, or null.</summary>
    public T? Task<T>() where T : PretextTask => Tasks.OfType<T>().FirstOrDefault();

    /// <summary>Allocates and initialises all parameters in flat buffers, grouped as the configuration trains them.</summary>
    /// <param name="training">False for inference: no gradients are allocated.</param>
    /// <param name="precision">Storage of activations and matrices; null takes the configuration's in training and F32 otherwise.</param>
    public ParameterStore Materialize(Device device, bool training = true, Precision? precision = null)
    {
        var scale = Config.Training.TextLearningRateScale;
        var decay = Config.Training.WeightDecay;
        static bool IsText(Parameter p) => p.Name.StartsWith("textual.", StringComparison.Ordinal);
        ParameterGroup[] groups = training
            ?
            [
                new("frozen text", p => IsText(p) && Textual.IsFrozen(p.Name["textual.".Length..])) { Frozen = true },
                new("text matrices", p => IsText(p) && p.Shape.Rank > 1) { LrScale = scale, WeightDecay = decay },
                new("text vectors", IsText) { LrScale = scale, WeightDecay = 0 },
                new("matrices", p => p.Shape.Rank > 1) { WeightDecay = decay },
                new("vectors", _ => true) { WeightDecay = 0 },
            ]
            : [new("all", _ => true) { Frozen = true }];
        var compute = (precision ?? (training ? Config.Training.Precision : Precision.F32)) switch
        {
            Precision.BF16 => DType.BF16,
            Precision.F16 => DType.F16,
            _ => DType.F32,
        };
        return ParameterStore.Materialize(device, this, Config.Training.Seed, groups, computeType: compute);
    }

    /// <summary>Picture embeddings (N, D), L2-normalised, of normalised pictures (N, H, W, 3). Call in evaluation mode.</summary>
    public Tensor EmbedImages(Tensor images) => Ops.L2Normalize(Visual.Forward(images));

    /// <summary>Text embeddings (B, D), L2-normalised. Call in evaluation mode.</summary>
    public Tensor EmbedText(PackedText text) => Ops.L2Normalize(Textual.Pool(Textual.Forward(text, new DropoutStream(0, 0)), text));
}
