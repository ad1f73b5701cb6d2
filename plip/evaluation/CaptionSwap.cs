namespace Plip.Evaluation;

/// <summary>The words of a caption that colour one garment.</summary>
/// <param name="Start">First character.</param>
/// <param name="Length">Characters: "dark blue", or all of "red and blue" where a garment has several colours.</param>
/// <param name="Words">These words as the caption has them.</param>
/// <param name="Basic">Their basic colour, of the first where there are several; empty for "dark" or "light" alone.</param>
/// <param name="Garment">The garment noun.</param>
/// <param name="Part">Where it lies.</param>
public sealed record SwapSite(int Start, int Length, string Words, string Basic, string Garment, BodyPart Part);

/// <summary>A caption whose garment has been given another colour.</summary>
/// <param name="Caption">The new caption.</param>
/// <param name="Colour">The colour now named.</param>
public sealed record SwappedCaption(string Caption, NamedColour Colour);

/// <summary>
/// Changes the colour word of one garment of a caption: the paper's recolouring figure, and the input of
/// <see cref="ColourFidelity"/>. Garments are tried in the order upper, whole body, lower, feet: the largest first.
/// </summary>
public static class CaptionSwap
{
    private static readonly BodyPart[] Order = [BodyPart.Upper, BodyPart.Body, BodyPart.Lower, BodyPart.Feet];

    /// <summary>The colour words to change, or null where no garment of the caption has a colour word: report such a caption as without a swap.</summary>
    /// <param name="caption">Any caption.</param>
    /// <param name="part">Only a garment of this part; null for the order above.</param>
    public static SwapSite? Find(string caption, BodyPart? part = null)
    {
        var mentions = CaptionColours.Read(caption);
        foreach (var wanted in part is { } only ? [only] : Order)
        {
            var first = mentions.FirstOrDefault(m => m.Part == wanted && m.Garment.Length > 0 && m.Start < m.GarmentStart);
            if (first is null) continue;
            // "red and blue", "black, white and grey": neighbours with only a link between them are one phrase.
            var end = first.Start + first.Length;
            foreach (var next in mentions.Where(m => m.GarmentStart == first.GarmentStart && m.Start > first.Start))
                if (caption[end..next.Start].Trim() is "" or "and" or "," or "or" or ", and" or "-") end = next.Start + next.Length;
                else break;
            return new SwapSite(first.Start, end - first.Start, caption[first.Start..end], first.Basic, first.Garment, wanted);
        }
        return null;
    }

    /// <summary>The caption with the words at <paramref name="site"/> replaced; "an" before them becomes "a" and back as the new word wants.</summary>
    /// <exception cref="ArgumentException">The site is not of this caption.</exception>
    public static string Replace(string caption, SwapSite site, string colour)
    {
        ArgumentNullException.ThrowIfNull(site);
        ArgumentException.ThrowIfNullOrWhiteSpace(colour);
        if (site.Start + site.Length > caption.Length || caption.Substring(site.Start, site.Length) != site.Words)
            throw new ArgumentException($"The swap of \"{site.Words}\" at character {site.Start} is not from this caption: \"{caption}\".", nameof(site));
        var before = caption[..site.Start];
        var vowel = "aeiou".Contains(char.ToLowerInvariant(colour[0]));
        foreach (var article in (ReadOnlySpan<string>)["an ", "An ", "a ", "A "])
        {
            if (!before.EndsWith(article, StringComparison.Ordinal) || (before.Length > article.Length && char.IsLetter(before[^(article.Length + 1)]))) continue;
            before = before[..^article.Length] + article[0] + (vowel ? "n " : " ");
            break;
        }
        var word = char.IsUpper(site.Words[0]) ? char.ToUpperInvariant(colour[0]) + colour[1..] : colour;
        return before + word + caption[(site.Start + site.Length)..];
    }

    /// <summary>
    /// The caption once for each of <see cref="ColourVocabulary.SwapColours"/> (the original colour included, where it
    /// is one of them); empty where <see cref="Find"/> gives null.
    /// </summary>
    public static IReadOnlyList<SwappedCaption> AllColours(string caption, BodyPart? part = null) =>
        Find(caption, part) is not { } site ? [] : [.. ColourVocabulary.SwapColours.Select(c => new SwappedCaption(Replace(caption, site, c.Name), c))];
}
