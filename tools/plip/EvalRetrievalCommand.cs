using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Data;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary><c>plip eval retrieval</c>: text→image and image→text retrieval of a split, by METRICS' protocol.</summary>
internal static class EvalRetrievalCommand
{
    public static Command Create()
    {
        var (checkpoint, data, splitFile) = (new CheckpointOption(), Options.Data(), Options.SplitFile());
        var (device, threads) = (Options.Device(), Options.Threads());
        var split = new Option<string>("--split") { Description = "Which split; there is no default, so that validation is never silently the test split.", Required = true };
        var json = new Option<string?>("--json") { Description = "Write the figures to this file." };
        var (batch, precision) = (EmbeddingOptions.Batch(), EmbeddingOptions.Precision());
        var command = new Command("retrieval", "Text→image and image→text retrieval: R@1/5/10, mAP (both definitions), mINP, chance and the colour-word baseline.")
        {
            checkpoint, data, split, splitFile, json, batch, precision, device, threads,
        };
        checkpoint.AddCompanions(command);
        command.SetAction(p =>
        {
            var rows = EmbeddingOptions.Checked(p.GetValue(batch));
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            using var plip = checkpoint.Open(p, engine, p.GetValue(precision));
            var set = PersonDataset.Load(p.GetValue(data)!, splitFile: p.GetValue(splitFile), split: p.GetValue(split));
            using var line = new EmbeddingLine();
            var both = RetrievalEvaluation.Run(plip, set, p.GetValue(split)!, batch: rows, progress: line.Show);
            line.Dispose();
            Print(both, set);
            if (p.GetValue(json) is { } path) Write(path, both, set, plip, p.GetValue(precision).ToString(), rows);
            return 0;
        });
        return command;
    }

    private static void Print(RetrievalEvaluation both, PersonDataset set)
    {
        var o = Console.Out;
        o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{set.Name}: {set.Images.Count} pictures, {set.Identities.Length} identities"));
        o.WriteLine($"{"",-24} {"R@1",6} {"R@5",6} {"R@10",6} {"mAP",6} {"mAP*",6} {"mINP",6}");
        Row("text→image", both.TextToImage.Outcome.Figures);
        Row("image→text", both.ImageToText);
        Row("colour words (baseline)", both.Baseline);
        var c = both.TextToImage.Outcome.Chance;
        Row("chance", both.Baseline with { R1 = c.R1, R5 = c.R5, R10 = c.R10, Map = c.Map, MapTrap = c.MapTrap, Minp = c.Minp });
        var run = both.TextToImage;
        o.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{run.Images.Count} pictures embedded in {run.ImageTime.TotalSeconds:0.0} s ({run.Images.Count / Math.Max(run.ImageTime.TotalSeconds, 1e-3):0} a second), {run.Texts.Count} texts in {run.TextTime.TotalSeconds:0.0} s ({run.Texts.Count / Math.Max(run.TextTime.TotalSeconds, 1e-3):0} a second)"));
        o.WriteLine($"mAP: AP = mean of j/r_j; mAP*: trapezoidal. {both.TextToImage.Outcome.Figures.Protocol}.");

        void Row(string name, RetrievalResult r) => o.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{name,-24} {100 * r.R1,6:0.00} {100 * r.R5,6:0.00} {100 * r.R10,6:0.00} {100 * r.Map,6:0.00} {100 * r.MapTrap,6:0.00} {100 * r.Minp,6:0.00}"));
    }

    private static void Write(string path, RetrievalEvaluation both, PersonDataset set, PlipCheckpoint plip, string precision, int batch)
    {
        using var stream = File.Create(path);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("data", set.Name);
        json.WriteString("checkpoint", plip.Hash);
        json.WriteNumber("step", plip.Step);
        json.WriteString("precision", precision);
        json.WriteNumber("batch", batch);
        json.WriteNumber("images", set.Images.Count);
        json.WriteNumber("identities", set.Identities.Length);
        ResultJson.Write(json, "retrieval", both.TextToImage.Outcome.Figures);
        ResultJson.Write(json, "image_to_text", both.ImageToText);
        ResultJson.Write(json, "baseline", both.Baseline);
        ResultJson.Write(json, "chance", both.TextToImage.Outcome.Chance);
        json.WriteEndObject();
    }
}
