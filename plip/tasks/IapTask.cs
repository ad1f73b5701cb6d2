using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Tasks;

/// <summary>
/// Image-guided attribute prediction: the attribute phrases of a caption are masked, V_global is added to every token's
/// hidden state (the paper's figure; its appendix says "concat"), a transformer block mixes them and a linear layer
/// names the words. Negative log-likelihood over the masked tokens alone, so only they are projected on the vocabulary, and their logits
/// exist a part of the vocabulary at a time.
/// </summary>
public sealed class IapTask : PretextTask
{
    private readonly IapConfig _config;
    private readonly ModuleList<BertLayer> _layers;
    private readonly Linear _words;

    /// <summary>Blocks like the text encoder's and a classifier over its vocabulary.</summary>
    public IapTask(IapConfig config, BertConfig text)
    {
        _config = config;
        _layers = Child("layer", new ModuleList<BertLayer>(
            Enumerable.Range(0, config.Layers).Select(_ => new BertLayer(text.Width, text.Heads, text.Inner, text.Dropout))));
        _words = Child("words", new Linear(text.Width, text.VocabularySize));
    }

    /// <inheritdoc/>
    public override string Name => "iap";

    /// <inheritdoc/>
    public override float Weight => _config.Weight;

    /// <inheritdoc/>
    public override Tensor? Loss(TaskBatch batch)
    {
        if (batch.Masked is not { Places: not null, Labels: not null } masked) return null;
        return _words.CrossEntropy(Hidden(batch.Model, batch.ImageEmbedding, masked, batch.Dropout), masked.Labels);
    }

    /// <summary>Logits (M, vocabulary) of the masked words, given V_global (N, D) of the pictures.</summary>
    public Tensor Predict(PlipModel model, Tensor imageEmbedding, MaskedCaptions masked, DropoutStream dropout) =>
        _words.Forward(Hidden(model, imageEmbedding, masked, dropout));

    private Tensor Hidden(PlipModel model, Tensor imageEmbedding, MaskedCaptions masked, DropoutStream dropout)
    {
        var text = masked.Text;
        var x = Ops.AddPerSequence(model.Textual.Forward(text, dropout), text.WithFillers(imageEmbedding), text.Offsets);
        foreach (var layer in _layers) x = layer.Forward(x, text.Offsets, dropout);
        return Ops.GatherRows(x, masked.Places ?? throw new ArgumentException("IapTask.Predict: nothing is masked"));
    }
}
