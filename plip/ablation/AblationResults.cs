using System.Text.Json;
using Plip.Evaluation;

namespace Plip.Ablation;

/// <summary>Mean and spread over seeds.</summary>
/// <param name="Mean">Mean.</param>
/// <param name="Deviation">Sample standard deviation (n − 1); null of a single value.</param>
/// <param name="Count">Values.</param>
public sealed record Spread(double Mean, double? Deviation, int Count)
{
    /// <summary>Of some values; null of none.</summary>
    public static Spread? Of(IReadOnlyCollection<double> values)
    {
        if (values.Count == 0) return null;
        var mean = values.Sum() / values.Count;
        return new Spread(mean, values.Count < 2 ? null : Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1)), values.Count);
    }
}

/// <summary>A row with its runs, one for each seed done so far.</summary>
/// <param name="Name">The row's name.</param>
/// <param name="Paper">The paper's figures, per cent.</param>
/// <param name="Runs">In the order of the seeds; fewer than asked for while the ablation is under way.</param>
public sealed record AblationRowResult(string Name, PaperFigures Paper, IReadOnlyList<AblationRun> Runs)
{
    /// <summary>R@1 of captions searching pictures; null where no run has one.</summary>
    public Spread? TextR1 => Over(r => r.TextToImage?.R1);

    /// <summary>mAP of captions searching pictures.</summary>
    public Spread? TextMap => Over(r => r.TextToImage?.Map);

    /// <summary>R@1 of pictures searching pictures.</summary>
    public Spread? ImageR1 => Over(r => r.ImageToImage?.R1);

    /// <summary>mAP of pictures searching pictures.</summary>
    public Spread? ImageMap => Over(r => r.ImageToImage?.Map);

    private Spread? Over(Func<AblationRun, double?> figure) => Spread.Of([.. Runs.Select(figure).OfType<double>()]);
}

/// <summary>A table with its rows.</summary>
/// <param name="Key">"tasks".</param>
/// <param name="Title">What it varies.</param>
/// <param name="Rows">In the paper's order.</param>
public sealed record AblationTableResult(string Key, string Title, IReadOnlyList<AblationRowResult> Rows);

/// <summary>All that an ablation has found, so far or in the end.</summary>
/// <param name="Config">The base configuration, whole.</param>
/// <param name="Train">What was trained on: "world/train".</param>
/// <param name="TrainImages">Its pictures.</param>
/// <param name="TrainIdentities">Its people.</param>
/// <param name="Test">What was tested on.</param>
/// <param name="TestImages">Its pictures.</param>
/// <param name="TestIdentities">Its people: none of the training's.</param>
/// <param name="BatchSize">Pairs in a step.</param>
/// <param name="Seeds">Runs wanted of each row.</param>
/// <param name="Tables">The tables asked for.</param>
public sealed record AblationResults(
    JsonElement Config, string Train, int TrainImages, int TrainIdentities, string Test, int TestImages, int TestIdentities,
    int BatchSize, int Seeds, IReadOnlyList<AblationTableResult> Tables)
{
    private IEnumerable<AblationRun> Runs => Tables.SelectMany(t => t.Rows).SelectMany(r => r.Runs);

    /// <summary>Optimiser steps of a finished run; 0 before the first.</summary>
    public long Steps => Runs.Select(r => r.Steps).DefaultIfEmpty().Max();

    /// <summary>What chance reaches with captions; null before the first run.</summary>
    public ChanceLevel? TextChance => Runs.Select(r => r.TextChance).FirstOrDefault(c => c != null);

    /// <summary>What chance reaches with pictures; null before the first run.</summary>
    public ChanceLevel? ImageChance => Runs.Select(r => r.ImageChance).FirstOrDefault(c => c != null);

    /// <summary>How text→image was measured, in words; null before the first run.</summary>
    public string? TextProtocol => Runs.Select(r => r.TextToImage?.Protocol).FirstOrDefault(p => p != null);

    /// <summary>How image→image was measured, in words; null before the first run.</summary>
    public string? ImageProtocol => Runs.Select(r => r.ImageToImage?.Protocol).FirstOrDefault(p => p != null);

    /// <summary>Writes results.json and results.md into a folder; each appears only when complete.</summary>
    public void Write(string folder)
    {
        AblationJson.Replace(Path.Combine(folder, "results.json"), JsonSerializer.Serialize(this, AblationJson.Default.AblationResults));
        AblationJson.Replace(Path.Combine(folder, "results.md"), AblationReport.Markdown(this).TrimEnd('\n'));
    }
}
