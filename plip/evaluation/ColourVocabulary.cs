namespace Plip.Evaluation;

/// <summary>A colour with its reference value in sRGB.</summary>
/// <param name="Name">The word a caption uses.</param>
/// <param name="R">Red byte.</param>
/// <param name="G">Green byte.</param>
/// <param name="B">Blue byte.</param>
public readonly record struct NamedColour(string Name, byte R, byte G, byte B)
{
    /// <summary>The reference in CIE Lab.</summary>
    public Lab Lab => Plip.Evaluation.Lab.FromRgb(R, G, B);
}

/// <summary>
/// The colour words of clothing captions: what each stands for in sRGB, and how "dark" or "light" before one changes it.
/// References are typical cloth in photographs, not the pure corners of RGB: photographed black is not (0, 0, 0).
/// </summary>
public static class ColourVocabulary
{
    /// <summary>The seven colours of the recolouring figure and the fidelity test, with their reference sRGB.</summary>
    public static IReadOnlyList<NamedColour> SwapColours { get; } =
    [
        new("red", 200, 30, 40), new("blue", 40, 75, 190), new("green", 40, 135, 60), new("yellow", 235, 210, 60),
        new("black", 22, 22, 24), new("white", 240, 240, 240), new("pink", 235, 145, 180),
    ];

    // A word may stand for several shades; "blue" in a caption is more often jeans or navy than a pure blue.
    private static readonly Dictionary<string, (string Basic, (byte R, byte G, byte B)[] Shades)> Words = new(StringComparer.Ordinal)
    {
        ["black"] = ("black", [(22, 22, 24), (45, 45, 50)]),
        ["white"] = ("white", [(240, 240, 240), (215, 218, 222)]),
        ["cream"] = ("white", [(235, 228, 205)]),
        ["ivory"] = ("white", [(238, 234, 218)]),
        ["grey"] = ("grey", [(128, 128, 130), (85, 86, 90), (170, 172, 175)]),
        ["gray"] = ("grey", [(128, 128, 130), (85, 86, 90), (170, 172, 175)]),
        ["silver"] = ("grey", [(185, 188, 192)]),
        ["charcoal"] = ("grey", [(62, 62, 66)]),
        ["red"] = ("red", [(200, 30, 40), (165, 35, 40)]),
        ["scarlet"] = ("red", [(210, 35, 35)]),
        ["maroon"] = ("red", [(105, 25, 35)]),
        ["burgundy"] = ("red", [(100, 22, 42)]),
        ["crimson"] = ("red", [(170, 25, 50)]),
        ["orange"] = ("orange", [(232, 120, 35)]),
        ["yellow"] = ("yellow", [(235, 210, 60)]),
        ["gold"] = ("yellow", [(205, 165, 60)]),
        ["mustard"] = ("yellow", [(200, 155, 45)]),
        ["green"] = ("green", [(40, 135, 60), (60, 90, 60)]),
        ["olive"] = ("green", [(90, 92, 55)]),
        ["turquoise"] = ("blue", [(60, 175, 185)]),
        ["teal"] = ("blue", [(30, 115, 120)]),
        ["blue"] = ("blue", [(40, 75, 190), (70, 95, 145), (45, 58, 100)]),
        ["navy"] = ("blue", [(30, 36, 68)]),
        ["purple"] = ("purple", [(110, 50, 140)]),
        ["violet"] = ("purple", [(125, 70, 165)]),
        ["lilac"] = ("purple", [(180, 150, 200)]),
        ["lavender"] = ("purple", [(185, 165, 210)]),
        ["pink"] = ("pink", [(235, 145, 180), (215, 100, 140)]),
        ["brown"] = ("brown", [(95, 62, 40), (70, 48, 36)]),
        ["beige"] = ("brown", [(200, 178, 140)]),
        ["tan"] = ("brown", [(185, 150, 110)]),
        ["khaki"] = ("brown", [(165, 150, 110)]),
        ["camel"] = ("brown", [(190, 145, 95)]),
        ["blonde"] = ("yellow", [(205, 175, 115)]),
        ["blond"] = ("yellow", [(205, 175, 115)]),
        ["ginger"] = ("orange", [(165, 85, 45)]),
    };

    private static readonly Dictionary<string, float> Modifiers = new(StringComparer.Ordinal)
    {
        // below 0: toward black; above 0: toward white; 0: as it is, but part of the colour's name
        ["dark"] = -0.5f,
        ["deep"] = -0.35f,
        ["light"] = 0.45f,
        ["pale"] = 0.5f,
        ["faded"] = 0.25f,
        ["washed"] = 0.3f,
        ["bright"] = 0,
        ["royal"] = 0,
        ["sky"] = 0.5f,
        ["baby"] = 0.5f,
        ["navy"] = -0.55f,
        ["olive"] = -0.2f,
        ["plain"] = 0,
        ["solid"] = 0,
    };

    /// <summary>Whether a lower-case word names a colour; gives its basic colour and the shades it may stand for.</summary>
    internal static bool TryColour(string word, out string basic, out (byte R, byte G, byte B)[] shades)
    {
        var found = Words.TryGetValue(word, out var entry);
        (basic, shades) = found ? entry : ("", []);
        return found;
    }

    /// <summary>Whether a lower-case word changes the colour word after it, and how far toward black (below 0) or white.</summary>
    internal static bool TryModifier(string word, out float shift) => Modifiers.TryGetValue(word, out shift);

    /// <summary>A colour moved toward black or white.</summary>
    internal static (byte R, byte G, byte B) Shift((byte R, byte G, byte B) c, float shift)
    {
        var (keep, add) = shift < 0 ? (1 + shift, 0f) : (1 - shift, 255 * shift);
        return ((byte)(c.R * keep + add), (byte)(c.G * keep + add), (byte)(c.B * keep + add));
    }

    /// <summary>What "dark" or "light" mean where no colour follows ("a dark jacket").</summary>
    internal static (byte R, byte G, byte B)[] Alone(string modifier) => modifier switch
    {
        "dark" => [(22, 22, 24), (50, 50, 54), (30, 36, 68), (60, 45, 38)],
        "light" or "pale" => [(235, 235, 235), (185, 188, 192), (205, 190, 160)],
        _ => [],
    };
}
