using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;

namespace Plip.Bench.Peers;

/// <summary>
/// The picture side of a model as ONNX: "pictures" (B, H, W, 3) to "embeddings" (B, D), L2-normalised. Pictures come in
/// our order; one Transpose turns them to NCHW, which ONNX's operators are defined on. Batch norms are written as they
/// are, in their evaluation form: the runtime folds them into the convolutions.
/// </summary>
internal sealed class OnnxPictureExport
{
    private readonly OnnxWriter _graph = new("plip-pictures");
    private readonly OnnxWeights _weights;

    private OnnxPictureExport(StateDict state) => _weights = new OnnxWeights(_graph, state);

    /// <summary>The encoded model.</summary>
    /// <param name="config">Of the model the state is of.</param>
    /// <param name="state">The model's; its picture side lies under "visual.".</param>
    /// <exception cref="ArgumentException">The picture encoder is not a ModifiedResNet.</exception>
    public static byte[] Export(PlipConfig config, StateDict state)
    {
        if (config.Visual is not ModifiedResNetConfig visual)
            throw new ArgumentException($"only ModifiedResNet can be exported to ONNX, got {config.Visual.GetType().Name}");
        return new OnnxPictureExport(state.Under("visual.")).Write(config.Image, visual, config.Text.Width);
    }

    private byte[] Write(ImageConfig image, ModifiedResNetConfig config, int embedding)
    {
        var x = _graph.Input("pictures", OnnxType.Float, "batch", image.Height, image.Width, 3);
        x = _graph.Node("Transpose", [x], OnnxAttribute.Of("perm", 0, 3, 1, 2));
        x = Relu(Norm(Conv(x, "conv1", 2), "bn1"));
        x = Relu(Norm(Conv(x, "conv2"), "bn2"));
        x = Relu(Norm(Conv(x, "conv3"), "bn3"));
        x = Pool(x, 2);
        for (var s = 0; s < 4; s++)
            for (var b = 0; b < config.Layers[s]; b++) x = Bottleneck(x, FormattableString.Invariant($"layer{s + 1}.{b}."), b == 0 && s > 0 ? 2 : 1);
        x = config.Head == ResNetHead.MaxLinear
            ? _weights.Linear(_graph.Node("Flatten", [_graph.Node("GlobalMaxPool", [x])]), "head")
            : AttentionPool(x, config.Heads);
        _graph.Named("embeddings", "LpNormalization", [x], OnnxAttribute.Of("axis", -1L), OnnxAttribute.Of("p", 2L));
        _graph.Output("embeddings", "batch", embedding);
        return _graph.ToModel();
    }

    private string Bottleneck(string x, string at, int stride)
    {
        var y = Relu(Norm(Conv(x, at + "conv1"), at + "bn1"));
        y = Relu(Norm(Conv(y, at + "conv2"), at + "bn2"));
        if (stride > 1) y = Pool(y, stride);
        y = Norm(Conv(y, at + "conv3"), at + "bn3");
        if (_weights.Has(at + "downsample.0.weight"))
        {
            if (stride > 1) x = Pool(x, stride);
            x = Norm(Conv(x, at + "downsample.0"), at + "downsample.1");
        }
        return Relu(_graph.Node("Add", [y, x]));
    }

    /// <summary>CLIP's attention pool: the mean joins the positions as token 0 and alone asks.</summary>
    private string AttentionPool(string x, int heads)
    {
        var channels = _weights.ShapeOf("attnpool.positional_embedding")[1];
        var tokens = _graph.Node("Reshape", [x, _graph.Integers(0, channels, -1)]);
        tokens = _graph.Node("Transpose", [tokens], OnnxAttribute.Of("perm", 0, 2, 1)); // (B, P, C)
        var mean = _graph.Node("ReduceMean", [tokens], OnnxAttribute.Of("axes", [1]), OnnxAttribute.Of("keepdims", 1L));
        tokens = _graph.Node("Concat", [mean, tokens], OnnxAttribute.Of("axis", 1L));
        tokens = _graph.Node("Add", [tokens, _weights.Take("attnpool.positional_embedding")]);
        var first = _graph.Node("Slice", [tokens, _graph.Integers(0), _graph.Integers(1), _graph.Integers(1)]);
        var q = Heads(_weights.Linear(first, "attnpool.q_proj"), 0, 2, 1, 3);  // (B, heads, 1, d)
        var k = Heads(_weights.Linear(tokens, "attnpool.k_proj"), 0, 2, 3, 1); // (B, heads, d, 1 + P)
        var v = Heads(_weights.Linear(tokens, "attnpool.v_proj"), 0, 2, 1, 3);
        var scores = _graph.Node("Mul", [_graph.Node("MatMul", [q, k]), _graph.Scalar(1 / MathF.Sqrt(channels / heads))]);
        var pooled = _graph.Node("MatMul", [_graph.Node("Softmax", [scores], OnnxAttribute.Of("axis", -1L)), v]);
        return _weights.Linear(_graph.Node("Reshape", [pooled, _graph.Integers(0, channels)]), "attnpool.c_proj");

        string Heads(string t, params ReadOnlySpan<long> perm) =>
            _graph.Node("Transpose", [_graph.Node("Reshape", [t, _graph.Integers(0, 0, heads, channels / heads)])], OnnxAttribute.Of("perm", perm));
    }

    private string Conv(string x, string name, long stride = 1)
    {
        var size = _weights.ShapeOf(name + ".weight")[2];
        long pad = size / 2;
        return _graph.Node("Conv", [x, _weights.Take(name + ".weight")], OnnxAttribute.Of("kernel_shape", size, size),
            OnnxAttribute.Of("strides", stride, stride), OnnxAttribute.Of("pads", pad, pad, pad, pad));
    }

    private string Norm(string x, string name) => _graph.Node("BatchNormalization",
        [x, _weights.Take(name + ".weight"), _weights.Take(name + ".bias"), _weights.Take(name + ".running_mean"), _weights.Take(name + ".running_var")],
        OnnxAttribute.Of("epsilon", 1e-5f));

    private string Relu(string x) => _graph.Node("Relu", [x]);

    private string Pool(string x, long k) =>
        _graph.Node("AveragePool", [x], OnnxAttribute.Of("kernel_shape", k, k), OnnxAttribute.Of("strides", k, k));
}
