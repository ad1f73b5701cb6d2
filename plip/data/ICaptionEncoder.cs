using Plip.Engine;

namespace Plip.Data;

/// <summary>
/// Turns a caption into token ids. The loaders call it from several threads at once, so it must be thread-safe, and its
/// answers must depend on nothing but its arguments.
/// </summary>
public interface ICaptionEncoder
{
    /// <summary>The ids of <paramref name="caption"/> with [CLS] first and [SEP] last, at most <paramref name="maxTokens"/>, unpadded.</summary>
    int[] Encode(string caption, int maxTokens);

    /// <summary>
    /// The ids with attribute phrases masked, and the labels beside them: the original id at a masked position, -100
    /// elsewhere. Both have the same length; [CLS] and [SEP] are included and never masked.
    /// </summary>
    /// <param name="caption">The caption.</param>
    /// <param name="maxTokens">Upper bound of the length.</param>
    /// <param name="maskProbability">Probability in [0, 1] that a phrase is masked.</param>
    /// <param name="random">The sample's own generator: all of its elements are free to use.</param>
    (int[] ids, int[] labels) EncodeMasked(string caption, int maxTokens, float maskProbability, Philox random);
}
