using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;

namespace Plip.Bench.Peers;

/// <summary>
/// The text side of a model as ONNX: "ids" and "mask", both I64 (B, T) with 1 in the mask for a token and 0 for padding,
/// to "embeddings" (B, D), L2-normalised.
/// </summary>
/// <remarks>
/// Attention is the runtime's own operator, which its tool for transformers puts in its place too: the optimiser of a
/// session does not find attention written in opset 17's operators, and on two cores that took a tenth longer. The
/// runtime's SkipLayerNormalization is left out: it was slower than Add and LayerNormalization.
/// </remarks>
internal sealed class OnnxTextExport
{
    private const float Epsilon = 1e-12f; // BERT's

    private readonly OnnxWriter _graph = new("plip-texts");
    private readonly OnnxWeights _weights;
    private readonly BertConfig _config;

    private OnnxTextExport(BertConfig config, StateDict state) => (_config, _weights) = (config, new OnnxWeights(_graph, state));

    /// <summary>The encoded model.</summary>
    /// <param name="config">Of the model the state is of.</param>
    /// <param name="state">The model's; its text side lies under "textual.".</param>
    public static byte[] Export(PlipConfig config, StateDict state) => new OnnxTextExport(config.Text, state.Under("textual.")).Write();

    private byte[] Write()
    {
        var ids = _graph.Input("ids", OnnxType.Int64, "batch", "tokens");
        var mask = _graph.Input("mask", OnnxType.Int64, "batch", "tokens");
        var x = Embed(ids);
        var keys = _graph.Node("Cast", [mask], OnnxAttribute.Of("to", (long)OnnxType.Int32));
        for (var l = 0; l < _config.Layers; l++) x = Layer(x, keys, FormattableString.Invariant($"encoder.layer.{l}."));
        x = _config.Pooling == TextPooling.Mean ? Mean(x, mask) : First(x);
        _graph.Named("embeddings", "LpNormalization", [x], OnnxAttribute.Of("axis", -1L), OnnxAttribute.Of("p", 2L));
        _graph.Output("embeddings", "batch", _config.Width);
        return _graph.ToModel();
    }

    /// <summary>Words, positions and token type 0, normalised: (B, T, C).</summary>
    private string Embed(string ids)
    {
        var words = _graph.Node("Gather", [_weights.Take("embeddings.word_embeddings.weight"), ids]);
        var length = _graph.Node("Slice", [_graph.Node("Shape", [ids]), _graph.Integers(1), _graph.Integers(2)]);
        var positions = _graph.Node("Slice", [_weights.Take("embeddings.position_embeddings.weight"), _graph.Integers(0), length, _graph.Integers(0)]);
        var type = _graph.Node("Slice", [_weights.Take("embeddings.token_type_embeddings.weight"), _graph.Integers(0), _graph.Integers(1), _graph.Integers(0)]);
        var x = _graph.Node("Add", [words, _graph.Node("Add", [positions, type])]);
        return _weights.LayerNorm(x, "embeddings.LayerNorm", Epsilon);
    }

    private string Layer(string x, string keys, string at)
    {
        var a = _weights.Linear(Attend(x, keys, at + "attention.self."), at + "attention.output.dense");
        x = _weights.LayerNorm(_graph.Node("Add", [a, x]), at + "attention.output.LayerNorm", Epsilon);
        var h = _weights.Linear(Gelu(_weights.Linear(x, at + "intermediate.dense")), at + "output.dense");
        return _weights.LayerNorm(_graph.Node("Add", [h, x]), at + "output.LayerNorm", Epsilon);
    }

    /// <summary>Self-attention up to its output projection, all heads: (B, T, C) to the same shape.</summary>
    private string Attend(string x, string keys, string at)
    {
        var (weight, bias) = _weights.SideBySide(at + "qkv", at + "query", at + "key", at + "value");
        return _graph.RuntimeNode("Attention", [x, weight, bias, keys], OnnxAttribute.Of("num_heads", (long)_config.Heads));
    }

    /// <summary>x·Φ(x) from Erf, which the runtime fuses with the bias before it.</summary>
    private string Gelu(string x)
    {
        var erf = _graph.Node("Erf", [_graph.Node("Div", [x, _graph.Scalar(MathF.Sqrt(2))])]);
        return _graph.Node("Mul", [_graph.Node("Mul", [x, _graph.Node("Add", [erf, _graph.Scalar(1)])]), _graph.Scalar(0.5f)]);
    }

    /// <summary>Mean over the tokens that are not padding: the mask's row times the hidden states, over the mask's sum.</summary>
    private string Mean(string x, string mask)
    {
        var tokens = _graph.Node("Cast", [mask], OnnxAttribute.Of("to", (long)OnnxType.Float));
        var sum = _graph.Node("MatMul", [_graph.Node("Unsqueeze", [tokens, _graph.Integers(1)]), x]); // (B, 1, C)
        var count = _graph.Node("ReduceSum", [tokens, _graph.Integers(1)], OnnxAttribute.Of("keepdims", 1L));
        return _graph.Node("Div", [_graph.Node("Squeeze", [sum, _graph.Integers(1)]), count]);
    }

    /// <summary>The released checkpoint's pooling: tanh of a dense layer on [CLS].</summary>
    private string First(string x)
    {
        var first = _graph.Node("Slice", [x, _graph.Integers(0), _graph.Integers(1), _graph.Integers(1)]);
        return _graph.Node("Tanh", [_weights.Linear(_graph.Node("Reshape", [first, _graph.Integers(0, _config.Width)]), "pooler.dense")]);
    }
}
