using Plip.Encoders;
using Plip.Engine;
using Plip.Model;

namespace Plip.Tasks;

/// <summary>A pretext task: a batch goes in, a loss comes out. Its own layers, if any, are its children.</summary>
public abstract class PretextTask : Module
{
    /// <summary>Short name for metrics: "ivlc", "tic", "iap".</summary>
    public abstract string Name { get; }

    /// <summary>λ in the total loss.</summary>
    public abstract float Weight { get; }

    /// <summary>The loss, a scalar, or null when the batch holds nothing for this task.</summary>
    public abstract Tensor? Loss(TaskBatch batch);
}

/// <summary>
/// A batch on the device, with the features that tasks share computed once, when first asked for: the colour pass
/// serves contrast and attribute prediction, the full caption's pass contrast and colorization. Where gray pictures are wanted too, both
/// kinds go through the encoder as one batch, each with statistics of its own: half as many launches, and fuller ones in the small stages.
/// </summary>
public sealed class TaskBatch(PlipModel model, Tensor images, Tensor identities, PackedText captions, MaskedCaptions? masked, DropoutStream dropout)
{
    private Tensor? _imageEmbedding, _captionEmbedding;
    private Tensor[]? _stages, _grayStages;

    /// <summary>The model.</summary>
    public PlipModel Model { get; } = model;

    /// <summary>Normalised colour pictures (N, H, W, 3).</summary>
    public Tensor Images { get; } = images;

    /// <summary>I32 (N).</summary>
    public Tensor Identities { get; } = identities;

    /// <summary>Full captions, one for each picture.</summary>
    public PackedText Captions { get; } = captions;

    /// <summary>Captions with masked attribute phrases; null where attribute prediction is off.</summary>
    public MaskedCaptions? Masked { get; } = masked;

    /// <summary>Dropout of this step.</summary>
    public DropoutStream Dropout { get; } = dropout;

    /// <summary>V_global (N, D) of the colour pictures.</summary>
    public Tensor ImageEmbedding => _imageEmbedding ??= InPhase("pictures", () =>
    {
        if (!WantsBoth) return Model.Visual.Forward(Images, Dropout);
        var last = (_stages ??= BothStages())[^1];
        return Ops.Cast(Model.Visual.Embed(Ops.Slice(last, 0, 0, last.Shape[0] / 2)), DType.F32);
    });

    /// <summary>The four stage maps of the gray pictures.</summary>
    public Tensor[] GrayStages => _grayStages ??= InPhase("pictures", () => WantsBoth
        ? Array.ConvertAll(_stages ??= BothStages(), s => Ops.Slice(s, 0, s.Shape[0] / 2, s.Shape[0] / 2))
        : Model.Visual.Stages(Gray(), VisualPass.Gray, Dropout));

    /// <summary>T_global (N, D) of the full captions.</summary>
    public Tensor CaptionEmbedding => _captionEmbedding ??= InPhase("captions", () => Model.Textual.Pool(Model.Textual.Forward(Captions, Dropout), Captions));

    private bool WantsBoth => Model.Task<TicTask>() != null && Model.Tasks.Count > 1;

    private Tensor Gray() => Ops.ToGray(Images, Model.Config.Image.Mean, Model.Config.Image.Std);

    private Tensor[] BothStages()
    {
        var gray = Gray();
        var both = Ops.Concat([Images, gray], 0);
        gray.Release();
        return Model.Visual.Stages(both, VisualPass.Both, Dropout);
    }

    private T InPhase<T>(string name, Func<T> work)
    {
        using var phase = Profiler.Phase(Images.Device, name);
        return work();
    }
}

/// <summary>Captions with attribute phrases replaced by [MASK].</summary>
/// <param name="Text">The masked token sequences.</param>
/// <param name="Places">I32 (M): packed positions that are masked; null where there is none.</param>
/// <param name="Labels">I32 (M): the words that stood there.</param>
public sealed record MaskedCaptions(PackedText Text, Tensor? Places, Tensor? Labels)
{
    /// <summary>Uploads packed masked ids with labels (−100 where nothing is masked).</summary>
    public static MaskedCaptions From(Device device, ReadOnlySpan<int> ids, ReadOnlySpan<int> offsets, ReadOnlySpan<int> labels)
    {
        var (places, words) = (new List<int>(), new List<int>());
        for (var i = 0; i < labels.Length; i++)
        {
            if (labels[i] < 0) continue;
            places.Add(i);
            words.Add(labels[i]);
        }
        var text = PackedText.From(device, ids, offsets);
        if (places.Count == 0) return new MaskedCaptions(text, null, null);
        var shape = new Shape(places.Count);
        return new MaskedCaptions(text, Tensor.From(device, places.ToArray(), shape), Tensor.From(device, words.ToArray(), shape));
    }
}
