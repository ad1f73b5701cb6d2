namespace Plip.Data;

/// <summary>What a <see cref="BatchLoader"/> makes.</summary>
public sealed record BatchSettings
{
    /// <summary>Pairs in a batch.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Most tokens of a caption, [CLS] and [SEP] included; longer captions are cut.</summary>
    public int MaxTokens { get; init; } = 64;

    /// <summary>Size, augmentation and normalisation of pictures.</summary>
    public ImageSettings Image { get; init; } = new();

    /// <summary>Seed of order, captions, augmentation and masking.</summary>
    public ulong Seed { get; init; }

    /// <summary>Random batches, P × K, or blocks.</summary>
    public BatchKind Kind { get; init; }

    /// <summary>K of P × K.</summary>
    public int ImagesPerIdentity { get; init; } = 4;

    /// <summary>Images of a block, about, with Blocks.</summary>
    public int BlockSize { get; init; } = IdentityBatchSampler.DefaultBlockSize;

    /// <summary>Blocks whose images are mixed, with Blocks. Of shards twice as many are held in memory.</summary>
    public int OpenBlocks { get; init; } = IdentityBatchSampler.DefaultOpenBlocks;

    /// <summary>Whether captions made from attributes are drawn beside the written ones.</summary>
    public bool UsePromptCaptions { get; init; } = true;

    /// <summary>Threads that decode. The batches are the same for any number.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Batches that may lie ready ahead of the step.</summary>
    public int Ahead { get; init; } = 2;

    /// <summary>Batches the consumer may hold at once (the losses of one step are read while the next runs).</summary>
    public int Held { get; init; } = 2;

    /// <summary>Bytes for keeping resized pictures between epochs; 0 for none. A 256×128 picture takes 98,304.</summary>
    public long CacheBytes { get; init; }

    internal void Require()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BatchSize);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxTokens, 3);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Workers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Ahead);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Held);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BlockSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(OpenBlocks);
        ArgumentOutOfRangeException.ThrowIfNegative(CacheBytes);
    }
}
