using System.Globalization;

namespace Plip.Weights;

/// <summary>The names of other programs in this program's, which are CLIP's, torchvision's and Hugging Face's. Relative to the encoder.</summary>
internal static class EncoderNames
{
    /// <summary>Why those are not taken.</summary>
    public const string DerivedReason = "derived from sizes, not a weight";

    /// <summary>This program's name.</summary>
    /// <param name="name">The file's.</param>
    /// <param name="mergesBefore">Swin only: whether patches are merged at the beginning of a stage (timm from 0.9 on) and not at its end.</param>
    /// <param name="why">Where there is none: what the tensor is.</param>
    public static string? Map(WeightsFamily family, string name, bool mergesBefore, out string why)
    {
        why = "";
        if (family is WeightsFamily.ClipResNet or WeightsFamily.TorchvisionSwin or WeightsFamily.TorchvisionVit) return name;
        if (IsDerived(name))
        {
            why = DerivedReason;
            return null;
        }
        return family switch
        {
            WeightsFamily.PlainResNet => PlainResNet(name, ref why),
            WeightsFamily.MicrosoftSwin => Swin(name, mergesBefore),
            _ => Bert(name, ref why),
        };
    }

    /// <summary>Numbers that follow from sizes and that some programs save all the same.</summary>
    public static bool IsDerived(string name) =>
        Ends(name, "position_ids") || Ends(name, "relative_position_index") || Ends(name, "attn_mask") || Ends(name, "embeddings.token_type_ids");

    /// <summary>
    /// Stages fit: the same kernels under the same names (where CLIP's encoder has an average pool, this one was trained with a stride in the 3×3).
    /// The stem cannot: one 7×7 where CLIP's has three 3×3.
    /// </summary>
    private static string? PlainResNet(string name, ref string why)
    {
        if (Begins(name, "layer")) return name;
        why = Begins(name, "fc.") ? "a classifier" : "the stem of a plain ResNet is one 7×7 convolution, that of CLIP's ModifiedResNet three of 3×3";
        return null;
    }

    /// <summary>Microsoft's Swin to torchvision's: stages and merges are one list there, 0 the patches, then stage, merge, stage, …</summary>
    private static string Swin(string name, bool mergesBefore)
    {
        if (Begins(name, "patch_embed.proj.")) return "features.0.0." + name["patch_embed.proj.".Length..];
        if (Begins(name, "patch_embed.norm.")) return "features.0.2." + name["patch_embed.norm.".Length..];
        if (Begins(name, "head.fc.")) return "head." + name["head.fc.".Length..];
        var parts = name.Split('.', 4);
        if (parts.Length < 4 || parts[0] != "layers" || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var stage) || stage > 99) return name;
        if (parts[2] == "downsample") return string.Create(CultureInfo.InvariantCulture, $"features.{2 * stage + (mergesBefore ? 0 : 2)}.{parts[3]}");
        if (parts[2] != "blocks") return name;
        var inner = parts[3].Replace(".mlp.fc1.", ".mlp.0.", StringComparison.Ordinal).Replace(".mlp.fc2.", ".mlp.3.", StringComparison.Ordinal);
        return string.Create(CultureInfo.InvariantCulture, $"features.{2 * stage + 1}.{inner}");
    }

    private static string? Bert(string name, ref string why)
    {
        if (!Begins(name, "embeddings.") && !Begins(name, "encoder.layer.") && !Begins(name, "pooler."))
        {
            why = "no part of BERT's encoder";
            return null;
        }
        // TensorFlow's names, which the first files of Hugging Face kept.
        if (name.EndsWith("LayerNorm.gamma", StringComparison.Ordinal)) return name[..^"gamma".Length] + "weight";
        return name.EndsWith("LayerNorm.beta", StringComparison.Ordinal) ? name[..^"beta".Length] + "bias" : name;
    }

    private static bool Begins(string name, string start) => name.StartsWith(start, StringComparison.Ordinal);

    private static bool Ends(string name, string last) => name == last || name.EndsWith("." + last, StringComparison.Ordinal);
}
