namespace Plip.Data;

/// <summary>
/// One training batch. Its arrays are allocated once, pinned (a copy to a GPU may read them directly), and used again:
/// dispose a batch when nothing reads it any more, and the loader fills it anew.
/// </summary>
public sealed class Batch : IDisposable
{
    private readonly Action<Batch> giveBack;

    internal Batch(int size, int imageSize, int maxTokens, Action<Batch> giveBack)
    {
        this.giveBack = giveBack;
        Size = size;
        Images = GC.AllocateUninitializedArray<float>(checked(size * imageSize), pinned: true);
        Identities = GC.AllocateArray<int>(size, pinned: true);
        TokenIds = GC.AllocateArray<int>(size * maxTokens, pinned: true);
        CuSeqlens = GC.AllocateArray<int>(size + 1, pinned: true);
        MaskedTokenIds = GC.AllocateArray<int>(size * maxTokens, pinned: true);
        MaskedLabels = GC.AllocateArray<int>(size * maxTokens, pinned: true);
        MaskedCuSeqlens = GC.AllocateArray<int>(size + 1, pinned: true);
        (Paths, Captions, Samples) = (new string[size], new string[size], new SamplePair[size]);
    }

    /// <summary>Number of pairs, B.</summary>
    public int Size { get; }

    /// <summary>Normalised pictures, (B, H, W, 3).</summary>
    public float[] Images { get; }

    /// <summary>Contiguous identities 0..K-1, (B).</summary>
    public int[] Identities { get; }

    /// <summary>Packed token ids: sequence i is [CuSeqlens[i], CuSeqlens[i+1]); <see cref="TokenCount"/> are in use.</summary>
    public int[] TokenIds { get; }

    /// <summary>Where each caption starts in <see cref="TokenIds"/>, (B + 1).</summary>
    public int[] CuSeqlens { get; }

    /// <summary>Packed ids of the masked captions; <see cref="MaskedTokenCount"/> are in use.</summary>
    public int[] MaskedTokenIds { get; }

    /// <summary>Beside <see cref="MaskedTokenIds"/>: the original id where masked, -100 elsewhere.</summary>
    public int[] MaskedLabels { get; }

    /// <summary>Where each masked caption starts, (B + 1).</summary>
    public int[] MaskedCuSeqlens { get; }

    /// <summary>Tokens of all captions: CuSeqlens[B].</summary>
    public int TokenCount => CuSeqlens[Size];

    /// <summary>Tokens of all masked captions: MaskedCuSeqlens[B].</summary>
    public int MaskedTokenCount => MaskedCuSeqlens[Size];

    /// <summary>Length of the longest caption of the batch, masked or not (what an attention launch asks for).</summary>
    public int MaxLength { get; internal set; }

    /// <summary>Number of labels that are not -100.</summary>
    public int LabelCount { get; internal set; }

    /// <summary>Relative paths, for reports, (B).</summary>
    public string[] Paths { get; }

    /// <summary>The captions as written, for reports, (B).</summary>
    public string[] Captions { get; }

    /// <summary>Which image and text of the data set each pair is, (B).</summary>
    public SamplePair[] Samples { get; }

    /// <summary>The epoch, from 0.</summary>
    public int Epoch { get; internal set; }

    /// <summary>Index of the batch in its epoch, from 0.</summary>
    public int Index { get; internal set; }

    /// <summary>Index of the batch in the run: Epoch · batches per epoch + Index.</summary>
    public long Step { get; internal set; }

    /// <summary>The masking probability that was used.</summary>
    public float MaskProbability { get; internal set; }

    /// <summary>Gives the arrays back to the loader. Once is enough; again does nothing.</summary>
    public void Dispose() => giveBack(this);
}
