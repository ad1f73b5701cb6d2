using Plip.Engine;

namespace Plip.Weights;

/// <summary>A tensor of a file that is not taken, and why.</summary>
/// <param name="Name">As in the file.</param>
public sealed record LeftOutTensor(string Name, Shape Shape, string Why);

/// <summary>An encoder found in a file.</summary>
/// <param name="Family">Whose names it has there.</param>
/// <param name="Prefix">What stands before them, such as "ImgEncoder_state_dict.module.".</param>
/// <param name="Tensors">Its tensors by this program's names, relative to the encoder.</param>
/// <param name="LeftOut">Tensors below the prefix that no encoder of this program has.</param>
public sealed record EncoderWeights(WeightsFamily Family, string Prefix, StateDict Tensors, IReadOnlyList<LeftOutTensor> LeftOut);

/// <summary>The encoders in a file of weights, whoever wrote it: found by names that only they have, whatever stands before these.</summary>
public sealed class KnownWeights
{
    private const string Released = "ImgEncoder_state_dict.", ReleasedText = "TxtEncoder_state_dict.";

    private KnownWeights(WeightsFile file, EncoderWeights? visual, EncoderWeights? text) => (File, Visual, Text) = (file, visual, text);

    /// <summary>The file.</summary>
    public WeightsFile File { get; }

    /// <summary>The picture encoder, or null.</summary>
    public EncoderWeights? Visual { get; }

    /// <summary>The text encoder, or null: BERT only; CLIP's is another network.</summary>
    public EncoderWeights? Text { get; }

    /// <summary>Where the file seems to come from, in words.</summary>
    public string Description => (File.Format, Visual, Text) switch
    {
        (WeightsFormat.Checkpoint, not null, not null) => $"a checkpoint of this program: {Visual.Family.Describe()}, {Text.Family.Describe()}",
        (_, not null, not null) when Visual.Prefix.StartsWith(Released, StringComparison.Ordinal) && Text.Prefix.StartsWith(ReleasedText, StringComparison.Ordinal) =>
            $"released PLIP: {Visual.Family.Describe()}, {Text.Family.Describe()}",
        (_, not null, not null) => $"{Visual.Family.Describe()}, {Text.Family.Describe()}",
        (_, not null, null) when IsClip => $"CLIP: {Visual.Family.Describe()} and CLIP's own text encoder",
        (_, not null, null) => Visual.Family.Describe(),
        (_, null, not null) => Text.Family.Describe(),
        _ when IsClip => "CLIP with a ViT, or a part of it: no encoder of this program",
        _ => "no encoder that this program knows",
    };

    private bool IsClip => File.Tensors.Names.Any(n => n.EndsWith("transformer.resblocks.0.ln_1.weight", StringComparison.Ordinal));

    /// <summary>Finds the encoders of a file.</summary>
    /// <exception cref="FileFormatException">Two encoders of a kind, such as a network and its average: which one is meant is not for a program to guess.</exception>
    public static KnownWeights Of(WeightsFile file)
    {
        EncoderWeights? visual = null, text = null;
        foreach (var (family, mark) in WeightsFamilies.Marks)
        {
            if (Prefix(file, mark) is not { } prefix) continue;
            var found = Take(file, family, prefix);
            if (family == WeightsFamily.HuggingFaceBert) text = found;
            else if (visual == null) visual = found;
            else throw Several(file, [visual.Prefix, prefix]);
        }
        return new KnownWeights(file, visual, text);
    }

    private static string? Prefix(WeightsFile file, string mark)
    {
        var found = new List<string>();
        foreach (var name in file.Tensors.Names)
        {
            if (!name.EndsWith(mark, StringComparison.Ordinal) || (name.Length > mark.Length && name[^(mark.Length + 1)] != '.')) continue;
            var prefix = name[..^mark.Length];
            // Of this program's checkpoints: moments and averages have the names of what they belong to.
            if (file.Format == WeightsFormat.Checkpoint && !prefix.StartsWith(Model.PlipCheckpoint.ModelPrefix, StringComparison.Ordinal)) continue;
            found.Add(prefix);
        }
        return found.Count <= 1 ? found.FirstOrDefault() : throw Several(file, found);
    }

    private static FileFormatException Several(WeightsFile file, IReadOnlyList<string> prefixes) => new(
        file.Path, "", $"holds several encoders of a kind, below {string.Join(" and ", prefixes.Select(p => $"\"{Printable.Text(p)}\""))}; take one out with: plip weights convert --under \"{Printable.Text(prefixes[0])}\"");

    private static EncoderWeights Take(WeightsFile file, WeightsFamily family, string prefix)
    {
        var own = file.Tensors.Under(prefix);
        if (family == WeightsFamily.ClipResNet && own.TryGet("conv3.weight") == null) family = WeightsFamily.PlainResNet;
        // The last stage has nothing to merge after it.
        var mergesBefore = family == WeightsFamily.MicrosoftSwin && own.TryGet("layers.0.downsample.reduction.weight") == null;
        var tensors = new StateDict();
        var leftOut = new List<LeftOutTensor>();
        foreach (var (name, tensor) in own)
        {
            // An encoder at the top of a file has other things beside it.
            if (prefix.Length == 0 && IsElse(family, name)) continue;
            if (EncoderNames.Map(family, name, mergesBefore, out var why) is not { } mapped) leftOut.Add(new LeftOutTensor(name, tensor.Shape, why));
            else if (tensors.TryGet(mapped) == null) tensors.Add(mapped, tensor);
            else throw new FileFormatException(file.Path, Printable.Text(prefix + name), $"stands for {Printable.Text(mapped)}, as another tensor does");
        }
        return new EncoderWeights(family, prefix, tensors, leftOut);
    }

    /// <summary>In a flat file of both encoders, BERT's names are not the picture encoder's, and the other way round.</summary>
    private static bool IsElse(WeightsFamily family, string name)
    {
        var isText = name.StartsWith("embeddings.", StringComparison.Ordinal) || name.StartsWith("encoder.layer.", StringComparison.Ordinal) || name.StartsWith("pooler.", StringComparison.Ordinal);
        return family != WeightsFamily.HuggingFaceBert && isText;
    }
}
