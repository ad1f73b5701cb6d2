using System.Security.Cryptography;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Text;
using Plip.Weights;

namespace Plip.Model;

/// <summary>
/// A trained model with its words, ready to embed. Everything it needs is in the checkpoint: weights, configuration,
/// vocabulary.
/// </summary>
/// <example><code>
/// using var device = new CpuDevice();
/// using var plip = PlipCheckpoint.Load(device, "out/quickstart/checkpoints/best");
/// var texts = plip.EmbedTexts(["a man in a red jacket"]);
/// </code></example>
public sealed class PlipCheckpoint : IDisposable
{
    /// <summary>Prefix of the model's tensors in a checkpoint.</summary>
    public const string ModelPrefix = "model.";

    /// <summary>Metadata keys of a checkpoint.</summary>
    public const string ConfigKey = "config", VocabularyKey = "vocabulary", TrainerKey = "trainer";

    private readonly ParameterStore _store;

    private PlipCheckpoint(Device device, PlipModel model, ParameterStore store, Vocabulary vocabulary, string path, long step, string hash)
    {
        (Device, Model, _store, Path, Step, Hash) = (device, model, store, path, step, hash);
        Captions = new CaptionEncoder(new CaptionTokenizer(vocabulary));
    }

    /// <summary>Where the model lives.</summary>
    public Device Device { get; }

    /// <summary>The model, in evaluation mode.</summary>
    public PlipModel Model { get; }

    /// <summary>Captions to tokens, with the model's vocabulary.</summary>
    public CaptionEncoder Captions { get; }

    /// <summary>The file that was read.</summary>
    public string Path { get; }

    /// <summary>The step it was saved at.</summary>
    public long Step { get; }

    /// <summary>The first 12 digits of the file's SHA-256, to stand beside figures.</summary>
    public string Hash { get; }

    /// <summary>
    /// Reads a checkpoint for inference: this program's, the authors' release (PLIP_MRN50.pth.tar), or both encoders by their names in any file that
    /// <see cref="WeightsFile"/> reads.
    /// </summary>
    /// <param name="path">A file, or a folder of which the newest valid checkpoint is taken.</param>
    /// <param name="expected">
    /// A configuration that its must equal in all that shapes the model; null takes any. Of files that carry none it says what shapes cannot:
    /// the picture, numbers of heads, the longest caption.
    /// </param>
    /// <param name="warn">Told of damaged newer files that were passed over.</param>
    /// <param name="precision">Storage of activations and matrices in its passes; embeddings are F32 always.</param>
    /// <param name="vocabulary">BERT's words, for files that carry none; a checkpoint of this program has its own.</param>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="FileFormatException">Damaged, or not of a PLIP.</exception>
    /// <exception cref="ConfigException">Of another configuration than expected, or a vocabulary is missing, too many, or of another size.</exception>
    public static PlipCheckpoint Load(
        Device device, string path, PlipConfig? expected = null, Action<string>? warn = null, Precision precision = Precision.F32, Vocabulary? vocabulary = null)
    {
        if (!Directory.Exists(path) && WeightsFile.FormatOf(path) != WeightsFormat.Checkpoint) return LoadForeign(device, path, expected, precision, vocabulary);
        using var file = Checkpoint.Open(path, warn);
        var (config, words) = Describe(file);
        if (expected != null) RequireSameModel(expected, config, file.Path);
        if (vocabulary != null && !vocabulary.Lines.SequenceEqual(words.Lines, StringComparer.Ordinal))
            throw new ConfigException($"{file.Path} carries the vocabulary it was trained with, and the one given is another; leave it out (--vocabulary is for files of other programs)");
        return Load(device, new PlipModel(config), file.Tensors.Under(ModelPrefix), words, precision, file.Path, file.Step);
    }

    private static PlipCheckpoint LoadForeign(Device device, string path, PlipConfig? given, Precision precision, Vocabulary? vocabulary)
    {
        using var file = WeightsFile.Open(path);
        var weights = KnownWeights.Of(file);
        var config = ReleasedCheckpoint.Describe(weights, given);
        var words = vocabulary ?? (file.Metadata.TryGetValue(VocabularyKey, out var lines) ? Vocabulary.FromLines(lines.Split('\n'), path) : null)
            ?? throw new ConfigException(FormattableString.Invariant($"{path} holds no vocabulary: give the vocab.txt that its text encoder was trained with, of {config.Text.VocabularySize} lines (BERT-base-uncased's has 30522), with --vocabulary"));
        if (words.Size != config.Text.VocabularySize)
            throw new ConfigException(FormattableString.Invariant($"{path} knows {config.Text.VocabularySize} word pieces, the vocabulary has {words.Size}; give the vocab.txt it was trained with"));
        var model = new PlipModel(config);
        return Load(device, model, ReleasedCheckpoint.State(weights, model), words, precision, path, 0);
    }

    private static PlipCheckpoint Load(Device device, PlipModel model, StateDict state, Vocabulary words, Precision precision, string path, long step)
    {
        var store = model.Materialize(device, training: false, precision);
        try
        {
            store.Load(state);
        }
        catch
        {
            store.Dispose();
            throw;
        }
        model.Eval();
        return new PlipCheckpoint(device, model, store, words, path, step, Digest(path));
    }

    /// <summary>Embeds texts: (Count, D), row-major, L2-normalised.</summary>
    public float[] EmbedTexts(IReadOnlyList<string> texts) => Evaluation.Embedder.Texts(Device, Model, Captions, texts);

    /// <summary>Embeds pictures: (Count, D), row-major, L2-normalised.</summary>
    /// <param name="batch">Pictures at once, 1 or more.</param>
    public float[] EmbedImages(IReadOnlyList<Picture> pictures, int batch = 64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        var (image, dim) = (Model.Config.Image, Model.Config.Text.Width);
        var transform = new ImageTransform(image.ToSettings());
        var values = new float[checked(pictures.Count * dim)];
        var pixels = new float[Math.Min(batch, pictures.Count) * transform.Size];
        for (var start = 0; start < pictures.Count; start += batch)
        {
            var count = Math.Min(batch, pictures.Count - start);
            for (var i = 0; i < count; i++) transform.Apply(pictures[start + i], default, pixels.AsSpan(i * transform.Size, transform.Size));
            using var step = Device.BeginStep(recordGradients: false);
            var x = Tensor.From(Device, pixels.AsSpan(0, count * transform.Size), new Shape(count, image.Height, image.Width, 3));
            Model.EmbedImages(x).CopyTo(values.AsSpan(start * dim, count * dim));
        }
        return values;
    }

    /// <summary>The configuration and vocabulary a checkpoint carries.</summary>
    /// <exception cref="FileFormatException">It carries none.</exception>
    internal static (PlipConfig Config, Vocabulary Vocabulary) Describe(Checkpoint file)
    {
        if (!file.Metadata.TryGetValue(ConfigKey, out var json) || !file.Metadata.TryGetValue(VocabularyKey, out var words))
            throw new FileFormatException(file.Path, "", "is a checkpoint, but not of a PLIP model: its metadata lacks the configuration or the vocabulary");
        return (ConfigFile.Parse(json, file.Path), Vocabulary.FromLines(words.Split('\n'), file.Path));
    }

    /// <summary>Compares what shapes the model; how it was trained may differ.</summary>
    internal static void RequireSameModel(PlipConfig expected, PlipConfig found, string path)
    {
        // A configuration that leaves the vocabulary's size open takes any.
        var words = expected.Text.VocabularySize > 0 ? expected.Text.VocabularySize : found.Text.VocabularySize;
        expected = expected with { Text = expected.Text with { VocabularySize = words } };
        PlipConfig Shapes(PlipConfig c) => c with { Name = "", Training = new TrainingConfig() };
        var (a, b) = (ConfigFile.ToJson(Shapes(expected)).Split('\n'), ConfigFile.ToJson(Shapes(found)).Split('\n'));
        var line = Enumerable.Range(0, Math.Max(a.Length, b.Length)).FirstOrDefault(i => i >= a.Length || i >= b.Length || a[i] != b[i], -1);
        if (line >= 0)
            throw new ConfigException($"{path} is of another configuration: it has {b.ElementAtOrDefault(line)?.Trim() ?? "nothing"} where {expected.Name} has {a.ElementAtOrDefault(line)?.Trim() ?? "nothing"}. Use its own configuration, or another folder.");
    }

    private static string Digest(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream))[..12];
    }

    /// <summary>Returns the model's memory.</summary>
    public void Dispose() => _store.Dispose();
}
