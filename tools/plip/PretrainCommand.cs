using System.CommandLine;
using System.Globalization;
using Plip.Configs;
using Plip.Data;
using Plip.Text;
using Plip.Training;

namespace Plip.Tool;

/// <summary><c>plip pretrain</c>: train a model with the three tasks on a data set.</summary>
internal static class PretrainCommand
{
    private const int BertWords = 30522;

    public static Command Create()
    {
        var config = new Option<string>("--config") { Description = $"A configuration by name ({string.Join(", ", ConfigFile.BuiltIn)}) or a JSON file.", DefaultValueFactory = _ => "plip-tiny" };
        var (data, splitFile, device, threads) = (Options.Data(), Options.SplitFile(), Options.Device(), Options.Threads());
        var output = new Option<string>("--out") { Description = "Folder for metrics.jsonl and checkpoints/{best,last}.", DefaultValueFactory = _ => "out/pretrain" };
        var vocabulary = new Option<string?>("--vocabulary") { Description = "BERT's vocab.txt; without it word pieces are learnt from the training captions." };
        var size = new Option<int>("--vocabulary-size") { Description = "Word pieces to learn at most.", DefaultValueFactory = _ => 2000 };
        var steps = new Option<long?>("--steps") { Description = "Optimiser steps, in place of the configuration's." };
        var batch = new Option<int?>("--batch-size") { Description = "Pairs in a batch, in place of the configuration's." };
        var seed = new Option<ulong?>("--seed") { Description = "Seed, in place of the configuration's." };
        var precision = new Option<Precision?>("--precision") { Description = "F32, or BF16 or F16 for activations and matrices (sums, master weights and losses stay F32; F16 scales the loss), in place of the configuration's." };
        var resume = new Option<bool>("--resume") { Description = "Go on from checkpoints/last in --out: the same bits as never having stopped." };
        var start = new StartOptions();
        var noCheck = new Option<bool>("--no-check") { Description = "Start at once: no look at data, memory and disk, and no estimate of the time." };
        var dryRun = new Option<bool>("--dry-run") { Description = "Look at data, memory and disk, estimate the time, and stop there." };
        var json = new Option<string?>("--json") { Description = "Write what was found before the first step to this file as well." };
        var command = new Command("pretrain", "Train a model with the three pretext tasks.") { config, data, splitFile, output, vocabulary, size, steps, batch, seed, precision, resume, noCheck, dryRun, json, device, threads };
        start.AddTo(command);
        command.SetAction(p =>
        {
            if (p.GetValue(noCheck) && (p.GetValue(dryRun) || p.GetValue(json) != null)) throw new UsageException("--no-check leaves nothing for --dry-run or --json to tell");
            var chosen = ConfigFile.Load(p.GetValue(config)!);
            chosen = chosen with
            {
                Training = chosen.Training with
                {
                    Steps = p.GetValue(steps) ?? chosen.Training.Steps,
                    BatchSize = p.GetValue(batch) ?? chosen.Training.BatchSize,
                    Seed = p.GetValue(seed) ?? chosen.Training.Seed,
                    Precision = p.GetValue(precision) ?? chosen.Training.Precision,
                },
            };
            chosen.Validate();
            using var jsonFile = p.GetValue(json) is { } jsonPath ? new StreamWriter(jsonPath) : null; // a folder that is not there is said now
            var last = Path.Combine(p.GetValue(output)!, "checkpoints", "last");
            if (!p.GetValue(resume) && Directory.Exists(last) && Directory.EnumerateFiles(last, "step-*.safetensors").Any())
                throw new UsageException($"{p.GetValue(output)} holds a run already; add --resume to go on with it, or name another folder with --out");
            var set = TrainingData.Load(p.GetValue(data)!, p.GetValue(splitFile));
            var words = p.GetValue(vocabulary) is { } path
                ? Vocabulary.Load(path)
                : Vocabulary.Learn(set.Train.Images.SelectMany(i => i.Captions.Concat(i.PromptCaptions)), Options.Range(p.GetValue(size), 128, 1_000_000, "--vocabulary-size"));
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{chosen.Name} on {set.Train.Name}: {set.Train.Images.Count} pictures of {set.Train.Identities.Length} people, {words.Size} word pieces; {set.Note}"));
            if (p.GetValue(vocabulary) == null && IsBertBase(chosen)) Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"note: {chosen.Name}'s text encoder has BERT-base's shape, and the paper's word pieces are the {BertWords:#,0} of bert-base-uncased: give its vocab.txt with --vocabulary. Without it {words.Size:#,0} are learnt from the training captions (characters, the most frequent words, then joined pieces, up to --vocabulary-size), and BERT's weights do not fit them"));
            if (!p.GetValue(noCheck))
            {
                var report = Startup.Check(engine, chosen, words, set, p.GetValue(output)!, new StartupSettings { StepsDone = p.GetValue(resume) ? Newest(last) : 0 });
                Console.Out.Write(report.ToText());
                jsonFile?.Write(report.ToJson());
                if (p.GetValue(dryRun)) return 0;
            }
            using var stop = new StopSignal();
            using var bar = new ProgressLine();
            using var trainer = new Trainer(engine, chosen, words, new TrainerOptions
            {
                Train = set.Train,
                Validation = set.Validation,
                Folder = p.GetValue(output)!,
                Resume = p.GetValue(resume),
                Progress = bar.Show,
                Warning = Console.Error.WriteLine,
                Start = start.Action(p, p.GetValue(output)!),
            });
            var done = trainer.Run(cancellation: stop.Token);
            bar.End();
            var g = trainer.Garbage;
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"gc in epoch {g.Epoch} ({g.Steps} steps): gen0 {g.Gen0}, gen1 {g.Gen1}, gen2 {g.Gen2}; {g.BytesPerStep / 1e6:0.00} MB allocated a step"));
            Console.Out.WriteLine(done
                ? $"done; the best checkpoint is {Path.Combine(p.GetValue(output)!, "checkpoints", "best")}"
                : string.Create(CultureInfo.InvariantCulture, $"stopped and saved at step {trainer.Step}; go on with the same command and --resume"));
            return done ? 0 : 130;
        });
        return command;
    }

    private static bool IsBertBase(PlipConfig config) => config.Text is { Layers: 12, Width: 768 };

    /// <summary>The step of the newest checkpoint, by its name; whether it can be used is the trainer's question.</summary>
    private static long Newest(string last) => !Directory.Exists(last) ? 0 : Directory.EnumerateFiles(last, "step-*.safetensors")
        .Select(f => long.TryParse(Path.GetFileNameWithoutExtension(f).AsSpan("step-".Length), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : 0).DefaultIfEmpty(0).Max();
}
