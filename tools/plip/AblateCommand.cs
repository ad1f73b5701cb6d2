using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Plip.Ablation;
using Plip.Configs;
using Plip.Data;
using Plip.Data.World;
using Plip.Text;
using Plip.Training;

namespace Plip.Tool;

/// <summary><c>plip ablate</c>: the paper's ablation tables at a scale of one's own, beside the paper's figures.</summary>
internal static class AblateCommand
{
    private const int TestIdentities = 200;

    public static Command Create()
    {
        var keys = string.Join(",", AblationTables.All.Select(t => t.Key));
        var tables = new Option<string>("--tables") { Description = $"Which tables, separated by commas: {keys}.", DefaultValueFactory = _ => keys };
        var data = new Option<string?>("--data") { Description = "A data set's folder to train on; without it a world of rendered people is made in --out/world." };
        var splitFile = Options.SplitFile();
        var testData = new Option<string?>("--test-data") { Description = "Another data set to test on, in place of the split of --data (zero-shot, as in the paper)." };
        var split = new Option<string>("--split") { Description = "The split that is tested on.", DefaultValueFactory = _ => "test" };
        var identities = new Option<int>("--identities") { Description = $"People of the world that is made without --data, {TestIdentities} for the test among them.", DefaultValueFactory = _ => 1200 };
        var config = Options.Config();
        var steps = new Option<long?>("--steps") { Description = "Optimiser steps of each run, in place of the configuration's." };
        var batch = Options.Batch();
        var precision = Options.Precision();
        var seeds = new Option<int>("--seeds") { Description = "Runs of each row, with consecutive seeds; figures are their mean ± standard deviation.", DefaultValueFactory = _ => 1 };
        var vocabulary = new Option<string?>("--vocabulary") { Description = "BERT's vocab.txt; without it word pieces are learnt from the training captions." };
        var size = new Option<int>("--vocabulary-size") { Description = "Word pieces to learn at most.", DefaultValueFactory = _ => 2000 };
        var output = new Option<string>("--out") { Description = "Folder for results.json, results.md and a folder for each run. Finished runs in it are not run again; one that was stopped goes on.", DefaultValueFactory = _ => Path.Combine("out", "ablate") };
        var list = new Option<bool>("--list") { Description = "Only print the tables, their rows and the paper's figures." };
        var (device, threads) = (Options.Device(), Options.Threads());
        var command = new Command("ablate", "Run the paper's ablation tables (tasks, losses, masking curriculum, pooling, λ) and print them beside the paper's figures.")
        {
            tables, data, splitFile, testData, split, identities, config, steps, batch, precision, seeds, vocabulary, size, output, list, device, threads,
        };
        command.SetAction(p =>
        {
            var chosen = Choose(p.GetValue(tables)!);
            if (p.GetValue(list))
            {
                List(chosen);
                return 0;
            }
            Options.Range(p.GetValue(seeds), 1, 1000, "--seeds");
            Options.Range(p.GetValue(identities), TestIdentities + 20, 1_000_000, "--identities");
            var wanted = Options.Load(p.GetValue(config)!, p.GetValue(batch), p.GetValue(precision));
            if (p.GetValue(steps) is { } n)
                wanted = wanted with { Training = wanted.Training with { Steps = n >= 1 ? n : throw new UsageException(FormattableString.Invariant($"--steps is {n}; expected 1 or more")) } };
            using var stop = new StopSignal();
            using var engine = Options.Open(p.GetValue(device)!, p.GetValue(threads));
            var folder = p.GetValue(output)!;
            var (train, test) = Data(p.GetValue(data) ?? World(folder, p.GetValue(identities), p.GetValue(threads), stop.Token), p.GetValue(splitFile), p.GetValue(testData), p.GetValue(split)!);
            var words = p.GetValue(vocabulary) is { } path
                ? Vocabulary.Load(path)
                : Vocabulary.Learn(train.Images.SelectMany(i => i.Captions.Concat(i.PromptCaptions)), Options.Range(p.GetValue(size), 128, 1_000_000, "--vocabulary-size"));
            using var bar = new ProgressLine();
            try
            {
                var results = AblationRunner.Run(engine, new AblationOptions
                {
                    Tables = chosen,
                    Config = wanted,
                    Seeds = p.GetValue(seeds),
                    Train = train,
                    Test = test,
                    Vocabulary = words,
                    Folder = folder,
                    Progress = run => Say(bar, run),
                    Training = Console.IsOutputRedirected ? null : bar.Show, // a log has a line for each run, and metrics.jsonl the rest
                    Warning = Console.Error.WriteLine,
                }, stop.Token);
                Console.Out.Write(AblationReport.Text(results));
                Console.Out.WriteLine($"{Path.Combine(folder, "results.md")} and results.json have all of it.");
                return 0;
            }
            catch (OperationCanceledException)
            {
                bar.End();
                Console.Error.WriteLine($"plip: stopped; the same command goes on with it ({Path.Combine(folder, "results.md")} has what was finished)");
                return 130;
            }
        });
        return command;
    }

    private static List<AblationTable> Choose(string list)
    {
        var chosen = new List<AblationTable>();
        foreach (var key in list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Distinct(StringComparer.Ordinal))
            chosen.Add(AblationTables.All.FirstOrDefault(t => t.Key == key)
                ?? throw new UsageException($"--tables: there is no table \"{key}\"; expected some of {string.Join(", ", AblationTables.All.Select(t => t.Key))}"));
        return chosen.Count > 0 ? chosen : throw new UsageException($"--tables names none; expected some of {string.Join(", ", AblationTables.All.Select(t => t.Key))}");
    }

    private static void List(List<AblationTable> tables)
    {
        foreach (var table in tables)
        {
            Console.Out.WriteLine($"{table.Key}: {table.Title}");
            foreach (var row in table.Rows) Console.Out.WriteLine($"  {row.Name,-24} {row.Paper.Cuhk?.ToString() ?? "",10} {row.Paper.Market?.ToString() ?? "",6}");
        }
        Console.Out.WriteLine("Columns: the paper's R@1 on CUHK-PEDES and Market-1501, where known.");
    }

    /// <summary>Training and test pictures; whoever is in the test must not be in the training.</summary>
    private static (PersonDataset Train, PersonDataset Test) Data(string folder, string? splitFile, string? testFolder, string split)
    {
        if (split == "train") throw new UsageException("--split is train; the test must be of other people than the training");
        if (testFolder == null)
        {
            var test = PersonDataset.Load(folder, splitFile: splitFile, split: split);
            return (PersonDataset.Load(folder, test.Layout, splitFile, "train"), test);
        }
        var all = PersonDataset.Load(folder, splitFile: splitFile);
        return (all.SplitNames.Length == 0 ? all : all.Split("train"), PersonDataset.Load(testFolder, split: split));
    }

    /// <summary>The world in --out, made if it is not there with these very options.</summary>
    private static string World(string folder, int identities, int threads, CancellationToken cancellation)
    {
        var world = Path.Combine(folder, "world");
        var options = new WorldOptions { Identities = identities, TestIdentities = TestIdentities, Masks = MaskScope.None, Threads = threads };
        if (!Made(Path.Combine(world, WorldWriter.Marker), options)) DataMakeCommand.Make(options, world, cancellation);
        return world;
    }

    private static bool Made(string marker, WorldOptions options)
    {
        if (!File.Exists(marker)) return false;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(marker));
            int Number(string key) => json.RootElement.TryGetProperty(key, out var value) && value.TryGetInt32(out var number) ? number : -1;
            return (Number("identities"), Number("seed"), Number("images_per_identity"), Number("height"), Number("test_identities"), Number("val_identities"))
                == (options.Identities, (int)options.Seed, options.ImagesPerIdentity, options.Height, options.TestIdentities, options.ValIdentities);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static void Say(ProgressLine bar, AblationProgress p)
    {
        bar.End();
        var what = string.Create(CultureInfo.InvariantCulture, $"[{p.Number}/{p.Runs}] {p.Table.Key}: {p.Row.Name}, seed {p.Seed}");
        if (p.Run is not { } run) Console.Out.WriteLine($"{what} -> {p.Folder}");
        else if (run.Outcome != AblationOutcome.Finished) Console.Out.WriteLine($"{what}: {(run.Outcome == AblationOutcome.Diverged ? "diverged" : "not possible")}: {run.Reason}");
        else
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{(p.FromBefore ? what + ", finished before: " : "  ")}{(run.TextToImage is { } t ? $"text→image R@1 {100 * t.R1:0.0} mAP {100 * t.Map:0.0}, " : "")}image→image R@1 {100 * run.ImageToImage!.R1:0.0} mAP {100 * run.ImageToImage.Map:0.0}{(run.Seconds is { } s && !p.FromBefore ? $", trained in {s:0} s" : "")}"));
    }
}
