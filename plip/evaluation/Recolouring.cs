using Plip.Data;

namespace Plip.Evaluation;

/// <summary>One picture of a recolouring figure.</summary>
/// <param name="Label">What it shows: "gray", the colour now named, "original".</param>
/// <param name="Caption">The caption it was painted by; empty for the first and the last.</param>
/// <param name="Picture">At the figure's size.</param>
/// <param name="Upper">Mean Lab colour about the trunk: the middle two fifths of the width, 17 to 50 % of the height.</param>
/// <param name="Lower">Mean Lab colour about the legs: 50 to 86 % of the height.</param>
public sealed record RecolouredPanel(string Label, string Caption, Picture Picture, Lab Upper, Lab Lower);

/// <summary>One row of a recolouring figure: gray, painted by the caption, painted by the caption with each swap, original.</summary>
/// <param name="Caption">The caption.</param>
/// <param name="Site">The words that were swapped; null where nothing was.</param>
/// <param name="Panels">From left to right.</param>
public sealed record RecolouredRow(string Caption, SwapSite? Site, IReadOnlyList<RecolouredPanel> Panels);

/// <summary>
/// The paper's recolouring figure for any picture: its gray values, what the model paints by a caption, and what it paints when one colour
/// word is changed. The model paints at its own size; the panels are that, enlarged to the shape of the picture.
/// </summary>
public static class Recolouring
{
    private const int Margin = 8, Scale = 2, Label = TinyFont.LineHeight * Scale + 6;

    /// <summary>Paints one row.</summary>
    /// <param name="picture">Any picture; only its gray values are painted on.</param>
    /// <param name="caption">The caption.</param>
    /// <param name="colours">Colour words to swap in; none paints the caption alone.</param>
    /// <param name="part">The garment whose colour is swapped; null for the first of upper, whole body, lower, feet that has one.</param>
    /// <param name="height">Height of a panel; its width follows from the picture's shape.</param>
    /// <exception cref="ArgumentException">There are colours, but no garment with a colour word to swap.</exception>
    /// <exception cref="FormatException">The caption has no word.</exception>
    public static RecolouredRow Paint(Colorizer colorizer, Picture picture, string caption, IReadOnlyList<string> colours, BodyPart? part, int height)
    {
        var site = colours.Count == 0 ? null : CaptionSwap.Find(caption, part)
            ?? throw new ArgumentException($"no {(part is { } p ? $"garment of the {Name(p)} in" : "garment of")} \"{caption}\" has a colour word to replace");
        string[] captions = [caption, .. colours.Select(c => CaptionSwap.Replace(caption, site!, c))];
        var width = (int)Math.Clamp(Math.Round((double)height * picture.Width / picture.Height), height / 8, height * 4);
        var painted = colorizer.Colorize(picture, captions);
        RecolouredPanel Panel(string label, string text, Picture small) =>
            new(label, text, Resized(small, height, width), Mean(small, 0.17, 0.50), Mean(small, 0.50, 0.86));
        return new RecolouredRow(caption, site,
        [
            Panel("gray", "", colorizer.ToPicture(colorizer.Prepare(picture).Gray)),
            .. captions.Select((c, i) => Panel(i > 0 ? colours[i - 1] : site?.Words ?? "caption", c, colorizer.ToPicture(painted[i]))),
            Panel("original", "", picture),
        ]);
    }

    /// <summary>Rows under one another, each with its caption above and a label on every panel.</summary>
    public static Picture Figure(IReadOnlyList<RecolouredRow> rows)
    {
        if (rows.Count == 0) throw new ArgumentException("A figure needs a row.", nameof(rows));
        var (panelWidth, panelHeight) = (rows[0].Panels[0].Picture.Width, rows[0].Panels[0].Picture.Height);
        // A narrow panel must still carry the longest label.
        var cell = Math.Max(panelWidth, (1 + rows.Max(r => r.Panels.Max(p => p.Label.Length))) * TinyFont.Advance * Scale);
        var width = Margin + rows.Max(r => r.Panels.Count) * (cell + Margin);
        var captions = rows.Select(r => TinyFont.Wrap(r.Caption, (width - 2 * Margin) / (TinyFont.Advance * Scale))).ToArray();
        var line = TinyFont.LineHeight * Scale;
        var height = Margin + captions.Sum(c => c.Count * line + Label + panelHeight + 2 * Margin);
        var rgb = new byte[checked(height * width * 3)];
        rgb.AsSpan().Fill(255);
        var y = Margin;
        for (var r = 0; r < rows.Count; r++)
        {
            foreach (var words in captions[r])
            {
                TinyFont.Write(rgb, width, height, Margin, y, words, Scale, 90);
                y += line;
            }
            for (var i = 0; i < rows[r].Panels.Count; i++)
            {
                var panel = rows[r].Panels[i];
                var x = Margin + i * (cell + Margin);
                TinyFont.Write(rgb, width, height, x, y + 3, panel.Label, Scale, 0);
                for (var row = 0; row < panelHeight; row++)
                    panel.Picture.Rgb.AsSpan(row * panelWidth * 3, panelWidth * 3).CopyTo(rgb.AsSpan(((y + Label + row) * width + x) * 3));
            }
            y += Label + panelHeight + 2 * Margin;
        }
        return new Picture(width, height, rgb);
    }

    /// <summary>A part's name as the command line has it.</summary>
    public static string Name(BodyPart part) => part.ToString().ToLowerInvariant();

    private static Picture Resized(Picture picture, int height, int width)
    {
        var rgb = new byte[height * width * 3];
        BicubicResizer.Resize(picture, height, width, rgb);
        return new Picture(width, height, rgb);
    }

    private static Lab Mean(Picture picture, double top, double bottom)
    {
        var (first, left) = ((int)(top * picture.Height), (int)(0.3 * picture.Width));
        var (last, right) = (Math.Max(first + 1, (int)(bottom * picture.Height)), Math.Max(left + 1, (int)(0.7 * picture.Width)));
        double l = 0, a = 0, b = 0;
        for (var y = first; y < last; y++)
            for (var x = left; x < right; x++)
            {
                var at = (y * picture.Width + x) * 3;
                var lab = Lab.FromRgb(picture.Rgb[at], picture.Rgb[at + 1], picture.Rgb[at + 2]);
                (l, a, b) = (l + lab.L, a + lab.A, b + lab.B);
            }
        var n = (last - first) * (right - left);
        return new Lab((float)(l / n), (float)(a / n), (float)(b / n));
    }
}
