using Plip.Engine;
using Plip.Model;

namespace Plip.Weights;

/// <summary>Names under which weights are written for others.</summary>
public enum WeightsLayout
{
    /// <summary>The file's own.</summary>
    Same,

    /// <summary>Both encoders, "visual." and "textual." before CLIP's and Hugging Face's names.</summary>
    Plip,

    /// <summary>Both encoders as the authors' file has them: "ImgEncoder_state_dict." and "TxtEncoder_state_dict.encoder.".</summary>
    Released,

    /// <summary>The picture encoder alone, by CLIP's (of Swin: torchvision's) names.</summary>
    Visual,

    /// <summary>The text encoder alone, by Hugging Face's names: what BertModel.load_state_dict takes.</summary>
    HuggingFace,
}

/// <summary>Weights by other programs' names, to be written as safetensors.</summary>
public static class WeightsConversion
{
    /// <summary>The tensors of a file by a layout's names; they read from the file, so keep it open.</summary>
    /// <param name="under">Of <see cref="WeightsLayout.Same"/>: only what lies below this prefix, which is removed.</param>
    /// <exception cref="FileFormatException">The file has no such encoder, or nothing below the prefix.</exception>
    /// <remarks>
    /// The running statistics of gray pictures, which PyTorch's classes do not have, are left out of all layouts but
    /// <see cref="WeightsLayout.Same"/>; so are tasks and optimiser. Elements keep their type, but F64 is written as F32, 8- and 16-bit
    /// integers as I32 and booleans as U8.
    /// </remarks>
    public static StateDict Tensors(WeightsFile file, WeightsLayout layout, string under = "")
    {
        if (layout == WeightsLayout.Same)
        {
            var below = file.Tensors.Under(under);
            return below.Count > 0 ? below : throw new FileFormatException(file.Path, "", $"holds no tensor below \"{Printable.Text(under)}\"; see: plip weights inspect");
        }
        var known = KnownWeights.Of(file);
        var (visual, text) = layout switch
        {
            WeightsLayout.Visual => ("", null),
            WeightsLayout.HuggingFace => (null, ""),
            WeightsLayout.Released => ("ImgEncoder_state_dict.", "TxtEncoder_state_dict.encoder."),
            _ => ("visual.", "textual."),
        };
        var state = new StateDict();
        if (visual != null) state.Add(Of(known, known.Visual, "picture"), visual);
        if (text != null) state.Add(Of(known, known.Text, "text"), text);
        return state;
    }

    /// <summary>
    /// The strings to write beside them: "format" is what PyTorch's loaders look for. A checkpoint's configuration and vocabulary go with both of its
    /// encoders, so that the file opens here again as what it was.
    /// </summary>
    public static Dictionary<string, string> Metadata(WeightsFile file, WeightsLayout layout)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" };
        if (layout is WeightsLayout.Plip or WeightsLayout.Released)
            foreach (var key in new[] { PlipCheckpoint.ConfigKey, PlipCheckpoint.VocabularyKey })
                if (file.Metadata.TryGetValue(key, out var value)) metadata[key] = value;
        return metadata;
    }

    private static StateDict Of(KnownWeights known, EncoderWeights? encoder, string what)
    {
        if (encoder == null) throw new FileFormatException(known.File.Path, "", $"holds no {what} encoder: it is {known.Description}");
        return encoder.Tensors.Rename(n => n.EndsWith(".running_mean_1", StringComparison.Ordinal) || n.EndsWith(".running_var_1", StringComparison.Ordinal) ? null : n);
    }
}
