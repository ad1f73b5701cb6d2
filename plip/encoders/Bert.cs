using Plip.Configs;
using Plip.Engine;

namespace Plip.Encoders;

/// <summary>How the text's global embedding is taken from the hidden states.</summary>
public enum TextPooling
{
    /// <summary>Mean over the tokens: the paper's.</summary>
    Mean,

    /// <summary>tanh of a dense layer on [CLS]: the released checkpoint's.</summary>
    Pooler,
}

/// <summary>BERT of any size.</summary>
public sealed record BertConfig
{
    /// <summary>Transformer blocks.</summary>
    public int Layers { get; set; } = 12;

    /// <summary>Hidden width, and the width of the joint embedding.</summary>
    public int Width { get; set; } = 768;

    /// <summary>Attention heads.</summary>
    public int Heads { get; set; } = 12;

    /// <summary>Width inside the feed-forward part; 0 is four times <see cref="Width"/>.</summary>
    public int Intermediate { get; set; }

    /// <summary>Longest caption in tokens, [CLS] and [SEP] included.</summary>
    public int MaxTokens { get; set; } = 64;

    /// <summary>Length of the table of position embeddings (BERT-base has 512).</summary>
    public int Positions { get; set; } = 512;

    /// <summary>Word pieces; 0 takes the vocabulary's size when the model is built.</summary>
    public int VocabularySize { get; set; }

    /// <summary>The embeddings and the first so many blocks are frozen (the paper trains the last 5 of 12); 0 trains everything.</summary>
    public int FrozenLayers { get; set; }

    /// <summary>Pooling.</summary>
    public TextPooling Pooling { get; set; } = TextPooling.Mean;

    /// <summary>Dropout after embeddings, attention's output and the feed-forward part.</summary>
    public float Dropout { get; set; } = 0.1f;

    internal int Inner => Intermediate > 0 ? Intermediate : 4 * Width;

    internal void Validate()
    {
        ConfigException.Require(Layers is >= 1 and <= 96, "text.layers", Layers, "1 to 96");
        ConfigException.Require(Heads >= 1 && Width >= 1 && Width % Heads == 0, "text.heads", Heads, $"a divisor of text.width, {Width}");
        ConfigException.Require(Intermediate >= 0, "text.intermediate", Intermediate, "0 (four times text.width) or more");
        ConfigException.Require(VocabularySize >= 0, "text.vocabularySize", VocabularySize, "0 (the vocabulary's) or more");
        ConfigException.Require(MaxTokens >= 3 && MaxTokens <= Positions, "text.maxTokens", MaxTokens, $"3 to text.positions, {Positions}");
        ConfigException.Require(FrozenLayers >= 0 && FrozenLayers <= Layers, "text.frozenLayers", FrozenLayers, $"0 to text.layers, {Layers}");
        ConfigException.Require(Dropout is >= 0 and < 1, "text.dropout", Dropout, "0 to below 1");
    }
}

/// <summary>A batch of token sequences, packed: no padding, so a short caption costs what it is long (DESIGN 3).</summary>
/// <param name="Ids">I32 (T): all sequences, one after the other.</param>
/// <param name="Positions">I32 (T): each token's place in its sequence.</param>
/// <param name="Offsets">I32 (B + Fillers + 1): where each sequence begins; the last is T.</param>
/// <param name="Fillers">Sequences at the end that are no text: they only make T a number that comes again.</param>
public sealed record PackedText(Tensor Ids, Tensor Positions, Tensor Offsets, int Fillers = 0)
{
    /// <summary>Uploads sequences given as packed ids and their offsets.</summary>
    public static PackedText From(Device device, ReadOnlySpan<int> ids, ReadOnlySpan<int> offsets)
    {
        var positions = new int[ids.Length];
        Number(positions, offsets);
        return new PackedText(
            Tensor.From(device, ids, new Shape(ids.Length)),
            Tensor.From(device, positions, new Shape(ids.Length)),
            Tensor.From(device, offsets, new Shape(offsets.Length)));
    }

    /// <summary>Number of sequences, B, without those that fill up.</summary>
    public int Count => (int)Offsets.Count - 1 - Fillers;

    /// <summary>A row for every sequence: (B, …) with zeros behind it for those that fill up.</summary>
    public Tensor WithFillers(Tensor rows) => Fillers == 0 ? rows : Ops.Concat([rows, Tensor.Zeros(rows.Device, new Shape(Fillers, rows.Cols), rows.DType)], 0);

    /// <summary>The rows (B, …) of the sequences that are text.</summary>
    public Tensor WithoutFillers(Tensor rows) => Fillers == 0 ? rows : Ops.Slice(rows, 0, 0, Count);

    /// <summary>Writes each token's place in its sequence.</summary>
    internal static void Number(Span<int> positions, ReadOnlySpan<int> offsets)
    {
        for (var b = 0; b + 1 < offsets.Length; b++)
            for (var i = offsets[b]; i < offsets[b + 1]; i++) positions[i] = i - offsets[b];
    }
}

/// <summary>BERT (Devlin et al., arXiv:1810.04805), post-LN, over packed sequences; keys are Hugging Face's.</summary>
public sealed class Bert : Module
{
    private readonly Embedding _words, _positions, _types;
    private readonly LayerNorm _norm;
    private readonly ModuleList<BertLayer> _layers;
    private readonly Linear? _pooler;
    private readonly BertConfig _config;

    /// <summary>A text encoder.</summary>
    /// <exception cref="ArgumentException">The vocabulary size is not set.</exception>
    public Bert(BertConfig config)
    {
        if (config.VocabularySize < 1) throw new ArgumentException("Bert: text.vocabularySize must be set from the vocabulary before the encoder is built");
        _config = config;
        _words = Child("embeddings.word_embeddings", new Embedding(config.VocabularySize, config.Width));
        _positions = Child("embeddings.position_embeddings", new Embedding(config.Positions, config.Width));
        _types = Child("embeddings.token_type_embeddings", new Embedding(2, config.Width));
        _norm = Child("embeddings.LayerNorm", new LayerNorm(config.Width, BertLayer.Epsilon));
        _layers = Child("encoder.layer", new ModuleList<BertLayer>(
            Enumerable.Range(0, config.Layers).Select(_ => new BertLayer(config.Width, config.Heads, config.Inner, config.Dropout))));
        if (config.Pooling == TextPooling.Pooler) _pooler = Child("pooler.dense", new Linear(config.Width, config.Width, init: BertLayer.Start));
    }

    /// <summary>Whether blocks are run again in the backward in place of keeping what they make.</summary>
    public bool Recomputes { get; set; }

    /// <summary>Hidden states (T, C) of the packed tokens.</summary>
    public Tensor Forward(PackedText text, DropoutStream dropout)
    {
        // Of frozen blocks nothing is kept but the last one's result; in evaluation, of all.
        var device = text.Ids.Device;
        var frozen = device.Recording ? _config.FrozenLayers : _layers.Count;
        var x = frozen > 0 ? Discard.AllBut(device, () => Embed(text, dropout)) : Embed(text, dropout);
        foreach (var layer in _layers.Take(frozen))
        {
            var before = x;
            x = Discard.AllBut(device, () => layer.Forward(before, text.Offsets, dropout));
            before.Release();
        }
        foreach (var layer in _layers.Skip(frozen))
        {
            var first = dropout.Position;
            x = !Recomputes ? layer.Forward(x, text.Offsets, dropout) : Recompute.Run(x, h =>
            {
                dropout.Position = first; // the second time as the first
                return layer.Forward(h, text.Offsets, dropout);
            });
        }
        return x;
    }

    private Tensor Embed(PackedText text, DropoutStream dropout)
    {
        // Token type 0 everywhere: its row is a vector added to all tokens.
        var type = Ops.Reshape(Ops.Slice(_types.Weight.Compute, 0, 0, 1), _config.Width);
        var x = Ops.Add(_words.Forward(text.Ids), _positions.Forward(text.Positions));
        x = Ops.Add(x, Ops.BroadcastRows(type, x.Shape));
        return dropout.Apply(_norm.Forward(x), Training ? _config.Dropout : 0);
    }

    /// <summary>Global embeddings (B, C), F32, from hidden states.</summary>
    public Tensor Pool(Tensor hidden, PackedText text)
    {
        if (_pooler == null) return Ops.Cast(text.WithoutFillers(Ops.SegmentMean(hidden, text.Offsets)), DType.F32);
        // A copy: a view would hold on to offsets that outlive the step.
        var view = Ops.Slice(text.Offsets, 0, 0, text.Count);
        var first = Ops.Concat([view], 0);
        view.Release();
        return Ops.Cast(Ops.Tanh(_pooler.Forward(Ops.GatherRows(hidden, first))), DType.F32);
    }

    /// <summary>True for the parameters that the configuration freezes: embeddings and the first blocks.</summary>
    /// <param name="name">The name relative to this module.</param>
    public bool IsFrozen(string name)
    {
        if (_config.FrozenLayers == 0) return false;
        if (name.StartsWith("embeddings.", StringComparison.Ordinal)) return true;
        const string prefix = "encoder.layer.";
        return name.StartsWith(prefix, StringComparison.Ordinal)
            && int.Parse(name[prefix.Length..name.IndexOf('.', prefix.Length)], System.Globalization.CultureInfo.InvariantCulture) < _config.FrozenLayers;
    }
}

/// <summary>One transformer block, post-LN: attention and feed-forward, each added to its input and normalised.</summary>
public sealed class BertLayer : Module
{
    internal const float Epsilon = 1e-12f; // BERT's own, not the usual 1e-5

    private readonly Linear _query, _key, _value, _attention, _intermediate, _output;
    private readonly LayerNorm _attentionNorm, _outputNorm;
    private readonly int _heads;
    private readonly float _dropout;

    /// <summary>A block.</summary>
    public BertLayer(int width, int heads, int inner, float dropout)
    {
        (_heads, _dropout) = (heads, dropout);
        _query = Child("attention.self.query", new Linear(width, width, init: Start));
        _key = Child("attention.self.key", new Linear(width, width, init: Start));
        _value = Child("attention.self.value", new Linear(width, width, init: Start));
        _attention = Child("attention.output.dense", new Linear(width, width, init: Start));
        _attentionNorm = Child("attention.output.LayerNorm", new LayerNorm(width, Epsilon));
        _intermediate = Child("intermediate.dense", new Linear(width, inner, init: Start));
        _output = Child("output.dense", new Linear(inner, width, init: Start));
        _outputNorm = Child("output.LayerNorm", new LayerNorm(width, Epsilon));
    }

    internal static Init Start => Init.Normal(0.02f);

    /// <summary>(T, C) packed tokens to the same shape.</summary>
    public Tensor Forward(Tensor x, Tensor offsets, DropoutStream dropout)
    {
        var p = Training ? _dropout : 0f;
        var a = Ops.Attention(_query.Forward(x), _key.Forward(x), _value.Forward(x), offsets, _heads);
        x = dropout.AddTo(x, _attention.Forward(a), p, _attentionNorm);
        return dropout.AddTo(x, _output.Forward(_intermediate.ForwardGelu(x)), p, _outputNorm);
    }
}

/// <summary>Hands each dropout of a step, and each branch that is left out by chance, a random stream of its own, by order of use: a function of (seed, step) alone.</summary>
public sealed class DropoutStream
{
    private readonly ulong _seed;
    private readonly uint _step;
    private readonly Tensor? _stepNow;

    /// <summary>The streams of a step.</summary>
    public DropoutStream(ulong seed, uint step) => (_seed, _step) = (seed, step);

    /// <summary>Those of the step that I32 (1) holds when a dropout runs: in a captured graph, when it is replayed.</summary>
    public DropoutStream(ulong seed, Tensor step) => (_seed, _stepNow) = (seed, step);

    // Streams above this are dropout's; the loader's and the initialisers' lie below (Philox streams never collide).
    private const uint First = 0xD0000000;
    private uint _next;

    /// <summary>How many streams were handed out: setting it back hands the same ones out again.</summary>
    public uint Position
    {
        get => _next;
        set => _next = value;
    }

    /// <summary>x with elements dropped at probability p and the rest scaled by 1/(1−p); x itself at p = 0.</summary>
    public Tensor Apply(Tensor x, float p) => p <= 0 ? x : Ops.Dropout(x, p, new Philox(_seed, First + _next++, _step), _stepNow);

    /// <summary>x + a, with a left out of each picture at probability p and the rest scaled by 1/(1−p).</summary>
    public Tensor AddBranch(Tensor x, Tensor a, float p) =>
        p <= 0 ? Ops.Add(x, a) : Ops.AddStochasticDepth(x, a, p, new Philox(_seed, First + _next++, _step), _stepNow);

    /// <summary><c>norm.Forward(Ops.Add(Apply(a, p), x))</c> in one pass.</summary>
    public Tensor AddTo(Tensor x, Tensor a, float p, LayerNorm norm) =>
        p <= 0 ? norm.ForwardAdd(x, a) : norm.ForwardAdd(x, a, p, new Philox(_seed, First + _next++, _step), _stepNow);
}
