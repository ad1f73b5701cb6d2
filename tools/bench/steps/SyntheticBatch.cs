using Plip.Configs;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>
/// A batch of the size and shape of a real one, the same for ours and for peers: noise for pictures, captions of 12 to 40
/// tokens, a fifth of the words masked. Made once; loading data is no part of a step's time.
/// </summary>
/// <param name="Size">Pairs.</param>
/// <param name="Images">(Size, H, W, 3), standard normal, as normalised pictures are.</param>
/// <param name="Identities">Two pictures of each person.</param>
/// <param name="Ids">Packed token ids.</param>
/// <param name="Offsets">Where each caption starts, and the total at the end.</param>
/// <param name="Masked">The ids with [MASK] in some places.</param>
/// <param name="Labels">What stood there; −100 elsewhere.</param>
internal sealed record SyntheticBatch(int Size, float[] Images, int[] Identities, int[] Ids, int[] Offsets, int[] Masked, int[] Labels)
{
    private const int Cls = 2, Sep = 3, Mask = 4, FirstWord = 5;
    private const float Share = 0.2f;

    public static SyntheticBatch For(PlipConfig config, int size)
    {
        var offsets = SyntheticText.Offsets(SyntheticText.Lengths(size, 12, 40));
        var words = Noise.Indices(offsets[^1], config.Text.VocabularySize - FirstWord, 1);
        var random = new Philox(4, 1);
        var (ids, masked, labels) = (new int[words.Length], new int[words.Length], new int[words.Length]);
        for (var i = 0; i < words.Length; i++)
        {
            var edge = Array.BinarySearch(offsets, i) >= 0 ? Cls : Array.BinarySearch(offsets, i + 1) >= 0 ? Sep : 0;
            ids[i] = masked[i] = edge > 0 ? edge : FirstWord + words[i];
            labels[i] = -100;
            if (edge > 0 || random.Uniform((ulong)i) >= Share) continue;
            (masked[i], labels[i]) = (Mask, ids[i]);
        }
        return new SyntheticBatch(
            size, Noise.Normal((long)size * config.Image.Height * config.Image.Width * 3, 1),
            [.. Enumerable.Range(0, size).Select(i => i / 2)], ids, offsets, masked, labels);
    }

    /// <summary>Packed places that are masked.</summary>
    public int[] Places => [.. Enumerable.Range(0, Labels.Length).Where(i => Labels[i] >= 0)];
}
