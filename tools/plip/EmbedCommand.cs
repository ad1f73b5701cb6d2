using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Plip.Data;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary><c>plip embed</c>: embeddings of a folder of pictures or of a file of texts, as .npy.</summary>
internal static class EmbedCommand
{
    private static readonly string[] Extensions = [".jpg", ".jpeg", ".png", ".webp", ".bmp"];

    public static Command Create()
    {
        var (checkpoint, device, threads) = (new CheckpointOption(), Options.Device(), Options.Threads());
        var images = new Option<string?>("--images") { Description = "A folder; its pictures, in the order of their paths, become the rows." };
        var texts = new Option<string?>("--texts") { Description = "A file with a text on each line." };
        var output = new Option<string>("--out") { Description = "The .npy file to write: float32 (rows, width), L2-normalised. The rows' names go to the same path with .txt.", Required = true };
        var batch = new Option<int>("--batch") { Description = "Rows at once.", DefaultValueFactory = _ => 64 };
        var command = new Command("embed", "Embed pictures or texts with a checkpoint.") { checkpoint, images, texts, output, batch, device, threads };
        checkpoint.AddCompanions(command);
        command.SetAction(p =>
        {
            if (p.GetValue(images) is null == p.GetValue(texts) is null) throw new UsageException("give either --images or --texts");
            Options.Range(p.GetValue(batch), 1, 65536, "--batch");
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            using var plip = checkpoint.Open(p, engine);
            var watch = Stopwatch.StartNew();
            var (names, values) = p.GetValue(images) is { } folder ? Images(plip, folder, p.GetValue(batch)) : Texts(plip, p.GetValue(texts)!);
            var path = p.GetValue(output)!;
            NpyWriter.Write(path, values, names.Length, plip.Model.Config.Text.Width);
            File.WriteAllLines(path + ".txt", names);
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{path}: {names.Length} rows of {plip.Model.Config.Text.Width} in {watch.Elapsed.TotalSeconds:0.0} s ({names.Length / watch.Elapsed.TotalSeconds:0} a second)"));
            return 0;
        });
        return command;
    }

    private static (string[] Names, float[] Values) Images(PlipCheckpoint plip, string folder, int batch)
    {
        if (!Directory.Exists(folder)) throw new DataException(folder, null, "there is no such folder", "a folder of pictures");
        var paths = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(f => Extensions.Contains(Path.GetExtension(f), StringComparer.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).ToArray();
        if (paths.Length == 0) throw new DataException(folder, null, "it holds no pictures", $"files ending in {string.Join(", ", Extensions)}");
        var images = paths.Select((path, i) => new PersonImage(folder, Path.GetRelativePath(folder, path), i, [], [], null, null, i)).ToArray();
        var set = new PersonDataset(folder, folder, folder, DatasetLayout.Auto, images);
        var loader = new EvaluationLoader(set, plip.Captions, plip.Model.Config.Image.ToSettings(), plip.Model.Config.Text.MaxTokens, Environment.ProcessorCount);
        return ([.. images.Select(i => i.RelativePath)], Embedder.Images(plip.Device, plip.Model, loader, images.Length, batch).Values);
    }

    private static (string[] Names, float[] Values) Texts(PlipCheckpoint plip, string file)
    {
        var lines = File.ReadAllLines(file);
        var empty = Array.FindIndex(lines, string.IsNullOrWhiteSpace);
        if (empty >= 0) throw new DataException(file, FormattableString.Invariant($"line {empty + 1}"), "the line is empty", "a text on every line");
        if (lines.Length == 0) throw new DataException(file, null, "it is empty", "a text on every line");
        return (lines, plip.EmbedTexts(lines));
    }
}
