using Plip.Encoders;
using Plip.Engine;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>The text encoder over packed sequences against LibTorch run on each sequence alone: padding cannot hide a mistake.</summary>
public class BertTests
{
    [Theory]
    [InlineData(TextPooling.Mean)]
    [InlineData(TextPooling.Pooler)]
    public void Encodes_and_learns_as_in_LibTorch(TextPooling pooling)
    {
        var config = new BertConfig { Layers = 2, Width = 32, Heads = 4, VocabularySize = 50, Positions = 20, MaxTokens = 20, Dropout = 0, Pooling = pooling };
        int[] offsets = [0, 3, 15, 16, 24];
        var random = new Philox(5, 6);
        var ids = Enumerable.Range(0, offsets[^1]).Select(i => random.Next((ulong)i, 50)).ToArray();
        using var device = new CpuDevice();
        var bert = new Bert(config);
        using var store = ParameterStore.Materialize(device, bert, seed: 4);
        // BERT starts at 0.02, where every attention is nearly uniform; larger weights make the test see it.
        var values = store.Values.ToArray();
        for (var i = 0; i < values.Length; i++) values[i] += 0.2f * random.Normal((ulong)i + 1000);
        store.Values.CopyFrom<float>(values);
        var state = new TorchState(store);
        using var scope = torch.NewDisposeScope();
        var pooled = new List<torch.Tensor>();
        for (var b = 0; b + 1 < offsets.Length; b++) pooled.Add(Forward(state, ids[offsets[b]..offsets[b + 1]], config));
        var expected = torch.stack(pooled);

        using var step = device.BeginStep();
        var text = PackedText.From(device, ids, offsets);
        var embedding = bert.Pool(bert.Forward(text, new DropoutStream(0, 0)), text).Keep();
        Torch.Close(expected, embedding, 1e-4, "embedding");
        var weights = Torch.Normal((int)embedding.Count, 2);
        Ops.Sum(Ops.Multiply(embedding, Tensor.From(device, weights, embedding.Shape))).Backward();
        (expected * torch.tensor(weights, expected.shape)).sum().backward();
        state.SameGradients(1e-3);
    }

    private static torch.Tensor Forward(TorchState s, int[] ids, BertConfig config)
    {
        torch.Tensor Linear(torch.Tensor x, string name) => functional.linear(x, s[name + ".weight"], s[name + ".bias"]);
        torch.Tensor Norm(torch.Tensor x, string name) => functional.layer_norm(x, [config.Width], s[name + ".weight"], s[name + ".bias"], 1e-12);
        var (t, heads) = (ids.Length, config.Heads);
        torch.Tensor Heads(torch.Tensor x) => x.view(t, heads, config.Width / heads).transpose(0, 1);
        var words = functional.embedding(torch.tensor(Array.ConvertAll(ids, i => (long)i)), s["embeddings.word_embeddings.weight"]);
        var x = words + s["embeddings.position_embeddings.weight"][..t] + s["embeddings.token_type_embeddings.weight"][0];
        x = Norm(x, "embeddings.LayerNorm");
        for (var l = 0; l < config.Layers; l++)
        {
            var at = $"encoder.layer.{l}.";
            var (q, k, v) = (Heads(Linear(x, at + "attention.self.query")), Heads(Linear(x, at + "attention.self.key")), Heads(Linear(x, at + "attention.self.value")));
            var p = functional.softmax(q.matmul(k.transpose(-2, -1)) / Math.Sqrt(config.Width / heads), -1);
            x = Norm(Linear(p.matmul(v).transpose(0, 1).reshape(t, config.Width), at + "attention.output.dense") + x, at + "attention.output.LayerNorm");
            x = Norm(Linear(functional.gelu(Linear(x, at + "intermediate.dense")), at + "output.dense") + x, at + "output.LayerNorm");
        }
        return config.Pooling == TextPooling.Mean ? x.mean([0]) : Linear(x[0], "pooler.dense").tanh();
    }
}
