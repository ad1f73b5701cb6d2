namespace Plip.Evaluation;

/// <summary>Where on the body a garment word lies.</summary>
public enum BodyPart
{
    /// <summary>Not clothing: paper, hands, the person ("a black man").</summary>
    None,
    /// <summary>Hair and hats.</summary>
    Head,
    /// <summary>Jackets, shirts, coats.</summary>
    Upper,
    /// <summary>Trousers, skirts, shorts.</summary>
    Lower,
    /// <summary>Shoes and socks.</summary>
    Feet,
    /// <summary>Dresses and suits: upper and lower together.</summary>
    Body,
    /// <summary>Bags and backpacks.</summary>
    Bag,
}

/// <summary>A colour named in a caption and the garment it belongs to.</summary>
/// <param name="Start">First character of the colour's words in the caption.</param>
/// <param name="Length">Characters, a modifier such as "dark" included.</param>
/// <param name="Basic">Its basic colour ("navy" is "blue"); empty for "dark" or "light" alone.</param>
/// <param name="Shades">The sRGB values it may stand for.</param>
/// <param name="Garment">The garment noun, lower case; empty where the caption names none.</param>
/// <param name="GarmentStart">First character of that noun in the caption, or −1.</param>
/// <param name="Part">Where that garment lies; <see cref="BodyPart.Body"/> where none is known.</param>
public sealed record ColourMention(
    int Start, int Length, string Basic, IReadOnlyList<(byte R, byte G, byte B)> Shades, string Garment, int GarmentStart, BodyPart Part);
