using System.Globalization;
using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Weights;

/// <summary>
/// Both encoders of a PLIP in a file that is no checkpoint of this program: the authors' PLIP_MRN50.pth.tar ("ImgEncoder_state_dict",
/// "TxtEncoder_state_dict"), or what <c>plip weights convert</c> wrote. The configuration is read off the tensors' shapes.
/// </summary>
/// <remarks>
/// Shapes do not tell numbers of heads: 8 for the attention pool and width/64 for BERT, as everywhere in the field, unless a
/// configuration says otherwise. Nor the pictures' sides: twice as high as wide, as the paper's.
/// </remarks>
public static class ReleasedCheckpoint
{
    private const int Stride = 32, HeadWidth = 64, LongestCaption = 64;

    /// <summary>The configuration of the model in a file: encoders alone, the contrast as its only task.</summary>
    /// <param name="given">Says what shapes cannot: picture, numbers of heads, longest caption. Sizes that it has otherwise are an error.</param>
    /// <exception cref="FileFormatException">An encoder is missing, or the two do not fit each other.</exception>
    /// <exception cref="ConfigException">The given configuration is of another model.</exception>
    public static PlipConfig Describe(KnownWeights weights, PlipConfig? given = null)
    {
        var path = weights.File.Path;
        if (given == null && weights.File.Metadata.TryGetValue(PlipCheckpoint.ConfigKey, out var json)) return EncodersAlone(ConfigFile.Parse(json, path));
        if (weights.Visual is not { Family: WeightsFamily.ClipResNet } visual || weights.Text is not { } text)
            throw new FileFormatException(path, "", $"is no checkpoint of a PLIP: it holds {weights.Description}, where the released format has CLIP's ModifiedResNet and BERT. To start training from it, give it to plip pretrain --initial-visual or --initial-text");
        var (picture, words) = (Visual(path, visual.Tensors, out var positions, out var embedding), Text(path, text.Tensors));
        if (embedding != words.Width) throw new FileFormatException(path, "", $"its picture embeddings are {embedding} wide, its text's {words.Width}: they are of different models");
        var image = given?.Image ?? Image(path, positions);
        if (given != null)
        {
            RequireSame(path, given, picture, words);
            picture = picture with { Heads = (given.Visual as ModifiedResNetConfig)?.Heads ?? picture.Heads, Head = Head(given, picture) };
            words = words with { Heads = given.Text.Heads, MaxTokens = given.Text.MaxTokens };
        }
        else if (words.Width % HeadWidth != 0)
            throw new ConfigException($"{path}: BERT's heads cannot be told from a width of {words.Width}, which is no multiple of {HeadWidth}; give a configuration that says text.heads with --config");
        var config = EncodersAlone(new PlipConfig { Name = given?.Name ?? Path.GetFileName(path), Image = image, Visual = picture, Text = words });
        try
        {
            config.Validate();
        }
        catch (ConfigException e)
        {
            throw new ConfigException($"{path}: its shapes, or the configuration given with it, are of no model that can be built: {e.Message}", e);
        }
        return config;
    }

    private static PlipConfig EncodersAlone(PlipConfig config) => config with
    {
        Tasks = new TasksConfig { Ivlc = config.Tasks.Ivlc with { Enabled = true }, Tic = new TicConfig { Enabled = false }, Iap = new IapConfig { Enabled = false } },
    };

    /// <summary>
    /// The tensors by the model's names, gray statistics added. They fit the model, which is known before it takes memory: a few names in a small
    /// file could describe one of a thousand layers.
    /// </summary>
    /// <exception cref="FileFormatException">A tensor is missing, too many, or of another shape.</exception>
    internal static StateDict State(KnownWeights weights, PlipModel model)
    {
        var path = weights.File.Path;
        if (weights.Visual is not { } visual || weights.Text is not { } text)
            throw new FileFormatException(path, "", $"lacks an encoder: it holds {weights.Description}");
        var state = new StateDict();
        state.Add(visual.Tensors, "visual.");
        state.Add(text.Tensors, "textual.");
        // A file may have a pooler that its configuration does not use.
        if (model.Config.Text.Pooling == TextPooling.Mean) state = state.Rename(n => n.StartsWith("textual.pooler.", StringComparison.Ordinal) ? null : n);
        StartingWeights.AddGrayStatistics(state, model.NamedBuffers().Select(b => b.Name).ToHashSet(StringComparer.Ordinal));
        var report = Compare(model, state);
        return report.IsExact ? state : throw new FileFormatException(path, "", report.ToString());
    }

    private static LoadReport Compare(PlipModel model, StateDict state)
    {
        var shapes = model.NamedParameters().Select(p => (p.Name, Shape: p.Parameter.PyTorchShape, Optional: false))
            .Concat(model.NamedBuffers().Select(b => (b.Name, b.Buffer.Shape, Optional: b.Buffer.DType == DType.I64))).ToArray();
        var names = shapes.Select(s => s.Name).ToHashSet(StringComparer.Ordinal);
        return new LoadReport(
            [.. shapes.Where(s => !s.Optional && state.TryGet(s.Name) == null).Select(s => (s.Name, s.Shape))],
            [.. state.Where(e => !names.Contains(e.Key)).Select(e => (e.Key, e.Value.Shape))],
            [.. shapes.Where(s => state.TryGet(s.Name) is { } t && !StartingWeights.Fits(s.Shape, t.Shape)).Select(s => (s.Name, s.Shape, state[s.Name].Shape))]);
    }

    private static ModifiedResNetConfig Visual(string path, StateDict tensors, out int positions, out int embedding)
    {
        var width = Rows(path, tensors, "conv3.weight");
        var pool = tensors.TryGet("attnpool.positional_embedding");
        positions = pool == null ? -1 : Rows(path, tensors, "attnpool.positional_embedding") - 1;
        embedding = Rows(path, tensors, pool != null ? "attnpool.c_proj.weight" : "head.weight");
        return new ModifiedResNetConfig
        {
            Width = width,
            Layers = [.. Enumerable.Range(1, 4).Select(s => Numbered(tensors, FormattableString.Invariant($"layer{s}.")))],
            Head = pool != null ? ResNetHead.AttentionPool : ResNetHead.MaxLinear,
        };
    }

    private static BertConfig Text(string path, StateDict tensors)
    {
        var words = Rows(path, tensors, "embeddings.word_embeddings.weight");
        var width = tensors["embeddings.word_embeddings.weight"].Shape[-1];
        var positions = Rows(path, tensors, "embeddings.position_embeddings.weight");
        return new BertConfig
        {
            Layers = Numbered(tensors, "encoder.layer."),
            Width = width,
            Heads = Math.Max(1, width / HeadWidth),
            Intermediate = Rows(path, tensors, "encoder.layer.0.intermediate.dense.weight"),
            Positions = positions,
            MaxTokens = Math.Min(LongestCaption, positions),
            VocabularySize = words,
            Pooling = tensors.TryGet("pooler.dense.weight") != null ? TextPooling.Pooler : TextPooling.Mean,
            Dropout = 0,
        };
    }

    private static ImageConfig Image(string path, int positions)
    {
        if (positions < 0) return new ImageConfig();
        var across = (int)Math.Round(Math.Sqrt(positions / 2.0));
        return across >= 1 && 2 * across * across == positions
            ? new ImageConfig { Height = 2 * across * Stride, Width = across * Stride }
            : throw new ConfigException($"{path}: its attention pool has {positions} positions, which are no grid twice as high as wide; give a configuration that says image.height and image.width with --config");
    }

    private static ResNetHead Head(PlipConfig given, ModifiedResNetConfig found) =>
        found.Head == ResNetHead.MaxLinear && given.Visual is ModifiedResNetConfig { Head: ResNetHead.MeanLinear } ? ResNetHead.MeanLinear : found.Head;

    private static void RequireSame(string path, PlipConfig given, ModifiedResNetConfig picture, BertConfig words)
    {
        if (given.Visual is not ModifiedResNetConfig v) throw new ConfigException($"{path} holds CLIP's ModifiedResNet, and {given.Name} has another picture encoder");
        Same("visual.layers", string.Join(", ", picture.Layers), string.Join(", ", v.Layers));
        Same("visual.width", picture.Width, v.Width);
        Same("text.layers", words.Layers, given.Text.Layers);
        Same("text.width", words.Width, given.Text.Width);

        void Same<T>(string key, T file, T config) where T : IEquatable<T>
        {
            if (!file.Equals(config)) throw new ConfigException(string.Create(CultureInfo.InvariantCulture, $"{path} holds a model whose {key} is {file}, and {given.Name} says {config}"));
        }
    }

    private static int Rows(string path, StateDict tensors, string name) =>
        tensors.TryGet(name) is { Shape.Rank: > 0 } t ? t.Shape[0] : throw new FileFormatException(path, name, "is missing, or a single number: this is no PLIP of the released format");

    /// <summary>How many of "prefix0.", "prefix1.", … there are.</summary>
    private static int Numbered(StateDict tensors, string prefix)
    {
        var numbers = new HashSet<int>();
        foreach (var name in tensors.Names)
            if (name.StartsWith(prefix, StringComparison.Ordinal) && name.IndexOf('.', prefix.Length) is > 0 and var dot
                && int.TryParse(name.AsSpan(prefix.Length, dot - prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var n)) numbers.Add(n);
        return numbers.Count;
    }
}
