using System.Globalization;
using System.Text;

namespace Plip.Ablation;

/// <summary>An ablation's tables as text: for a console, in columns, and as Markdown. What the paper has stands beside what was measured; what neither has is blank.</summary>
public static class AblationReport
{
    private const string Paper = "The paper's columns are R@1 in per cent of its own runs: RN50 on 10,000 identities (139,564 pictures) of SYNTH-PEDES, tested " +
        "zero-shot on CUHK-PEDES (text→image) and Market-1501 (image→image). Blank: not known to us. They can be compared in their order, not in their values.";

    private static readonly string[] Heads = ["text→image R@1", "mAP", "image→image R@1", "mAP", "paper: CUHK", "paper: Market"];

    /// <summary>The tables in columns.</summary>
    public static string Text(AblationResults results)
    {
        var text = new StringBuilder();
        foreach (var table in results.Tables)
        {
            var rows = Rows(results, table);
            var names = rows.Max(r => r.Name.Length);
            var widths = Heads.Select((h, i) => Math.Max(h.Length, rows.Max(r => r.Cells[i].Length))).ToArray();
            text.Append('\n').Append(table.Title).Append('\n');
            text.Append("".PadRight(names));
            for (var i = 0; i < Heads.Length; i++) text.Append("  ").Append(Heads[i].PadLeft(widths[i]));
            text.Append('\n');
            foreach (var (name, cells) in rows)
            {
                text.Append(name.PadRight(names));
                for (var i = 0; i < cells.Length; i++) text.Append("  ").Append(cells[i].PadLeft(widths[i]));
                text.Length -= text.Length - text.ToString().TrimEnd(' ').Length;
                text.Append('\n');
            }
            foreach (var note in Failures(table)) text.Append("  ").Append(note).Append('\n');
        }
        return text.Append('\n').Append(Scale(results)).Append('\n').ToString();
    }

    /// <summary>The tables as Markdown.</summary>
    public static string Markdown(AblationResults results)
    {
        var text = new StringBuilder();
        foreach (var table in results.Tables)
        {
            text.Append("### ").Append(table.Key).Append(": ").Append(table.Title).Append("\n\n| | ").AppendJoin(" | ", Heads).Append(" |\n| --- | --- | --- | --- | --- | --- | --- |\n");
            foreach (var (name, cells) in Rows(results, table)) text.Append("| ").Append(name).Append(" | ").AppendJoin(" | ", cells).Append(" |\n");
            text.Append('\n');
            foreach (var note in Failures(table)) text.Append("- ").Append(note).Append('\n');
            if (Failures(table).Any()) text.Append('\n');
        }
        text.Append(Scale(results)).Append("\n\n").Append(Paper).Append('\n');
        foreach (var protocol in new[] { results.TextProtocol, results.ImageProtocol })
            if (protocol != null) text.Append("\n- ").Append(protocol).Append(".\n");
        return text.ToString();
    }

    private static List<(string Name, string[] Cells)> Rows(AblationResults results, AblationTableResult table)
    {
        var rows = table.Rows.Select(r => (r.Name, Cells: new[]
        {
            Cell(r, r.TextR1, searched: !NoContrast(r)), Cell(r, r.TextMap, searched: !NoContrast(r)), Cell(r, r.ImageR1, true), Cell(r, r.ImageMap, true),
            r.Paper.Cuhk?.ToString() ?? "", r.Paper.Market?.ToString() ?? "",
        })).ToList();
        if (results.ImageChance is { } image)
            rows.Add(("chance", [results.TextChance is { } t ? Percent(t.R1) : "", results.TextChance is { } m ? Percent(m.Map) : "", Percent(image.R1), Percent(image.Map), "", ""]));
        return rows;
    }

    // A finished run that searched nothing by captions has no contrast: nothing joined captions and pictures.
    private static bool NoContrast(AblationRowResult row) => row.Runs.Any(r => r.Outcome == AblationOutcome.Finished && r.TextToImage == null);

    private static string Cell(AblationRowResult row, Spread? spread, bool searched)
    {
        if (!searched) return "–";
        var failed = row.Runs.Where(r => r.Outcome != AblationOutcome.Finished).ToList();
        if (spread == null) return failed.Count == 0 ? "" : failed[0].Outcome == AblationOutcome.Diverged ? "diverged" : "not possible";
        var value = spread.Deviation is { } deviation ? $"{Percent(spread.Mean)} ± {Percent(deviation)}" : Percent(spread.Mean);
        return failed.Count == 0 ? value : string.Create(CultureInfo.InvariantCulture, $"{value} ({failed.Count} of {row.Runs.Count} diverged)");
    }

    private static IEnumerable<string> Failures(AblationTableResult table) =>
        from row in table.Rows
        from run in row.Runs
        where run.Outcome != AblationOutcome.Finished
        select string.Create(CultureInfo.InvariantCulture, $"{row.Name}, seed {run.Seed}: {(run.Outcome == AblationOutcome.Diverged ? "diverged" : "not possible")}: {run.Reason}");

    private static string Scale(AblationResults r)
    {
        var wanted = r.Tables.Sum(t => t.Rows.Count) * r.Seeds;
        var have = r.Tables.SelectMany(t => t.Rows).Sum(row => row.Runs.Count);
        return string.Create(CultureInfo.InvariantCulture, $"Per cent{(r.Seeds > 1 ? $", mean ± standard deviation over {r.Seeds} seeds" : ", one seed")}. {Name(r)}: {r.Steps} steps of {r.BatchSize} pairs on {r.Train} ({r.TrainImages} pictures of {r.TrainIdentities} people), last weights tested on {r.Test} ({r.TestImages} pictures of {r.TestIdentities} other people).{(have < wanted ? $" Unfinished: {have} of {wanted} rows × seeds." : "")}");
    }

    private static string Name(AblationResults r) => r.Config.TryGetProperty("name", out var name) ? name.GetString() ?? "" : "";

    private static string Percent(double share) => (100 * share).ToString("0.0", CultureInfo.InvariantCulture);
}
