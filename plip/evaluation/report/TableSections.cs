namespace Plip.Evaluation;

/// <summary>The sections made of numbers: the figures with their protocol, the time, the machine, the settings.</summary>
internal static class TableSections
{
    /// <summary>The table of figures; protocols stand below it, numbered, each once.</summary>
    public static void Figures(HtmlWriter html, IReadOnlyList<FigureRow> rows)
    {
        var protocols = rows.Select(r => r.Result.Protocol).Distinct().ToList();
        using (html.Open("div", ("class", "wide")))
        using (html.Open("table", ("class", "figures")))
        {
            using (html.Open("thead"))
            using (html.Open("tr"))
                foreach (var head in (string[])["", "R@1", "R@5", "R@10", "mAP", "mAP (trap.)", "mINP", "Data set, split", "Queries", "Gallery", "Checkpoint"])
                    html.Leaf("th", head, ("scope", "col"));
            using var body = html.Open("tbody");
            string? group = null;
            foreach (var row in rows)
            {
                var r = row.Result;
                var key = $"{r.Protocol}\n{row.DataSet}\n{row.Split}";
                using var line = html.Open("tr", ("class", (row.IsModel ? "model" : "rival") + (group is not null && group != key ? " first" : "")));
                group = key;
                using (html.Open("th", ("scope", "row")))
                    html.Text(row.Name).Leaf("sup", Format.Count(protocols.IndexOf(r.Protocol) + 1));
                foreach (var value in (double[])[r.R1, r.R5, r.R10, r.Map, r.MapTrap, r.Minp]) html.Leaf("td", Format.Percent(value), ("class", "n"));
                html.Leaf("td", row.Split.Length > 0 ? $"{row.DataSet}, {row.Split}" : row.DataSet, ("class", "set"));
                html.Leaf("td", Format.Count(r.Queries), ("class", "n"));
                html.Leaf("td", Format.Count(r.Gallery), ("class", "n"));
                html.Leaf("td", row.Checkpoint.Length > 12 ? row.Checkpoint[..12] : row.Checkpoint.Length > 0 ? row.Checkpoint : "–", ("class", "code"));
            }
        }
        using (html.Open("ol", ("class", "protocols")))
            foreach (var protocol in protocols) html.Leaf("li", protocol + ".");
        html.Leaf("p", "All figures in per cent. mAP is the mean of AP_std = (1/N)·Σ j/r_j; mAP (trap.) uses trapezia as PLIP’s own script does and is never higher; mINP is the mean of N/r_N. Chance is the exact expectation under a random ranking, not a simulation.", ("class", "quiet"));
    }

    /// <summary>Time by phase: one bar for the whole, and a line for each part.</summary>
    public static void Phases(HtmlWriter html, IReadOnlyList<PhaseTime> phases)
    {
        var total = phases.Aggregate(TimeSpan.Zero, (sum, p) => sum + p.Duration);
        double Share(PhaseTime p) => total > TimeSpan.Zero ? p.Duration / total : 0;
        using (html.Open("div", ("class", "stack")))
            for (var i = 0; i < phases.Count; i++)
                html.Leaf("span", "", ("class", $"hue{i % 6}"), ("title", phases[i].Name), ("style", $"width:{Format.Coordinate(100 * Share(phases[i]))}%"));
        using var table = html.Open("table", ("class", "phases"));
        using var body = html.Open("tbody");
        for (var i = 0; i < phases.Count; i++)
        {
            using var line = html.Open("tr");
            using (html.Open("th", ("scope", "row")))
                html.Leaf("span", "", ("class", $"swatch hue{i % 6}")).Text(phases[i].Name);
            html.Leaf("td", Format.Duration(phases[i].Duration), ("class", "n"));
            html.Leaf("td", Format.Percent(Share(phases[i])) + " %", ("class", "n"));
            html.Leaf("td", phases[i].Detail, ("class", "quiet"));
        }
        using var last = html.Open("tr", ("class", "sum"));
        html.Leaf("th", "All", ("scope", "row")).Leaf("td", Format.Duration(total), ("class", "n")).Leaf("td", "", ("class", "n")).Leaf("td", "");
    }

    /// <summary>Names and values in columns.</summary>
    public static void Values(HtmlWriter html, IReadOnlyList<NamedValue> values, string style)
    {
        using var list = html.Open("dl", ("class", style));
        foreach (var (name, value) in values)
            using (html.Open("div")) html.Leaf("dt", name).Leaf("dd", value);
    }
}
