namespace Plip.Evaluation;

/// <summary>One swap: how far the garment's mean colour stood from the named colour before and after.</summary>
/// <param name="Target">The colour the swapped caption names.</param>
/// <param name="Before">Weighted Lab distance of the prediction for the original caption to the target.</param>
/// <param name="After">The same of the prediction for the swapped caption.</param>
public readonly record struct SwapOutcome(NamedColour Target, float Before, float After)
{
    /// <summary>Whether the swap moved the garment toward the colour named. No movement does not count.</summary>
    public bool MovedToward => After < Before;
}

/// <summary>The figures of a fidelity test.</summary>
/// <param name="Swaps">Swaps measured.</param>
/// <param name="Toward">Swaps that moved toward the named colour.</param>
/// <param name="Share">Toward / Swaps; 0 without swaps. A model deaf to the caption reaches 0, one that changes at random about one half.</param>
/// <param name="MeanMove">Mean of before − after, in weighted Lab units: by how much, not only how often.</param>
/// <param name="PerColour">Swaps and share for each of the swap colours that occurred, in the vocabulary's order.</param>
public sealed record FidelityResult(int Swaps, int Toward, double Share, double MeanMove, IReadOnlyList<(string Colour, int Swaps, double Share)> PerColour);

/// <summary>
/// Does the colour word of a caption steer the colorization? Of one gray picture the model predicts colours for the
/// original caption and for one whose garment has another colour word; this asks whether the mean colour inside the
/// garment moved toward the colour now named, relative to the first prediction.
/// </summary>
/// <remarks>
/// Colours are compared as √(w·ΔL² + Δa² + Δb²) in CIE Lab, averaged over the mask in Lab, with w = 0.25 by default:
/// the gray picture fixes most of the lightness (black cannot become white without contradicting the input), so chroma
/// carries the answer; w is not 0, since black and white differ in nothing else.
/// </remarks>
public sealed class ColourFidelity(float lightnessWeight = 0.25f)
{
    private readonly List<SwapOutcome> _outcomes = [];

    /// <summary>The weight of ΔL².</summary>
    public float LightnessWeight { get; } = lightnessWeight;

    /// <summary>Measures one swap and adds it to the result.</summary>
    /// <param name="original">(H, W, 3) sRGB in [0, 1] predicted for the original caption.</param>
    /// <param name="swapped">The same for the swapped caption.</param>
    /// <param name="mask">(H, W): true on the garment.</param>
    /// <param name="target">The colour the swapped caption names.</param>
    /// <exception cref="ArgumentException">Sizes differ, the mask is empty, or a masked value is not finite.</exception>
    public SwapOutcome Add(ReadOnlySpan<float> original, ReadOnlySpan<float> swapped, ReadOnlySpan<bool> mask, NamedColour target)
    {
        var named = target.Lab;
        var outcome = new SwapOutcome(target,
            Lab.Distance(MeanColour(original, mask), named, LightnessWeight),
            Lab.Distance(MeanColour(swapped, mask), named, LightnessWeight));
        _outcomes.Add(outcome);
        return outcome;
    }

    /// <summary>The figures of all swaps added so far.</summary>
    public FidelityResult Result()
    {
        var toward = _outcomes.Count(o => o.MovedToward);
        double move = 0;
        foreach (var o in _outcomes) move += o.Before - o.After;
        var perColour = _outcomes.GroupBy(o => o.Target.Name)
            .OrderBy(g => IndexOf(g.Key)).ThenBy(g => g.Key, StringComparer.Ordinal)
            .Select(g => (g.Key, g.Count(), (double)g.Count(o => o.MovedToward) / g.Count()));
        var count = Math.Max(1, _outcomes.Count);
        return new FidelityResult(_outcomes.Count, toward, (double)toward / count, move / count, [.. perColour]);
    }

    /// <summary>The mean Lab colour inside a mask.</summary>
    /// <exception cref="ArgumentException">Sizes differ, the mask is empty, or a masked value is not finite.</exception>
    public static Lab MeanColour(ReadOnlySpan<float> picture, ReadOnlySpan<bool> mask)
    {
        if (picture.Length != 3 * mask.Length)
            throw new ArgumentException($"A picture of {picture.Length} values does not fit a mask of {mask.Length} pixels: expected {3 * mask.Length}.");
        double l = 0, a = 0, b = 0;
        var count = 0;
        for (var i = 0; i < mask.Length; i++)
        {
            if (!mask[i]) continue;
            var (red, green, blue) = (picture[3 * i], picture[3 * i + 1], picture[3 * i + 2]);
            if (!float.IsFinite(red + green + blue)) throw new ArgumentException($"Pixel {i} of the picture is not finite.");
            var lab = Lab.FromSrgb(red, green, blue);
            l += lab.L;
            a += lab.A;
            b += lab.B;
            count++;
        }
        if (count == 0) throw new ArgumentException("The garment mask is empty; leave such a picture out and count it.");
        return new Lab((float)(l / count), (float)(a / count), (float)(b / count));
    }

    private static int IndexOf(string name)
    {
        for (var i = 0; i < ColourVocabulary.SwapColours.Count; i++)
            if (ColourVocabulary.SwapColours[i].Name == name) return i;
        return int.MaxValue;
    }
}
