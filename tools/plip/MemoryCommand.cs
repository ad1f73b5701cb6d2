using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Configs;
using Plip.Training;

namespace Plip.Tool;

/// <summary><c>plip memory</c>: what a batch size will need, part by part, before anything runs.</summary>
internal static class MemoryCommand
{
    private const int BertWords = 30522, MostWords = 1 << 20;

    public static Command Create()
    {
        var (config, batch, precision) = (Options.Config(), Options.Batch(), Options.Precision());
        var recompute = new Option<Recomputation?>("--recompute") { Description = "None, Visual or All; the configuration's if not given." };
        var tokens = new Option<int>("--tokens") { Description = "Tokens of every caption; 0 for the longest there can be." };
        var words = new Option<int>("--words") { Description = "Word pieces, where the configuration leaves them to the data.", DefaultValueFactory = _ => BertWords };
        var device = new Option<string>("--device") { Description = "cpu or cuda: whose pool to plan for. No GPU is needed.", DefaultValueFactory = _ => "cuda" };
        device.AcceptOnlyFromAmong("cpu", "cuda");
        var fit = new Option<double?>("--fit") { Description = "Also find the largest batch that takes no more than so many GB." };
        var json = new Option<string?>("--json") { Description = "Write the plan to this file as well." };
        var command = new Command("memory", "Say what training will need of a device's memory, before it runs.") { config, batch, precision, recompute, tokens, words, device, fit, json };
        command.SetAction(p =>
        {
            var settings = Options.Load(p.GetValue(config)!, p.GetValue(batch), p.GetValue(precision));
            if (p.GetValue(recompute) is { } which) settings = settings with { Training = settings.Training with { Recompute = which } };
            if (settings.Text.VocabularySize == 0)
                settings = settings with { Text = settings.Text with { VocabularySize = Options.Range(p.GetValue(words), 1, MostWords, "--words") } };
            var gpu = p.GetValue(device) == "cuda";
            var length = p.GetValue(tokens);
            if (length != 0) Options.Range(length, 3, settings.Text.MaxTokens, "--tokens");
            using var jsonFile = p.GetValue(json) is { } path ? File.Create(path) : null;
            var plan = MemoryPlan.Of(settings, gpu, length);
            Print(Console.Out, settings, plan, gpu);
            int? largest = null;
            if (p.GetValue(fit) is { } gigabytes)
            {
                if (!(gigabytes > 0) || gigabytes > 1e6) throw new UsageException(FormattableString.Invariant($"--fit is {gigabytes}; expected gigabytes above 0"));
                largest = MemoryPlan.LargestBatch(settings, gpu, (long)(gigabytes * 1e9), length);
                Console.Out.WriteLine(largest > 0
                    ? string.Create(CultureInfo.InvariantCulture, $"{gigabytes} GB hold a batch of {largest}")
                    : string.Create(CultureInfo.InvariantCulture, $"{gigabytes} GB do not hold two pairs: choose a smaller model, BF16, or recomputation"));
            }
            if (jsonFile != null) Write(jsonFile, p.GetValue(config)!, settings, plan, largest);
            return 0;
        });
        return command;
    }

    private static void Print(TextWriter o, PlipConfig config, MemoryPlan plan, bool gpu)
    {
        foreach (var part in plan.Parts) Line(part.Name, part.Bytes);
        Line("in use at the peak", plan.PeakBytes);
        Line("taken from the system while there is room", plan.ReservedBytes);
        o.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"a batch of {config.Training.BatchSize} pairs, captions of {plan.Tokens} tokens, {config.Text.VocabularySize} words, {config.Training.Precision}, recomputation {config.Training.Recompute}; a step is {plan.Work.Flops / 1e9:#,0} GFLOP and moves {plan.Work.Bytes / 1e9:0.0} GB"));
        o.WriteLine(gpu
            ? "not counted: the driver's own and cuBLASLt's memory (some hundred MB), and what kernels borrow while they run"
            : "not counted: what kernels borrow while they run, and pictures that the loader keeps on the host");

        void Line(string name, long bytes) => o.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-44} {bytes / 1e6,12:#,0.0} MB {100.0 * bytes / plan.PeakBytes,6:0.0}%"));
    }

    private static void Write(Stream stream, string name, PlipConfig config, MemoryPlan plan, int? largest)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("config", name);
        json.WriteNumber("batch", config.Training.BatchSize);
        json.WriteNumber("tokens", plan.Tokens);
        json.WriteString("precision", config.Training.Precision.ToString());
        json.WriteString("recompute", config.Training.Recompute.ToString());
        json.WriteNumber("peak_bytes", plan.PeakBytes);
        json.WriteNumber("reserved_bytes", plan.ReservedBytes);
        json.WriteNumber("flops", plan.Work.Flops);
        json.WriteNumber("traffic_bytes", plan.Work.Bytes);
        if (largest is { } size) json.WriteNumber("largest_batch", size);
        json.WriteStartArray("parts");
        foreach (var part in plan.Parts)
        {
            json.WriteStartObject();
            json.WriteString("name", part.Name);
            json.WriteNumber("bytes", part.Bytes);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
