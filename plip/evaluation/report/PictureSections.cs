namespace Plip.Evaluation;

/// <summary>The sections made of pictures: what was found, and what was coloured.</summary>
internal static class PictureSections
{
    /// <summary>Queries with their first hits; a right one has a green frame and a tick, so that colour alone does not carry it.</summary>
    public static void Gallery(HtmlWriter html, RetrievalGallery gallery)
    {
        var columns = gallery.Queries.Count == 0 ? 1 : Math.Max(1, gallery.Queries.Max(q => q.Hits.Count));
        html.Leaf("p", $"{gallery.Rule} Best first, {columns} hits each; green and ticked: the person described; thin grey: somebody else; below each its cosine.", ("class", "rule"));
        for (var i = 0; i < gallery.Queries.Count; i++)
        {
            var query = gallery.Queries[i];
            using var block = html.Line().Open("article", ("class", "query"));
            using (html.Open("header"))
            {
                html.Leaf("p", query.Text, ("class", "caption"));
                var (text, style) = query.FirstRight switch
                {
                    0 => ("", ""),
                    1 => ("found first", "chip good"),
                    <= 10 => ($"first right at {query.FirstRight}", "chip"),
                    _ => ($"first right at {Format.Count(query.FirstRight)}", "chip bad"),
                };
                if (text.Length > 0) html.Leaf("span", text, ("class", style));
            }
            using var row = html.Open("div", ("class", "hits"), ("style", $"--columns:{columns}"));
            for (var rank = 0; rank < query.Hits.Count; rank++)
            {
                var hit = query.Hits[rank];
                using var figure = html.Open("figure", ("class", hit.Right ? "hit right" : "hit"));
                Picture(html, hit.Picture, $"hit {rank + 1}, {(hit.Right ? "right" : "wrong")}");
                using (html.Open("figcaption"))
                {
                    if (hit.Right) html.Leaf("span", "✓", ("class", "tick-mark")).Text(" ");
                    html.Text(hit.Score.ToString("0.00", System.Globalization.CultureInfo.InvariantCulture).Replace('-', '\u2212'));
                }
            }
        }
    }

    /// <summary>Gray, prediction, the swaps, truth: one line a person, one column a colour.</summary>
    public static void Colorization(HtmlWriter html, ColorizationGrid grid)
    {
        html.Leaf("p", $"{grid.Rule} The model sees the gray picture and the caption; in the middle columns only the underlined words are replaced by the colour above.", ("class", "rule"));
        if (grid.Fidelity is { } fidelity) Fidelity(html, fidelity);
        foreach (var person in grid.Rows)
        {
            using var block = html.Line().Open("article", ("class", "person"));
            Caption(html, person);
            using var row = html.Open("div", ("class", "strip"), ("style", $"--columns:{person.Swaps.Count + 3}"));
            Cell(html, person.Gray, "gray", "end", null);
            Cell(html, person.Prediction, "predicted", "end", null);
            foreach (var swap in person.Swaps) Cell(html, swap.Picture, swap.Colour.Name, "", swap.Colour);
            Cell(html, person.Truth, "true", "start", null);
        }
    }

    /// <summary>An image element with its size, so that the page does not jump while it loads.</summary>
    public static void Picture(HtmlWriter html, ReportPicture picture, string description) => html.Empty("img",
        ("src", PictureEncoder.ToDataUri(picture)), ("width", picture.Width.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        ("height", picture.Height.ToString(System.Globalization.CultureInfo.InvariantCulture)), ("alt", description));

    private static void Fidelity(HtmlWriter html, FidelityResult fidelity)
    {
        using var block = html.Open("div", ("class", "fidelity"));
        using (html.Open("p"))
            html.Leaf("strong", $"{Format.Percent(fidelity.Share)} %")
                .Text($" of {Format.Count(fidelity.Swaps)} swaps moved the garment toward the colour named (mean move {fidelity.MeanMove.ToString("0.0", System.Globalization.CultureInfo.InvariantCulture).Replace('-', '\u2212')} in weighted Lab). A model deaf to the caption reaches 0 %, one that changes at random about 50 %.");
        using var list = html.Open("ul", ("class", "swatches"));
        foreach (var (colour, _, share) in fidelity.PerColour)
        {
            using var item = html.Open("li");
            var known = ColourVocabulary.SwapColours.Where(c => c.Name == colour).ToArray();
            if (known.Length > 0) Swatch(html, known[0]);
            html.Text($"{colour} {Format.Percent(share)} %");
        }
    }

    private static void Caption(HtmlWriter html, ColorizationRow person)
    {
        using var caption = html.Open("p", ("class", "caption"));
        if (person.Swapped is { } site && site.Start + site.Length <= person.Caption.Length)
            html.Text(person.Caption[..site.Start]).Leaf("u", site.Words).Text(person.Caption[(site.Start + site.Length)..]);
        else
            html.Text(person.Caption);
    }

    private static void Cell(HtmlWriter html, ReportPicture picture, string label, string side, NamedColour? swatch)
    {
        using var figure = html.Open("figure", ("class", side.Length > 0 ? "cell " + side : "cell"));
        using (html.Open("figcaption"))
        {
            if (swatch is { } colour) Swatch(html, colour);
            html.Text(label);
        }
        Picture(html, picture, label);
    }

    private static void Swatch(HtmlWriter html, NamedColour colour) =>
        html.Leaf("span", "", ("class", "swatch"), ("style", $"background:{Format.Hex(colour)}"));
}
