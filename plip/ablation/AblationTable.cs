using System.Globalization;
using Plip.Configs;

namespace Plip.Ablation;

/// <summary>What a row of a table has in the paper, in per cent of R@1; null where it is not known to us.</summary>
/// <param name="Cuhk">Text→image on CUHK-PEDES.</param>
/// <param name="Market">Image→image on Market-1501, zero-shot.</param>
public sealed record PaperFigures(PaperFigure? Cuhk = null, PaperFigure? Market = null);

/// <summary>A figure, or the range the paper's text gives for several rows together.</summary>
/// <param name="Value">Per cent; the lower end of a range.</param>
/// <param name="To">The upper end of a range, or null.</param>
public readonly record struct PaperFigure(double Value, double? To = null)
{
    /// <summary>"32.5", or "17.6–19.1".</summary>
    public override string ToString() => To is { } to
        ? string.Create(CultureInfo.InvariantCulture, $"{Value:0.0}–{to:0.0}")
        : Value.ToString("0.0", CultureInfo.InvariantCulture);
}

/// <summary>One row: a change of the configuration, and what the paper reports for it.</summary>
/// <param name="Name">As the table names it: "IVLC + TIC".</param>
/// <param name="Change">The configuration of this row, from the base's. May throw <see cref="ConfigException"/> where the base cannot be changed so.</param>
/// <param name="Paper">The paper's figures.</param>
public sealed record AblationRow(string Name, Func<PlipConfig, PlipConfig> Change, PaperFigures Paper);

/// <summary>One table of the paper's ablation.</summary>
/// <param name="Key">How the command line names it: "tasks".</param>
/// <param name="Title">What it varies.</param>
/// <param name="Rows">In the paper's order.</param>
public sealed record AblationTable(string Key, string Title, IReadOnlyList<AblationRow> Rows);
