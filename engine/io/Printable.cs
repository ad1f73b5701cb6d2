namespace Plip.Engine;

/// <summary>Names out of files for messages and consoles: a hostile one must not carry line breaks, escape codes or a novel.</summary>
public static class Printable
{
    private const int Longest = 160;

    /// <summary>The text with control and direction-changing characters as '?', cut where it is long.</summary>
    public static string Text(string text)
    {
        var cut = text.Length > Longest ? text.AsSpan(0, Longest) : text;
        foreach (var c in cut)
        {
            if (!Hidden(c)) continue;
            return string.Create(cut.Length, text, (to, from) =>
            {
                for (var i = 0; i < to.Length; i++) to[i] = Hidden(from[i]) ? '?' : from[i];
            }) + (cut.Length < text.Length ? "…" : "");
        }
        return cut.Length < text.Length ? $"{cut}…" : text;
    }

    private static bool Hidden(char c) => char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c)
        is System.Globalization.UnicodeCategory.Format or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator;
}
