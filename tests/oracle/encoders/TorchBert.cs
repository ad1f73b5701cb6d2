using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>
/// BERT in LibTorch's own operators, by state-dict names. Attention runs on each sequence alone, so padding and masks
/// cannot hide a mistake; everything else is by row.
/// </summary>
/// <param name="padded">
/// Where it is given: the offsets cut the rows into sequences of one length, of which so many tokens count; attention is then one call under a mask, as
/// programs on LibTorch do it.
/// </param>
internal sealed class TorchBert(TorchState state, BertConfig config, string prefix = "", int[]? padded = null)
{
    /// <summary>Hidden states (T, C) of packed ids.</summary>
    public torch.Tensor Hidden(int[] ids, int[] offsets, TorchDropout dropout)
    {
        var places = Enumerable.Range(0, offsets.Length - 1).SelectMany(b => Enumerable.Range(0, offsets[b + 1] - offsets[b])).ToArray();
        torch.Tensor Rows(string table, int[] of) => state[$"{prefix}embeddings.{table}_embeddings.weight"].index_select(0, Torch.Ids(of));
        var x = Rows("word", ids) + Rows("position", places) + Rows("token_type", new int[ids.Length]);
        x = dropout.Apply(Norm(x, prefix + "embeddings.LayerNorm"));
        for (var l = 0; l < config.Layers; l++) x = Layer(x, $"{prefix}encoder.layer.{l}.", offsets, dropout);
        return x;
    }

    /// <summary>Global embeddings (B, C).</summary>
    public torch.Tensor Pool(torch.Tensor hidden, int[] offsets)
    {
        var sequences = SequencesTests.Cut(hidden, offsets);
        return config.Pooling == TextPooling.Mean
            ? torch.stack([.. sequences.Select((x, b) => (padded == null ? x : x[..padded[b]]).mean([0]))])
            : state.Linear(torch.stack([.. sequences.Select(x => x[0])]), prefix + "pooler.dense").tanh();
    }

    /// <summary>One block, with its keys under <paramref name="at"/>.</summary>
    public torch.Tensor Layer(torch.Tensor x, string at, int[] offsets, TorchDropout dropout)
    {
        var (q, k, v) = (state.Linear(x, at + "attention.self.query"), state.Linear(x, at + "attention.self.key"), state.Linear(x, at + "attention.self.value"));
        var a = state.Linear(
            padded == null ? SequencesTests.Attend(q, k, v, offsets, offsets, config.Heads) : Masked(q, k, v, padded), at + "attention.output.dense");
        x = Norm(dropout.Apply(a) + x, at + "attention.output.LayerNorm");
        var h = state.Linear(functional.gelu(state.Linear(x, at + "intermediate.dense")), at + "output.dense");
        return Norm(dropout.Apply(h) + x, at + "output.LayerNorm");
    }

    private torch.Tensor Masked(torch.Tensor q, torch.Tensor k, torch.Tensor v, int[] lengths)
    {
        var (batch, longest, c) = (lengths.Length, q.shape[0] / lengths.Length, q.shape[1]);
        torch.Tensor Heads(torch.Tensor x) => x.view(batch, longest, config.Heads, c / config.Heads).transpose(1, 2);
        var mask = torch.arange(longest).unsqueeze(0).lt(Torch.Ids(lengths).unsqueeze(1)).view(batch, 1, 1, longest);
        return functional.scaled_dot_product_attention(Heads(q), Heads(k), Heads(v), mask).transpose(1, 2).reshape(-1, c);
    }

    private torch.Tensor Norm(torch.Tensor x, string name) =>
        functional.layer_norm(x, [config.Width], state[name + ".weight"], state[name + ".bias"], 1e-12);
}
