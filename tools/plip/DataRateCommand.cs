using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Text;
using Plip.Training;

namespace Plip.Tool;

/// <summary><c>plip data rate</c>: how fast a data set becomes batches here, and how many cores a GPU's appetite takes.</summary>
internal static class DataRateCommand
{
    private const int CaptionsForWords = 50_000;

    public static Command Create()
    {
        var directory = new Argument<string>("directory") { Description = "The data set: a folder of any layout, or shards." };
        var config = new Option<string>("--config") { Description = "The configuration whose pictures, captions and sampler are made.", DefaultValueFactory = _ => "plip-rn50" };
        var workers = new Option<int?>("--workers") { Description = "Threads that make batches, in place of the configuration's." };
        var target = new Option<double>("--target") { Description = "Pictures a second that a GPU eats.", DefaultValueFactory = _ => new DataRateSettings().Target };
        var seconds = new Option<double>("--seconds") { Description = "How long whole batches are made.", DefaultValueFactory = _ => new DataRateSettings().Seconds };
        var pictures = new Option<int>("--pictures") { Description = "Pictures that the parts are measured on.", DefaultValueFactory = _ => new DataRateSettings().Pictures };
        var vocabulary = new Option<string?>("--vocabulary") { Description = "BERT's vocab.txt; without it word pieces are learnt from some of the captions." };
        var json = new Option<string?>("--json") { Description = "Write the figures to this file as well." };
        var command = new Command("rate", "Measure pictures a second and core for reading, decoding, resizing, normalising and tokenising, and for whole batches.") { directory, config, workers, target, seconds, pictures, vocabulary, json };
        command.SetAction(p =>
        {
            var chosen = ConfigFile.Load(p.GetValue(config)!);
            if (!(p.GetValue(target) is > 0 and <= 1e9)) throw new UsageException(FormattableString.Invariant($"--target is {p.GetValue(target)}; expected pictures a second above 0"));
            if (!(p.GetValue(seconds) is > 0 and <= 3600)) throw new UsageException(FormattableString.Invariant($"--seconds is {p.GetValue(seconds)}; expected 0 to 3600"));
            var batch = Trainer.BatchSettings(chosen, 0) with { Workers = Options.Range(p.GetValue(workers) ?? chosen.Training.Workers, 1, 1024, "--workers") };
            var sample = Options.Range(p.GetValue(pictures), 1, 1_000_000, "--pictures");
            using var jsonFile = p.GetValue(json) is { } path ? File.Create(path) : null;
            var data = PersonDataset.Load(p.GetValue(directory)!);
            var words = p.GetValue(vocabulary) is { } file
                ? Vocabulary.Load(file)
                : Vocabulary.Learn(data.Images.Take(CaptionsForWords).SelectMany(i => i.Captions.Concat(i.PromptCaptions)).Take(CaptionsForWords), 2000);
            // Without the cache of encodings that training has: each caption is new in the first epoch of a large data set.
            var encoder = new CaptionEncoder(new CaptionTokenizer(words), capacity: 2);
            var report = DataRate.Measure(data, encoder, new DataRateSettings { Batch = batch, Target = p.GetValue(target), Seconds = p.GetValue(seconds), Pictures = sample });
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{data.Name} ({data.Layout}), {data.Images.Count:#,0} pictures, to {batch.Image.Height}x{batch.Image.Width}; {Environment.ProcessorCount} cores here"));
            Console.Out.Write(report.ToText());
            if (jsonFile != null) Write(jsonFile, report);
            return 0;
        });
        return command;
    }

    private static void Write(Stream stream, DataRateReport report)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartObject("microseconds");
        foreach (var part in report.Parts) json.WriteNumber(part.Name, part.Microseconds);
        json.WriteNumber("first read", report.FirstRead);
        json.WriteEndObject();
        json.WriteNumber("mean_bytes", report.MeanBytes);
        json.WriteNumber("mean_pixels", report.MeanPixels);
        json.WriteNumber("workers", report.Workers);
        json.WriteNumber("pictures_per_second", report.PicturesPerSecond);
        json.WriteNumber("cores_busy", report.Cores);
        json.WriteNumber("pictures_per_core_second", report.PerCore);
        json.WriteNumber("target", report.Target);
        json.WriteNumber("cores_for_target", report.CoresForTarget);
        json.WriteEndObject();
    }
}
