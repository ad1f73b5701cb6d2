using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;

namespace Plip.Training;

/// <summary>
/// Batches of one shape on a GPU, one after the other in the same tensors, which outlive the step: a captured graph reads them where they lie. What
/// a batch has too few of is filled up: tokens by a last sequence of [PAD] that no task reads (its gradients are zeros), masked places by ignored ones.
/// </summary>
internal sealed class BatchTensors : IDisposable
{
    private const int Ignored = -100; // Ops.CrossEntropy's

    private readonly SharedInputs _shared;
    private readonly PackedText _captions;
    private readonly MaskedCaptions? _masked;
    private readonly int[] _ids, _positions, _offsets, _places, _labels;

    /// <summary>Tensors of this shape.</summary>
    /// <param name="shared">What is alike in all shapes.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="masked">Whether masked captions are wanted.</param>
    public BatchTensors(SharedInputs shared, BatchShape shape, bool masked)
    {
        _shared = shared;
        _captions = Text(shape.Tokens);
        if (masked)
            _masked = new MaskedCaptions(Text(shape.MaskedTokens), shape.Places > 0 ? Ints(shape.Places) : null, shape.Places > 0 ? Ints(shape.Places) : null);
        var tokens = Math.Max(shape.Tokens, shape.MaskedTokens);
        (_ids, _positions, _offsets) = (new int[tokens], new int[tokens], new int[shared.Size + 2]);
        (_places, _labels) = (new int[shape.Places], new int[shape.Places]);
    }

    /// <summary>The batch for the tasks.</summary>
    public TaskBatch For(PlipModel model, ulong seed) =>
        new(model, _shared.Images, _shared.Identities, _captions, _masked, new DropoutStream(seed, _shared.Step));

    /// <summary>Uploads a batch of this shape.</summary>
    public void Upload(Batch batch)
    {
        _shared.Upload(batch);
        Upload(_captions, batch.TokenIds.AsSpan(0, batch.TokenCount), batch.CuSeqlens);
        if (_masked == null) return;
        Upload(_masked.Text, batch.MaskedTokenIds.AsSpan(0, batch.MaskedTokenCount), batch.MaskedCuSeqlens);
        if (_masked.Places == null) return;
        var count = 0;
        for (var t = 0; t < batch.MaskedTokenCount; t++)
            if (batch.MaskedLabels[t] >= 0) (_places[count], _labels[count++]) = (t, batch.MaskedLabels[t]);
        _places.AsSpan(count).Fill((int)_masked.Text.Ids.Count - 1); // in the sequence that nothing reads
        _labels.AsSpan(count).Fill(Ignored);
        _masked.Places.CopyFrom<int>(_places);
        _masked.Labels!.CopyFrom<int>(_labels);
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose()
    {
        foreach (var text in new[] { _captions, _masked?.Text })
            foreach (var x in new[] { text?.Ids, text?.Positions, text?.Offsets }) x?.Release();
        _masked?.Places?.Release();
        _masked?.Labels?.Release();
    }

    private PackedText Text(int tokens) => new(Ints(tokens), Ints(tokens), Ints(_shared.Size + 2), Fillers: 1);

    private Tensor Ints(int count) => Tensor.Empty(_shared.Device, new Shape(count), DType.I32, "a batch");

    private void Upload(PackedText to, ReadOnlySpan<int> ids, ReadOnlySpan<int> offsets)
    {
        var tokens = (int)to.Ids.Count;
        ids.CopyTo(_ids);
        _ids.AsSpan(ids.Length).Clear();
        PackedText.Number(_positions, offsets);
        _positions.AsSpan(ids.Length).Clear();
        offsets[..(_shared.Size + 1)].CopyTo(_offsets);
        _offsets[^1] = tokens;
        to.Ids.CopyFrom<int>(_ids.AsSpan(0, tokens));
        to.Positions.CopyFrom<int>(_positions.AsSpan(0, tokens));
        to.Offsets.CopyFrom<int>(_offsets);
    }
}

/// <summary>What batches of all shapes share: pictures, identities, and the number of the step that dropout draws by.</summary>
internal sealed class SharedInputs(Device device, int size, int height, int width) : IDisposable
{
    private readonly int[] _step = new int[1];

    public Device Device => device;

    /// <summary>Pairs in a batch.</summary>
    public int Size => size;

    public Tensor Images { get; } = Tensor.Empty(device, new Shape(size, height, width, 3), madeBy: "a batch");

    public Tensor Identities { get; } = Tensor.Empty(device, new Shape(size), DType.I32, "a batch");

    public Tensor Step { get; } = Tensor.Empty(device, new Shape(1), DType.I32, "a batch");

    public void Upload(Batch batch)
    {
        if (batch.Size != size) throw new ArgumentException($"a batch of {batch.Size} pairs where all have {size}");
        _step[0] = (int)(uint)batch.Step;
        Images.CopyFrom<float>(batch.Images);
        Identities.CopyFrom<int>(batch.Identities);
        Step.CopyFrom<int>(_step);
    }

    public void Dispose()
    {
        Images.Release();
        Identities.Release();
        Step.Release();
    }
}
