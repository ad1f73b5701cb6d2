using Microsoft.ML.OnnxRuntime;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Bench.Peers;

/// <summary>
/// One of a model's encoders in ONNX Runtime on the CPU, with a batch bound to it: what a .NET program would embed with if
/// it did not use ours. Graph optimisation is at its highest level: batch norms, additions and clamps are folded into
/// convolutions in the runtime's blocked layout, biases into GELU.
/// </summary>
internal sealed class OnnxPeer : IDisposable
{
    private static readonly string[] Outputs = ["embeddings"];

    private readonly InferenceSession _session;
    private readonly RunOptions _options = new();
    private readonly string[] _names;
    private readonly OrtValue[] _inputs, _outputs;

    private OnnxPeer(byte[] model, int threads, int count, int dim, string[] names, OrtValue[] inputs)
    {
        (_names, _inputs) = (names, inputs);
        Embeddings = new float[checked(count * dim)];
        _outputs = [OrtValue.CreateTensorValueFromMemory(Embeddings, [count, dim])];
        using var options = new SessionOptions
        {
            IntraOpNumThreads = threads, // the calling one among them
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
        };
        // Its threads may spin inside a run but not after it: what is timed next would pay for that.
        options.AddSessionConfigEntry("session.force_spinning_stop", "1");
        _session = new InferenceSession(model, options);
    }

    /// <summary>The runtime's version.</summary>
    public static string Version => OrtEnv.Instance().GetVersionString();

    /// <summary>What the last <see cref="Run"/> computed: (count, D), row-major, L2-normalised.</summary>
    public float[] Embeddings { get; }

    /// <summary>The picture encoder and a batch of normalised pictures.</summary>
    /// <param name="config">Of the model.</param>
    /// <param name="state">The model's weights.</param>
    /// <param name="pixels">(count, H, W, 3) as ours takes them; stays pinned until the peer is disposed.</param>
    /// <param name="count">Pictures.</param>
    /// <param name="threads">Threads of the runtime.</param>
    /// <exception cref="ArgumentException">The pixels are not those of so many pictures, or the encoder cannot be exported.</exception>
    public static OnnxPeer Pictures(PlipConfig config, StateDict state, float[] pixels, int count, int threads)
    {
        var image = config.Image;
        var values = (long)count * image.Height * image.Width * 3;
        if (pixels.Length != values) throw new ArgumentException($"{count} pictures of {image.Height}×{image.Width} hold {values} values, got {pixels.Length}");
        var input = OrtValue.CreateTensorValueFromMemory(pixels, [count, image.Height, image.Width, 3]);
        return new OnnxPeer(OnnxPictureExport.Export(config, state), threads, count, config.Text.Width, ["pictures"], [input]);
    }

    /// <summary>The text encoder and a batch of captions, padded to the longest: the runtime has no packed form.</summary>
    /// <param name="config">Of the model.</param>
    /// <param name="state">The model's weights.</param>
    /// <param name="ids">All captions, one after the other, as ours takes them.</param>
    /// <param name="offsets">Where each caption begins, and the number of ids at the end.</param>
    /// <param name="threads">Threads of the runtime.</param>
    /// <exception cref="ArgumentException">The offsets do not run from 0 to the number of ids, or a caption is empty.</exception>
    public static OnnxPeer Texts(PlipConfig config, StateDict state, ReadOnlySpan<int> ids, ReadOnlySpan<int> offsets, int threads)
    {
        var (count, longest) = (offsets.Length - 1, 0);
        if (count < 1 || offsets[0] != 0 || offsets[count] != ids.Length) throw new ArgumentException($"offsets must run from 0 to the number of ids, {ids.Length}");
        for (var b = 0; b < count; b++)
        {
            if (offsets[b + 1] <= offsets[b]) throw new ArgumentException($"caption {b} is empty");
            longest = Math.Max(longest, offsets[b + 1] - offsets[b]);
        }
        var (padded, mask) = (new long[count * longest], new long[count * longest]);
        for (var b = 0; b < count; b++)
            for (var i = offsets[b]; i < offsets[b + 1]; i++)
                (padded[b * longest + i - offsets[b]], mask[b * longest + i - offsets[b]]) = (ids[i], 1);
        long[] shape = [count, longest];
        return new OnnxPeer(
            OnnxTextExport.Export(config, state), threads, count, config.Text.Width, ["ids", "mask"],
            [OrtValue.CreateTensorValueFromMemory(padded, shape), OrtValue.CreateTensorValueFromMemory(mask, shape)]);
    }

    /// <summary>Embeds the batch, without copies in or out: what is timed.</summary>
    public void Run() => _session.Run(_options, _names, _inputs, Outputs, _outputs);

    /// <summary>Closes the session and unpins the batch.</summary>
    public void Dispose()
    {
        foreach (var value in _inputs) value.Dispose();
        foreach (var value in _outputs) value.Dispose();
        _options.Dispose();
        _session.Dispose();
    }
}
