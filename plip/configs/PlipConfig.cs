using Plip.Encoders;
using Plip.Engine;
using Plip.Tasks;

namespace Plip.Configs;

/// <summary>Everything that defines a model and its training: a typed record read from JSON (<see cref="ConfigFile"/>).</summary>
/// <remarks>Settable, not init-only: the JSON source generator would overwrite the defaults of init-only properties.</remarks>
public sealed record PlipConfig
{
    /// <summary>Name for reports and checkpoints, such as "plip-rn50".</summary>
    public required string Name { get; set; }

    /// <summary>Input pictures.</summary>
    public required ImageConfig Image { get; set; }

    /// <summary>The picture encoder, chosen by its "type".</summary>
    public required VisualConfig Visual { get; set; }

    /// <summary>The text encoder; its width is the width of the joint embedding.</summary>
    public required BertConfig Text { get; set; }

    /// <summary>The three pretext tasks (PAPER section 2).</summary>
    public TasksConfig Tasks { get; set; } = new();

    /// <summary>Optimiser, schedule, batches.</summary>
    public TrainingConfig Training { get; set; } = new();

    /// <summary>Checks what types alone cannot say.</summary>
    /// <exception cref="ConfigException">Names the key and the values that would do.</exception>
    public void Validate()
    {
        Image.Validate();
        Visual.Validate(Image);
        Text.Validate();
        Tasks.Validate();
        ConfigException.Require(
            Visual.HasStages || !Tasks.Tic.Enabled, "tasks.tic.enabled", true,
            "false with this visual.type: colorization needs maps of four sizes, which \"modified-resnet\" and \"swin\" have and \"vit\" has not");
        Training.Validate();
    }
}

/// <summary>Pictures as the encoder sees them.</summary>
public sealed record ImageConfig
{
    /// <summary>Pixels; a multiple of 32 (the encoders' total stride).</summary>
    public int Height { get; set; } = 256;

    /// <summary>Pixels; a multiple of 16, at least 32.</summary>
    public int Width { get; set; } = 128;

    /// <summary>RGB mean that is subtracted, in units of 0..1.</summary>
    public float[] Mean { get; set; } = [0.357f, 0.323f, 0.328f];

    /// <summary>RGB deviation that is divided by.</summary>
    public float[] Std { get; set; } = [0.252f, 0.242f, 0.239f];

    /// <summary>The loaders' settings; evaluation leaves out both augmentations.</summary>
    public Data.ImageSettings ToSettings(float flip = 0, int shift = 0) =>
        new() { Height = Height, Width = Width, Mean = Mean, Std = Std, FlipProbability = flip, ShiftPixels = shift };

    internal void Validate()
    {
        ConfigException.Require(Height >= 32 && Height % 16 == 0 && Height <= 2048, "image.height", Height, "a multiple of 16 from 32 to 2048");
        ConfigException.Require(Width >= 32 && Width % 16 == 0 && Width <= 2048, "image.width", Width, "a multiple of 16 from 32 to 2048");
        ConfigException.Require(Mean.Length == 3, "image.mean", Mean.Length, "three numbers");
        ConfigException.Require(Std.Length == 3 && Std.All(s => s > 0), "image.std", Std.Length, "three positive numbers");
    }
}

/// <summary>Switches of the three tasks. L = L_ivlc + λ1·L_tic + λ2·L_iap.</summary>
public sealed record TasksConfig
{
    /// <summary>Identity-based vision-language contrast.</summary>
    public IvlcConfig Ivlc { get; set; } = new();

    /// <summary>Text-guided image colorization.</summary>
    public TicConfig Tic { get; set; } = new();

    /// <summary>Image-guided attribute prediction.</summary>
    public IapConfig Iap { get; set; } = new();

    internal void Validate()
    {
        ConfigException.Require(Ivlc.Enabled || Tic.Enabled || Iap.Enabled, "tasks", "all disabled", "at least one task enabled");
        ConfigException.Require(Ivlc.Scale > 0 && float.IsFinite(Ivlc.Scale), "tasks.ivlc.scale", Ivlc.Scale, "a positive number");
        ConfigException.Require(Tic.Channels > 0 && Tic.Channels % 4 == 0, "tasks.tic.channels", Tic.Channels, "a positive multiple of 4 (a quarter for each stage)");
        ConfigException.Require(Tic.Weight >= 0 && float.IsFinite(Tic.Weight), "tasks.tic.weight", Tic.Weight, "0 or more");
        ConfigException.Require(Tic.Distance == TicDistance.Euclidean || Tic.Reduction != TicReduction.Sum, "tasks.tic.reduction", Tic.Reduction, $"PerImageNorm or Mean with {Tic.Distance}");
        ConfigException.Require(Iap.Weight >= 0 && float.IsFinite(Iap.Weight), "tasks.iap.weight", Iap.Weight, "0 or more");
        ConfigException.Require(MaskingCurriculum.TryParse(Iap.Curriculum, out _), "tasks.iap.curriculum", Iap.Curriculum, MaskingCurriculum.Valid);
        ConfigException.Require(Iap.Layers is >= 1 and <= 24, "tasks.iap.layers", Iap.Layers, "1 to 24 transformer blocks");
    }
}

/// <summary>The contrast's loss.</summary>
public enum IvlcLoss
{
    /// <summary>Cross-modal projection matching: the paper's choice.</summary>
    Cmpm,

    /// <summary>Similarity distribution matching, as in IRRA.</summary>
    Sdm,

    /// <summary>The alignment loss of ViTAA.</summary>
    Alignment,

    /// <summary>Instance-level InfoNCE, as in CLIP.</summary>
    InfoNce,
}

/// <summary>Identity-based vision-language contrast.</summary>
public sealed record IvlcConfig
{
    /// <summary>Takes part in the loss.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Which loss.</summary>
    public IvlcLoss Loss { get; set; } = IvlcLoss.Cmpm;

    /// <summary>CMPM only: normalise both sides instead of the projected-on one alone (it starts sooner on small data).</summary>
    public bool Normalize { get; set; }

    /// <summary>Multiplies the similarities before the softmax (CMPM 1, SDM 50, InfoNCE 1/temperature).</summary>
    public float Scale { get; set; } = 1f;

    /// <summary>CMPM only: labels divided by their sum (the paper's formula) or by their L2 norm (the authors' code).</summary>
    public MatchNormalization Labels { get; set; } = MatchNormalization.Sum;
}

/// <summary>Distance of the colorization to the truth.</summary>
public enum TicDistance
{
    /// <summary>L2: the paper's choice.</summary>
    Euclidean,

    /// <summary>L1: tried in the paper and worse.</summary>
    Manhattan,
}

/// <summary>How the distance is reduced to one number.</summary>
public enum TicReduction
{
    /// <summary>Mean over the batch of each picture's norm: the paper's reading at λ1 = 0.02 and 256×128.</summary>
    PerImageNorm,

    /// <summary>Mean over all elements: for small pictures.</summary>
    Mean,

    /// <summary>Mean over the batch of each picture's sum of squares (Euclidean only).</summary>
    Sum,
}

/// <summary>Text-guided image colorization.</summary>
public sealed record TicConfig
{
    /// <summary>Takes part in the loss.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>λ1.</summary>
    public float Weight { get; set; } = 0.02f;

    /// <summary>Distance.</summary>
    public TicDistance Distance { get; set; } = TicDistance.Euclidean;

    /// <summary>Reduction.</summary>
    public TicReduction Reduction { get; set; } = TicReduction.PerImageNorm;

    /// <summary>Channels of the concatenated stage maps; the paper's is 1024, a quarter for each stage.</summary>
    public int Channels { get; set; } = 1024;
}

/// <summary>Image-guided attribute prediction.</summary>
public sealed record IapConfig
{
    /// <summary>Takes part in the loss.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>λ2.</summary>
    public float Weight { get; set; } = 0.1f;

    /// <summary>G(x) of the masking probability: "sqrt(x)" (default), "x", "x^2", or "constant(0.5)".</summary>
    public string Curriculum { get; set; } = "sqrt(x)";

    /// <summary>Transformer blocks over the fused sequence.</summary>
    public int Layers { get; set; } = 1;
}
