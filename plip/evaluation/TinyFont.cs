namespace Plip.Evaluation;

/// <summary>
/// Capital letters of 5×7 pixels for labels on pictures. A font of the system would look better, and not be there on a bare server, and
/// differ from one to the next: a figure must have the same bytes everywhere.
/// </summary>
internal static class TinyFont
{
    /// <summary>Pixels from one letter to the next and from one line to the next, at scale 1.</summary>
    public const int Advance = 6, LineHeight = 9;

    // Seven rows a glyph, one character each: a digit to base 32 whose bits are the row's five pixels, the leftmost the highest.
    private const string Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

    private const string Known = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-'? ";

    private static readonly string[] Glyphs =
    [
        "EHHVHHH", "UHHUHHU", "EHGGGHE", "UHHHHHU", "VGGUGGV", "VGGUGGG", "EHGNHHF", "HHHVHHH", "E44444E", "72222IC", "HIKOKIH", "GGGGGGV", "HRLLHHH",
        "HPLJHHH", "EHHHHHE", "UHHUGGG", "EHHHLID", "UHHUKIH", "FGGE11U", "V444444", "HHHHHHE", "HHHHHA4", "HHHLLRH", "HHA4AHH", "HHA4444", "V1248GV",
        "EHJLPHE", "4C4444E", "EH168GV", "U11E11U", "26AIV22", "VGU11HE", "68GUHHE", "V124888", "EHHEHHE", "EHHF12C",
        "00000CC", "0000C48", "000E000", "4480000", "EH12404", "0000000",
    ];

    /// <summary>Writes a line of text in one colour; what does not fit the picture is cut off, a letter it does not have is a "?".</summary>
    /// <param name="rgb">(height, width, 3) bytes.</param>
    /// <param name="x">Left edge.</param>
    /// <param name="y">Upper edge.</param>
    /// <param name="scale">Pixels for each pixel of a glyph.</param>
    public static void Write(Span<byte> rgb, int width, int height, int x, int y, string text, int scale, byte shade)
    {
        foreach (var c in text)
        {
            var at = Known.IndexOf(char.ToUpperInvariant(c));
            var glyph = Glyphs[at >= 0 ? at : Known.IndexOf('?')];
            for (var row = 0; row < 7 * scale; row++)
            {
                var bits = Digits.IndexOf(glyph[row / scale]);
                for (var column = 0; column < 5 * scale; column++)
                    if ((bits >> (4 - column / scale) & 1) != 0 && x + column < width && y + row < height)
                        rgb.Slice(((y + row) * width + x + column) * 3, 3).Fill(shade);
            }
            x += Advance * scale;
        }
    }

    /// <summary>Words on as many lines as they need at so many letters a line; a longer word is cut.</summary>
    public static IReadOnlyList<string> Wrap(string text, int letters)
    {
        var lines = new List<string>();
        foreach (var word in text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            if (lines.Count > 0 && lines[^1].Length + 1 + word.Length <= letters) lines[^1] += " " + word;
            else lines.Add(word.Length <= letters ? word : word[..letters]);
        }
        return lines;
    }
}
