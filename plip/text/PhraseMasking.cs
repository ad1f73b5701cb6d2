using Plip.Engine;

namespace Plip.Text;

/// <summary>
/// Masks attribute phrases for image-guided attribute prediction: whole phrases, not random words, so that the answer
/// has to be read off the picture and not off the rest of the phrase.
/// </summary>
public static class PhraseMasking
{
    /// <summary>The label of a position that is not predicted, as in PyTorch's cross entropy.</summary>
    public const int Ignore = -100;

    // Far beyond any phrase's number, so the forced choice never reuses a phrase's draw.
    private const ulong ForcedChoice = 1UL << 32;

    /// <summary>
    /// Masks each phrase with probability p, independently; where a caption has phrases but none was drawn, one is chosen
    /// evenly, so that each caption with a phrase contributes to the loss.
    /// </summary>
    /// <param name="caption">Tokens and phrase ranges; left unchanged.</param>
    /// <param name="probability">p in [0, 1], from <see cref="Tasks.MaskingCurriculum"/>.</param>
    /// <param name="mask">Id of [MASK].</param>
    /// <param name="random">The draws; give each caption of each epoch its own stream or step.</param>
    /// <returns>New ids with [MASK] over the chosen phrases; labels hold the original id there and −100 elsewhere.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The probability is not in [0, 1].</exception>
    public static (int[] Ids, int[] Labels) Apply(EncodedCaption caption, float probability, int mask, Philox random)
    {
        if (!(probability is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(probability), probability, "A masking probability lies in [0, 1].");
        var ids = (int[])caption.Ids.Clone();
        var labels = new int[ids.Length];
        Array.Fill(labels, Ignore);
        var any = false;
        for (var i = 0; i < caption.Phrases.Length; i++)
            if (random.Uniform((ulong)i) < probability)
            {
                Cover(caption.Phrases[i]);
                any = true;
            }
        if (!any && caption.Phrases.Length > 0) Cover(caption.Phrases[random.Next(ForcedChoice, caption.Phrases.Length)]);
        return (ids, labels);

        void Cover(TokenRange phrase)
        {
            for (var t = phrase.Start; t < phrase.End; t++)
            {
                labels[t] = ids[t];
                ids[t] = mask;
            }
        }
    }
}
