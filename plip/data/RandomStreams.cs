using Plip.Engine;

namespace Plip.Data;

/// <summary>
/// The Philox streams of this folder. Tags stand in the top byte, so that they meet neither each other nor the small
/// numbers that layers use.
/// </summary>
internal static class RandomStreams
{
    private const int MaxEpoch = (1 << 24) - 1;

    /// <summary>The order of the images of an epoch.</summary>
    internal static Philox Order(ulong seed, int epoch) => new(seed, 0xD1000000, Step(epoch));

    /// <summary>The order of an identity's own images in an epoch (P × K).</summary>
    internal static Philox WithinIdentity(ulong seed, int epoch) => new(seed, 0xD2000000, Step(epoch));

    /// <summary>Which caption an image has in an epoch; the element is the image.</summary>
    internal static Philox Caption(ulong seed, int epoch) => new(seed, 0xD3000000, Step(epoch));

    /// <summary>Augmentation of an epoch; four elements per position.</summary>
    internal static Philox Augmentation(ulong seed, int epoch) => new(seed, 0xD4000000, Step(epoch));

    /// <summary>Masking of one sample: a generator of its own, since nobody knows how many numbers a caption takes.</summary>
    internal static Philox Masking(ulong seed, int epoch, int position) => new(seed, 0xD5000000 | Step(epoch), (uint)position);

    /// <summary>The order of an epoch's blocks.</summary>
    internal static Philox Blocks(ulong seed, int epoch) => new(seed, 0xD6000000, Step(epoch));

    private static uint Step(int epoch) => epoch is >= 0 and <= MaxEpoch
        ? (uint)epoch
        : throw new ArgumentOutOfRangeException(nameof(epoch), epoch, "epochs run from 0 to 16777215");
}
