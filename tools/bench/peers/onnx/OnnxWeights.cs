using System.Runtime.InteropServices;
using Plip.Engine;

namespace Plip.Bench.Peers;

/// <summary>The weights of a state, put into a model under PyTorch's names, and the layers every encoder has.</summary>
/// <param name="graph">The model that is written.</param>
/// <param name="state">PyTorch's names and layouts, so convolutions are (K, C, R, S) as ONNX wants them.</param>
internal sealed class OnnxWeights(OnnxWriter graph, StateDict state)
{
    /// <summary>Whether the state holds this tensor.</summary>
    public bool Has(string name) => state.TryGet(name) != null;

    /// <summary>Extents of a tensor.</summary>
    public Shape ShapeOf(string name) => state[name].Shape;

    /// <summary>A tensor as it is.</summary>
    public string Take(string name)
    {
        var tensor = state[name];
        return graph.Weight(name, OnnxType.Float, Read(tensor), Extents(tensor.Shape));
    }

    /// <summary>x·Wᵀ + b over the last axis. Written as MatMul with W transposed and Add: the form the runtime's fusions look for.</summary>
    public string Linear(string x, string name)
    {
        var shape = ShapeOf(name + ".weight");
        var weight = graph.Weight(name + ".weight", OnnxType.Float, Transposed([name]), shape[1], shape[0]);
        return graph.Node("Add", [graph.Node("MatMul", [x, weight]), Take(name + ".bias")]);
    }

    /// <summary>The weights of linear layers with the same inputs as one matrix (In, Out·layers), and their biases as one vector.</summary>
    /// <param name="name">Of what is made.</param>
    /// <param name="layers">Layers of the same shape.</param>
    public (string Weight, string Bias) SideBySide(string name, params string[] layers)
    {
        var shape = ShapeOf(layers[0] + ".weight");
        var biases = layers.SelectMany(layer => Read(state[layer + ".bias"])).ToArray();
        return (graph.Weight(name + ".weight", OnnxType.Float, Transposed(layers), shape[1], shape[0] * layers.Length),
            graph.Weight(name + ".bias", OnnxType.Float, biases, shape[0] * layers.Length));
    }

    /// <summary>Layer normalisation of the last axis.</summary>
    public string LayerNorm(string x, string name, float epsilon) =>
        graph.Node("LayerNormalization", [x, Take(name + ".weight"), Take(name + ".bias")], OnnxAttribute.Of("axis", -1L), OnnxAttribute.Of("epsilon", epsilon));

    private byte[] Transposed(string[] layers)
    {
        var shape = ShapeOf(layers[0] + ".weight");
        int outputs = shape[0], inputs = shape[1], width = outputs * layers.Length;
        var bytes = new byte[checked(inputs * width * sizeof(float))];
        var to = MemoryMarshal.Cast<byte, float>(bytes.AsSpan());
        for (var l = 0; l < layers.Length; l++)
        {
            var values = state[layers[l] + ".weight"].ToF32();
            for (var i = 0; i < inputs; i++)
                for (var o = 0; o < outputs; o++) to[i * width + l * outputs + o] = values[o * inputs + i];
        }
        return bytes;
    }

    private static byte[] Read(StateTensor tensor)
    {
        if (tensor.DType != DType.F32) throw new ArgumentException($"the exports hold F32 weights, got {tensor.DType}");
        var bytes = new byte[checked(tensor.Shape.Count * sizeof(float))];
        tensor.Read(0, bytes);
        return bytes;
    }

    private static long[] Extents(Shape shape) => Array.ConvertAll(shape.ToArray(), d => (long)d);
}
