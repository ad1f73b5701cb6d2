namespace Plip.Evaluation;

/// <summary>
/// Turns a <see cref="ReportDocument"/> into one self-contained HTML file: pictures inside as base64, charts as inline
/// SVG, no script, nothing fetched. It follows the reader's light or dark setting and prints. The markup is also
/// well-formed XML, so a test can read it.
/// </summary>
public static class ReportBuilder
{
    /// <summary>Writes the report; the file appears under its name only when complete.</summary>
    /// <exception cref="ArgumentException">A picture's bytes do not fit its size.</exception>
    public static void Write(ReportDocument document, string path)
    {
        var partial = path + ".partial";
        File.WriteAllText(partial, Build(document));
        File.Move(partial, path, overwrite: true);
    }

    /// <summary>The report as one string.</summary>
    /// <exception cref="ArgumentException">A picture's bytes do not fit its size.</exception>
    public static string Build(ReportDocument document)
    {
        ArgumentNullException.ThrowIfNull(document);
        var sections = Sections(document);
        var html = new HtmlWriter();
        using (html.Open("html", ("xmlns", "http://www.w3.org/1999/xhtml"), ("lang", "en")))
        {
            using (html.Line().Open("head"))
            {
                html.Empty("meta", ("charset", "utf-8"));
                html.Empty("meta", ("name", "viewport"), ("content", "width=device-width, initial-scale=1"));
                html.Empty("meta", ("name", "color-scheme"), ("content", "light dark"));
                html.Leaf("title", document.Title).Line().Style(Stylesheet.Text);
            }
            using (html.Line().Open("body"))
            {
                Header(html, document, sections);
                using (html.Line().Open("main"))
                    foreach (var (id, title, write) in sections)
                    {
                        using var section = html.Line().Open("section", ("id", id));
                        html.Leaf("h2", title);
                        write(html);
                    }
            }
        }
        return "<!DOCTYPE html>\n" + html + "\n";
    }

    private static List<(string Id, string Title, Action<HtmlWriter> Write)> Sections(ReportDocument d)
    {
        var sections = new List<(string, string, Action<HtmlWriter>)>();
        if (d.Figures.Count > 0) sections.Add(("figures", "Figures", h => TableSections.Figures(h, d.Figures)));
        if (d.Gallery is { } gallery) sections.Add(("retrieval", "Retrieval: the words and whom they found", h => PictureSections.Gallery(h, gallery)));
        if (d.Colorization is { } grid) sections.Add(("colorization", "Colorization: one word changed", h => PictureSections.Colorization(h, grid)));
        if (d.Masked is { } masked) sections.Add(("attributes", "Masked attributes", h => MaskedSection.Write(h, masked)));
        if (d.Losses.Count + d.Progress.Count > 0) sections.Add(("training", "Training", h => Charts(h, d)));
        if (d.Phases.Count > 0) sections.Add(("time", "Where the time went", h => TableSections.Phases(h, d.Phases)));
        if (d.Machine.Count > 0) sections.Add(("machine", "Machine", h => TableSections.Values(h, d.Machine, "values")));
        if (d.Settings.Count > 0) sections.Add(("settings", "Settings", h => TableSections.Values(h, d.Settings, "values code")));
        if (d.Notes.Count > 0) sections.Add(("notes", "Notes", h => Notes(h, d.Notes)));
        return sections;
    }

    private static void Header(HtmlWriter html, ReportDocument document, List<(string Id, string Title, Action<HtmlWriter> Write)> sections)
    {
        using var header = html.Line().Open("header", ("class", "top"));
        if (document.Date.Length > 0) html.Leaf("p", document.Date, ("class", "date"));
        html.Leaf("h1", document.Title);
        if (document.Summary.Length > 0) html.Leaf("p", document.Summary, ("class", "summary"));
        if (document.Headlines.Count > 0)
            using (html.Open("div", ("class", "cards")))
                foreach (var headline in document.Headlines) Card(html, headline);
        if (sections.Count > 1)
            using (html.Open("nav", ("aria-label", "Contents")))
                foreach (var (id, title, _) in sections) html.Leaf("a", title.Split(':')[0], ("href", "#" + id));
    }

    private static void Card(HtmlWriter html, Headline headline)
    {
        using var card = html.Open("div", ("class", "card"));
        html.Leaf("p", headline.Label, ("class", "card-label"));
        using (html.Open("p", ("class", "card-value")))
        {
            html.Text(headline.Value);
            if (headline.Unit.Length > 0) html.Leaf("span", "\u2009" + headline.Unit, ("class", "unit"));
        }
        if (headline.Context.Length > 0) html.Leaf("p", headline.Context, ("class", "card-context"));
    }

    private static void Charts(HtmlWriter html, ReportDocument document)
    {
        using var grid = html.Open("div", ("class", "charts"));
        var hue = 0;
        foreach (var curve in document.Progress.Concat(document.Losses)) LineChart.Write(html, curve, hue++);
    }

    private static void Notes(HtmlWriter html, IReadOnlyList<string> notes)
    {
        using var list = html.Open("ul", ("class", "notes"));
        foreach (var note in notes) html.Leaf("li", note);
    }
}
