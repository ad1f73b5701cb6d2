using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Bench.Peers;

/// <summary>Captions as LibTorch takes them: padded to the longest, with a mask.</summary>
internal sealed class PaddedText
{
    public PaddedText(int[] packed, int[] offsets)
    {
        Lengths = [.. offsets.Zip(offsets.Skip(1), (a, b) => b - a)];
        (Count, Longest) = (Lengths.Length, Lengths.Max());
        var (ids, real) = (new long[Count * Longest], new float[Count * Longest]);
        for (var b = 0; b < Count; b++)
            for (var i = 0; i < Lengths[b]; i++) (ids[b * Longest + i], real[b * Longest + i]) = (packed[offsets[b] + i], 1f);
        Ids = tensor(ids);
        Real = tensor(real, Count, Longest, 1);
        Mask = PaddedAttention.Mask(Lengths);
        PerCaption = tensor(Array.ConvertAll(Lengths, l => (float)l), Count, 1);
        Packed = [.. Enumerable.Range(0, Count).SelectMany(b => Enumerable.Range(0, Lengths[b]).Select(i => (long)b * Longest + i))];
    }

    public int Count { get; }

    public int Longest { get; }

    public int[] Lengths { get; }

    /// <summary>(B·T); padding is id 0.</summary>
    public Tensor Ids { get; }

    /// <summary>(B, T, 1): 1 for a token, 0 for padding.</summary>
    public Tensor Real { get; }

    /// <summary>(B, 1, T, T), added to the scores.</summary>
    public Tensor Mask { get; }

    /// <summary>(B, 1): tokens.</summary>
    public Tensor PerCaption { get; }

    /// <summary>Where each packed token lies in (B·T).</summary>
    public long[] Packed { get; }
}

/// <summary>BERT in LibTorch's operators, padded.</summary>
internal sealed class TorchBert(TorchState state, BertConfig config, bool training)
{
    /// <summary>Hidden states (B, T, C).</summary>
    public Tensor Hidden(PaddedText text)
    {
        const string at = "textual.embeddings.";
        var words = state[at + "word_embeddings.weight"].index_select(0, text.Ids).view(text.Count, text.Longest, config.Width);
        // Position and token type are the same for every caption: one sum of (T, C).
        var x = words + (state[at + "position_embeddings.weight"].narrow(0, 0, text.Longest) + state[at + "token_type_embeddings.weight"].narrow(0, 0, 1));
        x = Drop(Norm(x, at + "LayerNorm"));
        for (var l = 0; l < config.Layers; l++) x = Layer(x, $"textual.encoder.layer.{l}.", text.Mask);
        return x;
    }

    /// <summary>Global embeddings (B, C): the mean over the tokens.</summary>
    public static Tensor Pool(Tensor hidden, PaddedText text) => (hidden * text.Real).sum(1) / text.PerCaption;

    /// <summary>One block, with its keys under <paramref name="at"/>.</summary>
    public Tensor Layer(Tensor x, string at, Tensor mask)
    {
        Tensor Self(string name) => state.Linear(x, $"{at}attention.self.{name}");
        var a = PaddedAttention.Attend(Self("query"), Self("key"), Self("value"), mask, config.Heads);
        x = Norm(Drop(state.Linear(a, at + "attention.output.dense")).add_(x), at + "attention.output.LayerNorm");
        var h = state.Linear(functional.gelu(state.Linear(x, at + "intermediate.dense")), at + "output.dense");
        return Norm(Drop(h).add_(x), at + "output.LayerNorm");
    }

    private Tensor Drop(Tensor x) => training && config.Dropout > 0 ? functional.dropout(x, config.Dropout, training: true) : x;

    private Tensor Norm(Tensor x, string name) => functional.layer_norm(x, [config.Width], state[name + ".weight"], state[name + ".bias"], 1e-12);
}
