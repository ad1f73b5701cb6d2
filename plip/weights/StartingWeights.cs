using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Weights;

/// <summary>Starts an encoder of a model from weights that others trained. What does not fit keeps its initial value, and the report says why.</summary>
/// <example><code>
/// using var store = model.Materialize(device);
/// Console.WriteLine(StartingWeights.Visual(model, store, "RN50.pt").Brief());
/// Console.WriteLine(StartingWeights.Text(model, store, "bert-base-uncased/model.safetensors").Brief());
/// </code></example>
public static class StartingWeights
{
    private const string VisualName = "visual", TextName = "textual";

    /// <summary>Starts the picture encoder.</summary>
    /// <param name="path">A file or folder that <see cref="WeightsFile.Open"/> reads.</param>
    /// <exception cref="FileFormatException">Damaged, or without a picture encoder.</exception>
    /// <exception cref="ConfigException">Nothing in it fits the model's encoder.</exception>
    public static StartReport Visual(PlipModel model, ParameterStore store, string path)
    {
        using var file = WeightsFile.Open(path);
        var known = KnownWeights.Of(file);
        return Load(model, store, known, known.Visual, VisualName, "picture");
    }

    /// <summary>Starts the text encoder.</summary>
    /// <param name="path">A file or folder that <see cref="WeightsFile.Open"/> reads.</param>
    /// <exception cref="FileFormatException">Damaged, or without a BERT.</exception>
    /// <exception cref="ConfigException">Nothing in it fits the model's encoder.</exception>
    public static StartReport Text(PlipModel model, ParameterStore store, string path)
    {
        using var file = WeightsFile.Open(path);
        var known = KnownWeights.Of(file);
        return Load(model, store, known, known.Text, TextName, "text");
    }

    /// <summary>
    /// The running statistics of gray pictures as copies of the coloured ones', where a model keeps both and a state has one:
    /// "running_mean_1" beside each "running_mean".
    /// </summary>
    /// <param name="names">The model's names.</param>
    /// <returns>How many layers got copies.</returns>
    internal static int AddGrayStatistics(StateDict state, IReadOnlySet<string> names)
    {
        var copies = state.Where(e => (e.Key.EndsWith(".running_mean", StringComparison.Ordinal) || e.Key.EndsWith(".running_var", StringComparison.Ordinal))
            && names.Contains(e.Key + "_1") && state.TryGet(e.Key + "_1") == null).ToList();
        foreach (var (name, tensor) in copies) state.Add(name + "_1", tensor);
        return copies.Count / 2;
    }

    private static StartReport Load(PlipModel model, ParameterStore store, KnownWeights known, EncoderWeights? weights, string encoder, string what)
    {
        var path = known.File.Path;
        if (weights == null)
            throw new FileFormatException(path, "", $"holds no {what} encoder to start from: it is {known.Description}. See: plip weights inspect");
        var prefix = encoder + ".";
        var shapes = store.StateDict().Under(prefix).ToDictionary(e => e.Key, e => e.Value.Shape, StringComparer.Ordinal);
        var state = new StateDict();
        var notes = new List<string>();
        foreach (var (name, tensor) in weights.Tensors)
        {
            var taken = tensor;
            if (PositionTable.Is(name) && shapes.TryGetValue(name, out var shape) && shape != tensor.Shape && PositionTable.Resample(tensor, shape, model.Config.Image) is { } resampled)
            {
                taken = resampled.Table;
                notes.Add($"{name}: {resampled.Note}");
            }
            state.Add(name, taken);
        }
        if (AddGrayStatistics(state, shapes.Keys.ToHashSet(StringComparer.Ordinal)) is > 0 and var layers)
            notes.Add(FormattableString.Invariant($"the gray pass's running statistics of {layers} batch norms start as copies of the colour pass's"));
        if (weights.Family == WeightsFamily.PlainResNet)
            notes.Add("trained with strides in the 3×3 convolutions, where this encoder has average pools: a start, not the same function");

        if (Beside(known, weights) is { } beside) notes.Add(beside);

        var report = Compare(model, known, weights, encoder, shapes, state, notes);
        if (report.Matched.Count == 0)
            throw new ConfigException($"{path} holds {weights.Family.Describe()}, and nothing of it fits the {what} encoder of {model.Config.Name}; choose a configuration of that architecture and size");
        var fitting = state.Rename(name => shapes.TryGetValue(name, out var shape) && Fits(shape, state[name].Shape) ? prefix + name : null);
        store.Load(fitting, strict: false);
        return report;
    }

    private static StartReport Compare(
        PlipModel model, KnownWeights known, EncoderWeights weights, string encoder, Dictionary<string, Shape> shapes, StateDict state, List<string> notes)
    {
        List<string> matched = [];
        List<StartDifference> missing = [], other = [], unused = [];
        long elements = 0;
        foreach (var (name, shape) in shapes)
        {
            if (state.TryGet(name) is not { } tensor)
            {
                // A counter that old files lack starts at 0, which is what it would say; what follows from sizes is there already.
                if (!name.EndsWith("num_batches_tracked", StringComparison.Ordinal) && !EncoderNames.IsDerived(name)) missing.Add(new(name, shape, null, WhyMissing(weights.Family, name)));
            }
            else if (Fits(shape, tensor.Shape))
            {
                matched.Add(name);
                elements += shape.Count;
            }
            else other.Add(new(name, shape, tensor.Shape, WhyOther(name, shape, tensor.Shape)));
        }
        foreach (var (name, tensor) in state)
            if (!shapes.ContainsKey(name)) unused.Add(new(weights.Prefix + name, null, tensor.Shape, WhyUnused(model.Config, name)));
        foreach (var left in weights.LeftOut) unused.Add(new(weights.Prefix + left.Name, null, left.Shape, left.Why));
        return new StartReport(
            encoder, known.File.Path, known.Description, matched, shapes.Count, elements, shapes.Values.Sum(s => s.Count), missing, other, unused, notes);
    }

    /// <summary>What lies in the file outside its encoders: BERT's heads for its own pre-training, CLIP's text encoder.</summary>
    private static string? Beside(KnownWeights known, EncoderWeights weights)
    {
        var prefixes = new[] { known.Visual?.Prefix, known.Text?.Prefix }.OfType<string>().ToArray();
        var names = known.File.Tensors.Names.Where(n => !prefixes.Any(p => n.StartsWith(p, StringComparison.Ordinal))).ToArray();
        if (names.Length == 0) return null;
        var parts = names.Select(n => n.Split('.')[0]).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(Printable.Text).ToArray();
        return FormattableString.Invariant($"{names.Length} tensors of the file are no part of {weights.Family.Describe()} and not used ({string.Join(", ", parts.Take(4))}{(parts.Length > 4 ? ", …" : "")})");
    }

    /// <summary>Scalars are written (1) by some programs.</summary>
    internal static bool Fits(Shape model, Shape file) => model == file || (model.Rank == 0 && file.Rank == 1 && file.Count == 1);

    /// <summary>"heads.head." is ViT's.</summary>
    private static bool IsHead(string name) => name.StartsWith("head.", StringComparison.Ordinal) || name.StartsWith("heads.", StringComparison.Ordinal);

    private static string WhyMissing(WeightsFamily family, string name)
    {
        if (IsHead(name)) return "the head to the joint embedding is new: it starts from its initial value";
        if (family == WeightsFamily.PlainResNet && !name.StartsWith("layer", StringComparison.Ordinal) && !name.StartsWith("attnpool.", StringComparison.Ordinal))
            return "CLIP's stem is three 3×3 convolutions, a plain ResNet's one of 7×7: it starts from its initial value";
        return name.StartsWith("attnpool.", StringComparison.Ordinal) || name.StartsWith("pooler.", StringComparison.Ordinal)
            ? "the file has no such pooling: it starts from its initial value"
            : "not in the file: it starts from its initial value";
    }

    private static string WhyOther(string name, Shape model, Shape file)
    {
        if (name == "embeddings.word_embeddings.weight" && file.Rank == 2 && file[1] == model[1])
            return FormattableString.Invariant($"the file knows {file[0]} word pieces, this run {model[0]}: give its vocab.txt with --vocabulary");
        if (IsHead(name)) return "the head is of another task (classes, not the joint embedding): it starts from its initial value";
        if (name.StartsWith("attnpool.c_proj.", StringComparison.Ordinal)) return "the joint embedding has another width: it starts from its initial value";
        return name.EndsWith("relative_position_bias_table", StringComparison.Ordinal)
            ? "the windows have another size: it starts from its initial value"
            : "of another size: it starts from its initial value";
    }

    private static string WhyUnused(PlipConfig config, string name)
    {
        if (name.StartsWith("attnpool.", StringComparison.Ordinal))
            return $"an attention pool, and the head of {config.Name} is {(config.Visual as ModifiedResNetConfig)?.Head.ToString() ?? "another"} (visual.head)";
        if (name.StartsWith("pooler.", StringComparison.Ordinal)) return $"BERT's pooler, and {config.Name} takes the {config.Text.Pooling} (text.pooling)";
        if (EncoderNames.IsDerived(name)) return EncoderNames.DerivedReason;
        if (IsHead(name) || name.StartsWith("fc.", StringComparison.Ordinal)) return "a classifier";
        return name.StartsWith("encoder.layer.", StringComparison.Ordinal) || name.StartsWith("layer", StringComparison.Ordinal)
            ? "the file's encoder is deeper than this one"
            : "no part of this encoder";
    }
}
