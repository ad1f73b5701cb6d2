using Plip.Configs;
using Plip.Encoders;

namespace Plip.Ablation;

/// <summary>
/// The ablations of the paper (Zuo et al., NeurIPS 2024, tables 10, 16 and 17): tasks, losses, curriculum, pooling and λ. The paper's
/// figures are of its own scale: RN50, 10,000 identities of SYNTH-PEDES, 139,564 pictures. Those that are not known to us are left open.
/// </summary>
public static class AblationTables
{
    private static readonly PaperFigures Full = new(new(32.5), new(63.1));

    /// <summary>Which of the three tasks take part. Without the contrast nothing joins captions and pictures, so that row has no text→image figure.</summary>
    public static AblationTable Tasks { get; } = new("tasks", "pretext tasks",
    [
        new("IVLC", c => With(c, ivlc: true, tic: false, iap: false), new(new(30.2), new(62.3))),
        new("IVLC + TIC", c => With(c, ivlc: true, tic: true, iap: false), new(new(31.4), new(62.9))),
        new("IVLC + IAP", c => With(c, ivlc: true, tic: false, iap: true), new(new(30.5), new(62.7))),
        new("TIC + IAP", c => With(c, ivlc: false, tic: true, iap: true), new(null, new(39.3))),
        new("IVLC + TIC + IAP", c => With(c, ivlc: true, tic: true, iap: true), Full),
    ]);

    /// <summary>The contrast's loss and the colorization's distance. Of Manhattan the paper's range over three rows is known, not which has which.</summary>
    public static AblationTable Losses { get; } = new("losses", "loss of the contrast, distance of the colorization",
    [
        Loss("CMPM", IvlcLoss.Cmpm, TicDistance.Euclidean, new(32.5)),
        Loss("SDM", IvlcLoss.Sdm, TicDistance.Euclidean, new(30.0)),
        Loss("alignment", IvlcLoss.Alignment, TicDistance.Euclidean, new(31.8)),
        Loss("CMPM", IvlcLoss.Cmpm, TicDistance.Manhattan, new(17.6, 19.1)),
        Loss("SDM", IvlcLoss.Sdm, TicDistance.Manhattan, new(17.6, 19.1)),
        Loss("alignment", IvlcLoss.Alignment, TicDistance.Manhattan, new(17.6, 19.1)),
    ]);

    /// <summary>G(x), the masking probability of attribute prediction over the course of training.</summary>
    public static AblationTable Curriculum { get; } = new("curriculum", "masking probability G(x)",
    [
        Masking("constant 0.2", "constant(0.2)", new(32.1)),
        Masking("constant 0.5", "constant(0.5)", new(30.9)),
        Masking("constant 0.8", "constant(0.8)", new(31.6)),
        Masking("x²", "x^2", new(32.3)),
        Masking("√x", "sqrt(x)", new(32.5)),
        Masking("x", "x", new(31.7)),
    ]);

    /// <summary>How stage maps and hidden states become embeddings.</summary>
    public static AblationTable Pooling { get; } = new("pooling", "visual pooling × textual pooling",
    [
        Pool("max", ResNetHead.MaxLinear, TextPooling.Mean, new(new(32.5))),
        Pool("average", ResNetHead.MeanLinear, TextPooling.Mean, new()),
        Pool("attention", ResNetHead.AttentionPool, TextPooling.Mean, new()),
        Pool("max", ResNetHead.MaxLinear, TextPooling.Pooler, new()),
        Pool("average", ResNetHead.MeanLinear, TextPooling.Pooler, new()),
        Pool("attention", ResNetHead.AttentionPool, TextPooling.Pooler, new()),
    ]);

    /// <summary>λ1 of the colorization and λ2 of attribute prediction.</summary>
    public static AblationTable Lambda { get; } = new("lambda", "λ1 (colorization), λ2 (attribute prediction)",
    [
        Weights(1, 1, new(new(28.7), new(57.6))),
        Weights(0.1f, 1, new()),
        Weights(0.1f, 0.1f, new()),
        Weights(0.02f, 1, new()),
        Weights(0.02f, 0.1f, Full),
    ]);

    /// <summary>All five, in this order.</summary>
    public static IReadOnlyList<AblationTable> All { get; } = [Tasks, Losses, Curriculum, Pooling, Lambda];

    private static PlipConfig With(PlipConfig c, bool ivlc, bool tic, bool iap) => c with
    {
        Tasks = new TasksConfig
        {
            Ivlc = c.Tasks.Ivlc with { Enabled = ivlc },
            Tic = c.Tasks.Tic with { Enabled = tic },
            Iap = c.Tasks.Iap with { Enabled = iap },
        },
    };

    private static AblationRow Loss(string name, IvlcLoss loss, TicDistance distance, PaperFigure paper) => new(
        $"{name} + {distance}",
        c => c with
        {
            Tasks = new TasksConfig
            {
                Ivlc = Contrast(c.Tasks.Ivlc, loss),
                Tic = c.Tasks.Tic with { Enabled = true, Distance = distance },
                Iap = c.Tasks.Iap,
            },
        },
        new(paper));

    /// <summary>The base's own settings where it has this loss, else those the loss was published with.</summary>
    private static IvlcConfig Contrast(IvlcConfig c, IvlcLoss loss) => c.Loss == loss
        ? c with { Enabled = true }
        : new IvlcConfig { Loss = loss, Scale = loss == IvlcLoss.Sdm ? 50 : 1 }; // IRRA: temperature 0.02

    private static AblationRow Masking(string name, string curriculum, PaperFigure paper) => new(
        name, c => c with { Tasks = new TasksConfig { Ivlc = c.Tasks.Ivlc, Tic = c.Tasks.Tic, Iap = c.Tasks.Iap with { Enabled = true, Curriculum = curriculum } } }, new(paper));

    private static AblationRow Pool(string name, ResNetHead head, TextPooling pooling, PaperFigures paper) => new(
        $"{name} + {(pooling == TextPooling.Mean ? "mean" : "pooler")}",
        c => c with
        {
            Visual = c.Visual is ModifiedResNetConfig resnet
                ? resnet with { Head = head }
                : throw new ConfigException($"the pooling table varies visual.head, which only a visual encoder of type modified-resnet has; {c.Name} has another"),
            Text = c.Text with { Pooling = pooling },
        },
        paper);

    private static AblationRow Weights(float tic, float iap, PaperFigures paper) => new(
        FormattableString.Invariant($"λ1 {tic}, λ2 {iap}"),
        c => c with { Tasks = new TasksConfig { Ivlc = c.Tasks.Ivlc, Tic = c.Tasks.Tic with { Enabled = true, Weight = tic }, Iap = c.Tasks.Iap with { Enabled = true, Weight = iap } } },
        paper);
}
