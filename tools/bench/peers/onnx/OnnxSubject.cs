using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Bench.Peers;

/// <summary>
/// Our model, for its weights and to compare with. The side that is not exported is made as small as it can be: initial
/// values are a function of the seed and a parameter's name, so the other side's are those of the whole model.
/// </summary>
internal sealed class OnnxSubject : IDisposable
{
    private readonly CpuDevice _device;
    private readonly PlipModel _model;
    private readonly ParameterStore _store;

    private OnnxSubject(PlipConfig config, int threads)
    {
        Config = config with { Tasks = new TasksConfig { Tic = new TicConfig { Enabled = false }, Iap = new IapConfig { Enabled = false } } };
        _device = new CpuDevice(threads);
        _model = new PlipModel(Config);
        _store = _model.Materialize(_device, training: false);
        _model.Eval();
    }

    /// <summary>What the model was built from.</summary>
    public PlipConfig Config { get; }

    /// <summary>The weights.</summary>
    public StateDict State => _store.StateDict();

    /// <summary>A model whose picture side is the configuration's.</summary>
    public static OnnxSubject Pictures(PlipConfig config, int threads) =>
        new(config with { Text = config.Text with { Layers = 1, VocabularySize = 8, FrozenLayers = 0 } }, threads);

    /// <summary>A model whose text side is the configuration's.</summary>
    public static OnnxSubject Texts(PlipConfig config, int threads) =>
        new(config with { Visual = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 2 } }, threads);

    /// <summary>Our embeddings of pictures (count, H, W, 3).</summary>
    public float[] EmbedPictures(float[] pixels, int count)
    {
        using var step = _device.BeginStep(recordGradients: false);
        return _model.EmbedImages(Tensor.From(_device, pixels, new Shape(count, Config.Image.Height, Config.Image.Width, 3))).ToArray();
    }

    /// <summary>Our embeddings of packed captions.</summary>
    public float[] EmbedTexts(int[] ids, int[] offsets)
    {
        using var step = _device.BeginStep(recordGradients: false);
        return _model.EmbedText(PackedText.From(_device, ids, offsets)).ToArray();
    }

    /// <summary>
    /// Gives the fresh model weights and statistics of the size that training leaves: zero biases, unit scales, uniform
    /// attention and untouched running statistics would hide mistakes.
    /// </summary>
    /// <param name="pixels">A batch for the statistics.</param>
    /// <param name="count">Pictures in it, two or more.</param>
    public void Unsettle(float[] pixels, int count)
    {
        var random = new Philox(99, 1);
        var at = 0ul;
        foreach (var (name, parameter) in _store.Parameters)
        {
            // Other matrices start well; those of queries and keys so small that all scores are alike.
            var asks = name.EndsWith("query.weight", StringComparison.Ordinal) || name.EndsWith("key.weight", StringComparison.Ordinal)
                || name.EndsWith("q_proj.weight", StringComparison.Ordinal) || name.EndsWith("k_proj.weight", StringComparison.Ordinal);
            if (parameter.Shape.Rank > 1 && !asks) continue;
            var scale = asks ? 1 / MathF.Sqrt(parameter.Shape[1]) : 0.2f;
            var values = parameter.Value.ToArray();
            for (var i = 0; i < values.Length; i++) values[i] += scale * random.Normal(at++);
            parameter.Value.CopyFrom<float>(values);
        }

        _model.Train();
        EmbedPictures(pixels, count);
        _model.Eval();
        // A training pass leaves a tenth of the batch's statistics in the running ones; solved for, they are the batch's.
        foreach (var (name, buffer) in _model.NamedBuffers())
        {
            var variance = name.EndsWith("running_var", StringComparison.Ordinal);
            if (!variance && !name.EndsWith("running_mean", StringComparison.Ordinal)) continue;
            var values = buffer.Value.ToArray();
            for (var i = 0; i < values.Length; i++) values[i] = variance ? MathF.Max(1e-4f, (values[i] - 0.9f) / 0.1f) : values[i] / 0.1f;
            buffer.Value.CopyFrom<float>(values);
        }
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose()
    {
        _store.Dispose();
        _device.Dispose();
    }
}
