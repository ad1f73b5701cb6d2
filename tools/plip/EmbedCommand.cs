using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Plip.Data;
using Plip.Evaluation;
using Plip.Model;

namespace Plip.Tool;

/// <summary><c>plip embed</c>: embeddings of a folder of pictures, of a file of texts or of a data set, as .npy or .safetensors.</summary>
internal static class EmbedCommand
{
    private static readonly string[] Extensions = [".jpg", ".jpeg", ".png", ".webp", ".bmp"];

    public static Command Create()
    {
        var (checkpoint, device, threads) = (new CheckpointOption(), Options.Device(), Options.Threads());
        var images = new Option<string?>("--images") { Description = "A folder; its pictures, in the order of their paths, become the rows." };
        var texts = new Option<string?>("--texts") { Description = "A file with a text on each line." };
        var data = new Option<string?>("--data") { Description = "A data set's folder: its pictures and its written captions, with their identities." };
        var (split, splitFile) = (new Option<string?>("--split") { Description = "With --data: only this split." }, Options.SplitFile());
        var output = new Option<string>("--out")
        {
            Description = "The file to write, .npy or .safetensors: float32 (rows, width), L2-normalised. The rows' names go to the same path with .txt; of a data set .npy becomes "
                + "OUT.images.npy, OUT.texts.npy and .ids.npy beside each, .safetensors one file of all.",
            Required = true,
        };
        var (batch, precision) = (EmbeddingOptions.Batch(), EmbeddingOptions.Precision());
        var command = new Command("embed", "Embed pictures, texts or a data set with a checkpoint.") { checkpoint, images, texts, data, split, splitFile, output, batch, precision, device, threads };
        checkpoint.AddCompanions(command);
        command.SetAction(p =>
        {
            var path = p.GetValue(output)!;
            if (new[] { p.GetValue(images), p.GetValue(texts), p.GetValue(data) }.Count(s => s != null) != 1) throw new UsageException("give one of --images or --texts or --data");
            if (p.GetValue(data) == null && (p.GetValue(split) ?? p.GetValue(splitFile)) != null) throw new UsageException("--split and --split-file go with --data");
            var rows = EmbeddingOptions.Checked(p.GetValue(batch));
            if (!EmbeddingFile.Knows(path)) throw new UsageException($"--out is {path}; expected a file ending in .npy or .safetensors");
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            using var plip = checkpoint.Open(p, engine, p.GetValue(precision));
            using var line = new EmbeddingLine();
            var work = new Work(plip, rows, line);
            var lists =
                p.GetValue(images) is { } folder ? [work.Images(Folder(folder))]
                : p.GetValue(texts) is { } file ? [work.Texts(file)]
                : work.Both(PersonDataset.Load(p.GetValue(data)!, splitFile: p.GetValue(splitFile), split: p.GetValue(split)));
            var width = plip.Model.Config.Text.Width;
            EmbeddingFile.Write(path, width, lists, new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                ["checkpoint"] = plip.Hash,
                ["precision"] = p.GetValue(precision).ToString(),
                ["batch"] = rows.ToString(CultureInfo.InvariantCulture),
                ["normalised"] = "L2",
            });
            line.Dispose();
            foreach (var (name, count, seconds) in work.Done)
                Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}: {name}: {count} rows of {width} in {seconds:0.0} s ({count / Math.Max(seconds, 1e-3):0} a second)"));
            return 0;
        });
        return command;
    }

    /// <summary>All pictures of a folder, in the order of their paths.</summary>
    private static PersonDataset Folder(string folder)
    {
        if (!Directory.Exists(folder)) throw new DataException(folder, null, "there is no such folder", "a folder of pictures");
        var paths = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(f => Extensions.Contains(Path.GetExtension(f), StringComparer.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).ToArray();
        if (paths.Length == 0) throw new DataException(folder, null, "it holds no pictures", $"files ending in {string.Join(", ", Extensions)}");
        return new PersonDataset(folder, folder, folder, DatasetLayout.Auto, [.. paths.Select((path, i) => new PersonImage(folder, Path.GetRelativePath(folder, path), i, [], [], null, null, i))]);
    }

    /// <summary>Lists that are embedded when they are written, with the time each took.</summary>
    private sealed class Work(PlipCheckpoint plip, int batch, EmbeddingLine line)
    {
        public List<(string Name, int Count, double Seconds)> Done { get; } = [];

        public EmbeddingList Images(PersonDataset set, bool identities = false) => new(
            "images", set.Images.Count, Timed("pictures", set.Images.Count, Embedder.StreamImages(plip.Device, plip.Model, Loader(set), batch)), set.Images.Select(i => i.RelativePath), identities);

        public IReadOnlyList<EmbeddingList> Both(PersonDataset set)
        {
            var captions = set.Images.SelectMany(i => i.Captions);
            var loader = Loader(set);
            return [Images(set, identities: true), new EmbeddingList(
                "texts", loader.CaptionCount, Timed("texts", loader.CaptionCount, Embedder.StreamTexts(plip.Device, plip.Model, loader, batch * Embedder.TextsPerPicture)), captions, true)];
        }

        /// <summary>A file of texts, read twice and never held: once to count and check it, once to embed it.</summary>
        public EmbeddingList Texts(string file)
        {
            var count = 0;
            foreach (var text in File.ReadLines(file))
            {
                count++;
                if (string.IsNullOrWhiteSpace(text)) throw new DataException(file, FormattableString.Invariant($"line {count}"), "the line is empty", "a text on every line");
            }
            if (count == 0) throw new DataException(file, null, "it is empty", "a text on every line");
            var rows = Embedder.StreamTexts(plip.Device, plip.Model, plip.Captions, File.ReadLines(file), batch * Embedder.TextsPerPicture);
            return new EmbeddingList("texts", count, Timed("texts", count, rows), File.ReadLines(file), false);
        }

        private EvaluationLoader Loader(PersonDataset set) =>
            new(set, plip.Captions, plip.Model.Config.Image.ToSettings(), plip.Model.Config.Text.MaxTokens, Environment.ProcessorCount);

        private IEnumerable<EmbeddingChunk> Timed(string what, int count, IEnumerable<EmbeddingChunk> chunks)
        {
            var watch = Stopwatch.StartNew();
            foreach (var chunk in chunks)
            {
                yield return chunk;
                line.Show(new EmbeddingProgress(what, chunk.Start + chunk.Identities.Length, count));
            }
            Done.Add((what, count, watch.Elapsed.TotalSeconds));
        }
    }
}
