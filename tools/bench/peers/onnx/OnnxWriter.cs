using System.Globalization;
using System.Runtime.InteropServices;

namespace Plip.Bench.Peers;

/// <summary>Element types of ONNX tensors that the exports use; the numbers are TensorProto.DataType's.</summary>
internal enum OnnxType
{
    /// <summary>32-bit floating point.</summary>
    Float = 1,

    /// <summary>32-bit integer.</summary>
    Int32 = 6,

    /// <summary>64-bit integer.</summary>
    Int64 = 7,
}

/// <summary>An extent of an input or output: a number, or a name for one that is known only when the model runs.</summary>
internal readonly record struct OnnxExtent(long Value, string? Name)
{
    /// <summary>A fixed extent.</summary>
    public static implicit operator OnnxExtent(long value) => new(value, null);

    /// <summary>A symbolic extent.</summary>
    public static implicit operator OnnxExtent(string name) => new(0, name);
}

/// <summary>A constant of a node, named as the operator's definition names it.</summary>
/// <param name="Message">AttributeProto.</param>
internal readonly record struct OnnxAttribute(OnnxMessage Message)
{
    /// <summary>An integer.</summary>
    public static OnnxAttribute Of(string name, long value) => new(new OnnxMessage().Add(1, name).Add(3, value).Add(20, 2));

    /// <summary>A float.</summary>
    public static OnnxAttribute Of(string name, float value) => new(new OnnxMessage().Add(1, name).Add(2, value).Add(20, 1));

    /// <summary>Integers.</summary>
    public static OnnxAttribute Of(string name, params ReadOnlySpan<long> values)
    {
        var message = new OnnxMessage().Add(1, name);
        foreach (var value in values) message.Add(8, value);
        return new(message.Add(20, 7));
    }
}

/// <summary>
/// Builds an ONNX model (onnx.ai, ModelProto) node by node: each call returns the name of the value it made, for the nodes
/// that use it. Field numbers are those of onnx.proto, which never change.
/// </summary>
/// <param name="name">The graph's name.</param>
internal sealed class OnnxWriter(string name)
{
    /// <summary>
    /// Version of the standard operators: the first with LayerNormalization. A later one gains nothing here, and the
    /// runtime's fusions know the older forms best.
    /// </summary>
    public const int Opset = 17;

    private const int IrVersion = 8; // opset 17's

    // ONNX Runtime's own operators, beside the standard's.
    private const string RuntimeDomain = "com.microsoft";

    private readonly List<OnnxMessage> _nodes = [], _weights = [], _inputs = [], _outputs = [];
    private int _values;

    /// <summary>Declares an input; rows and lengths that vary have symbolic extents.</summary>
    public string Input(string input, OnnxType type, params ReadOnlySpan<OnnxExtent> shape)
    {
        _inputs.Add(Declaration(input, type, shape));
        return input;
    }

    /// <summary>Declares that a value, which a node made under this name, is an F32 output.</summary>
    public void Output(string output, params ReadOnlySpan<OnnxExtent> shape) => _outputs.Add(Declaration(output, OnnxType.Float, shape));

    /// <summary>Adds a constant tensor.</summary>
    /// <param name="weight">Its name.</param>
    /// <param name="type">Its type.</param>
    /// <param name="data">Elements, little-endian and row-major; not copied.</param>
    /// <param name="shape">Extents.</param>
    public string Weight(string weight, OnnxType type, byte[] data, params ReadOnlySpan<long> shape)
    {
        var tensor = new OnnxMessage();
        foreach (var extent in shape) tensor.Add(1, extent);
        _weights.Add(tensor.Add(2, (long)type).Add(8, weight).Add(9, data));
        return weight;
    }

    /// <summary>Adds a vector of integers: a shape, axes, indices.</summary>
    public string Integers(params ReadOnlySpan<long> values) =>
        Weight(NewName("integers"), OnnxType.Int64, MemoryMarshal.AsBytes(values).ToArray(), values.Length);

    /// <summary>Adds a single float.</summary>
    public string Scalar(float value) => Weight(NewName("scalar"), OnnxType.Float, BitConverter.GetBytes(value));

    /// <summary>Adds a node with one output and returns the output's name.</summary>
    /// <param name="op">Operator, such as "Conv".</param>
    /// <param name="inputs">Values, in the operator's order; "" for an optional one that is left out.</param>
    /// <param name="attributes">Constants.</param>
    public string Node(string op, string[] inputs, params ReadOnlySpan<OnnxAttribute> attributes) => Add(NewName(op), "", op, inputs, attributes);

    /// <summary>Adds a node of one of ONNX Runtime's own operators, such as "Attention".</summary>
    public string RuntimeNode(string op, string[] inputs, params ReadOnlySpan<OnnxAttribute> attributes) => Add(NewName(op), RuntimeDomain, op, inputs, attributes);

    /// <summary>Adds a node whose output has a name of one's own: an output of the model.</summary>
    public string Named(string output, string op, string[] inputs, params ReadOnlySpan<OnnxAttribute> attributes) => Add(output, "", op, inputs, attributes);

    /// <summary>The model, encoded.</summary>
    /// <exception cref="OverflowException">The weights reach 2 GB, the most the format holds in one message.</exception>
    public byte[] ToModel()
    {
        var graph = new OnnxMessage();
        foreach (var node in _nodes) graph.Add(1, node);
        graph.Add(2, name);
        foreach (var weight in _weights) graph.Add(5, weight);
        foreach (var input in _inputs) graph.Add(11, input);
        foreach (var output in _outputs) graph.Add(12, output);
        return new OnnxMessage().Add(1, IrVersion).Add(2, "PLIP.Native").Add(7, graph)
            .Add(8, new OnnxMessage().Add(1, "").Add(2, Opset))
            .Add(8, new OnnxMessage().Add(1, RuntimeDomain).Add(2, 1L)).ToArray();
    }

    private string Add(string output, string domain, string op, string[] inputs, ReadOnlySpan<OnnxAttribute> attributes)
    {
        var node = new OnnxMessage();
        foreach (var input in inputs) node.Add(1, input);
        node.Add(2, output).Add(3, output + "_node").Add(4, op);
        foreach (var attribute in attributes) node.Add(5, attribute.Message);
        _nodes.Add(node.Add(7, domain));
        return output;
    }

    private string NewName(string kind) => string.Create(CultureInfo.InvariantCulture, $"{kind}_{_values++}");

    private static OnnxMessage Declaration(string value, OnnxType type, ReadOnlySpan<OnnxExtent> shape)
    {
        var extents = new OnnxMessage();
        foreach (var extent in shape)
            extents.Add(1, extent.Name != null ? new OnnxMessage().Add(2, extent.Name) : new OnnxMessage().Add(1, extent.Value));
        var tensor = new OnnxMessage().Add(1, (long)type).Add(2, extents);
        return new OnnxMessage().Add(1, value).Add(2, new OnnxMessage().Add(1, tensor));
    }
}
