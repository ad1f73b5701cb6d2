using System.Diagnostics;
using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Text;
using Plip.Training;

namespace Plip.Ablation;

/// <summary>What to run and on what.</summary>
public sealed record AblationOptions
{
    /// <summary>The tables; see <see cref="AblationTables"/>.</summary>
    public required IReadOnlyList<AblationTable> Tables { get; init; }

    /// <summary>The base that each row changes. Its seed is the first of <see cref="Seeds"/>.</summary>
    public required PlipConfig Config { get; init; }

    /// <summary>Runs of each row, with consecutive seeds.</summary>
    public int Seeds { get; init; } = 1;

    /// <summary>Pictures to train on.</summary>
    public required PersonDataset Train { get; init; }

    /// <summary>Pictures to test on: other people. Nothing is chosen by them; a run's last weights are the ones tested.</summary>
    public required PersonDataset Test { get; init; }

    /// <summary>Word pieces, the same for every run.</summary>
    public required Vocabulary Vocabulary { get; init; }

    /// <summary>Holds results.json, results.md and runs/.</summary>
    public required string Folder { get; init; }

    /// <summary>Called when a run begins, is found done, or ends.</summary>
    public Action<AblationProgress>? Progress { get; init; }

    /// <summary>Called after every training step.</summary>
    public Action<TrainingProgress>? Training { get; init; }

    /// <summary>Called with what a user should know.</summary>
    public Action<string>? Warning { get; init; }
}

/// <summary>Where an ablation stands.</summary>
/// <param name="Number">This run, from 1.</param>
/// <param name="Runs">Different runs in all; a row that stands in several tables is run once.</param>
/// <param name="Table">The first table that has it.</param>
/// <param name="Row">Its row.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Folder">Its folder.</param>
/// <param name="Run">What came of it; null when it begins.</param>
/// <param name="FromBefore">It had been finished by an earlier call and was not run again.</param>
public sealed record AblationProgress(int Number, int Runs, AblationTable Table, AblationRow Row, ulong Seed, string Folder, AblationRun? Run, bool FromBefore);

/// <summary>
/// Trains and tests every row of some tables, one after the other, each as a run of the ordinary <see cref="Trainer"/> in a folder of its
/// own, named by a digest of all that decides its figures. So a call that was stopped goes on where it was, rows that two tables share
/// are run once, and a run with other settings or data is never taken for this one.
/// </summary>
public static class AblationRunner
{
    /// <summary>Runs what is not done yet. results.json and results.md are rewritten after each run.</summary>
    /// <param name="device">Where to train.</param>
    /// <param name="options">What to run.</param>
    /// <param name="cancellation">Stops after the step under way; the run is saved and the next call goes on with it.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    /// <exception cref="ConfigException">The base configuration itself cannot be used.</exception>
    /// <exception cref="DataException">A picture or caption cannot be used: that would fail every run.</exception>
    public static AblationResults Run(Device device, AblationOptions options, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Seeds);
        var config = options.Config with { Text = options.Config.Text with { VocabularySize = options.Vocabulary.Size } };
        config.Validate();
        Directory.CreateDirectory(Path.Combine(options.Folder, "runs"));
        var data = AblationDigest.Of(options.Train, options.Test, options.Vocabulary);
        var cameras = ImageReid.Cameras(options.Test);
        // Seed after seed, so that what is stopped early has every row once before any has two.
        var planned = (from seed in Enumerable.Range(0, options.Seeds)
                       from table in options.Tables
                       from row in table.Rows
                       select Plan(options, table, row, config, config.Training.Seed + (ulong)seed, data)).ToList();
        var (number, runs) = (0, planned.Select(p => p.Digest).Distinct(StringComparer.Ordinal).Count());
        var done = new Dictionary<string, AblationRun>(StringComparer.Ordinal);
        foreach (var plan in planned)
        {
            if (done.ContainsKey(plan.Digest)) continue;
            var folder = plan.Folder;
            var progress = new AblationProgress(++number, runs, plan.Table, plan.Row, plan.Seed, folder, null, false);
            var run = plan.Refused ?? AblationRun.Read(folder, plan.Digest);
            var before = run != null && plan.Refused == null;
            if (run == null)
            {
                cancellation.ThrowIfCancellationRequested();
                options.Progress?.Invoke(progress);
                run = Train(device, options, plan, cameras, cancellation);
                run.Write(folder);
                Forget(Path.Combine(folder, "checkpoints", "last")); // a finished run's moments: of no more use, and most of its bytes
            }
            done.Add(plan.Digest, run);
            Results(options, config, planned, done).Write(options.Folder);
            options.Progress?.Invoke(progress with { Run = run, FromBefore = before });
        }
        return Results(options, config, planned, done);
    }

    private static Planned Plan(AblationOptions options, AblationTable table, AblationRow row, PlipConfig config, ulong seed, string data)
    {
        var from = config with { Training = config.Training with { Seed = seed } };
        try
        {
            var changed = row.Change(from);
            changed.Validate();
            var digest = AblationDigest.Of(changed, data);
            return new Planned(table, row, seed, changed, digest, Path.Combine(options.Folder, "runs", digest[..12]), null);
        }
        catch (ConfigException e)
        {
            var name = FormattableString.Invariant($"{table.Key}/{row.Name}/{seed}");
            return new Planned(table, row, seed, from, name, options.Folder,
                new AblationRun(name, seed, AblationOutcome.Impossible, e.Message, 0, null, null, null, null, null, new Dictionary<string, double>()));
        }
    }

    private static AblationRun Train(Device device, AblationOptions options, Planned plan, int[]? cameras, CancellationToken cancellation)
    {
        var (folder, config) = (plan.Folder, plan.Config);
        Directory.CreateDirectory(folder);
        AblationJson.Replace(Path.Combine(folder, "config.json"), ConfigFile.ToJson(config));
        var watch = Stopwatch.StartNew();
        AblationRun Ended(AblationOutcome outcome, string reason, long steps) => new(
            plan.Digest, plan.Seed, outcome, reason, steps, null, null, null, null, null, new Dictionary<string, double>());
        long steps;
        bool resumed;
        try
        {
            using var trainer = Open(device, options, plan, out resumed);
            if (!trainer.Run(cancellation: cancellation)) throw new OperationCanceledException(cancellation);
            steps = trainer.Step;
        }
        catch (DivergedException e)
        {
            return Ended(AblationOutcome.Diverged, $"{e.What} is not finite at step {e.Step}", e.Step);
        }
        var seconds = watch.Elapsed.TotalSeconds;
        using var plip = PlipCheckpoint.Load(device, Path.Combine(folder, "checkpoints", "best"), warn: options.Warning);
        var loader = new EvaluationLoader(options.Test, plip.Captions, config.Image.ToSettings(), config.Text.MaxTokens, Environment.ProcessorCount);
        Embeddings images;
        Embeddings? texts;
        try
        {
            images = Embedder.Images(device, plip.Model, loader, options.Test.Images.Count, cancellation: cancellation);
            texts = config.Tasks.Ivlc.Enabled ? Embedder.Texts(device, plip.Model, loader) : null;
        }
        catch (NotFiniteNumberException e)
        {
            return Ended(AblationOutcome.Diverged, e.Message, steps);
        }
        var image = ImageReid.Evaluate(images, cameras, options.Test.Name);
        var text = texts == null ? null : Retrieval.Evaluate(
            texts.Values, texts.Identities, images.Values, images.Identities, texts.Dim, new RetrievalOptions { Direction = $"text→image, {options.Test.Name}" });
        return new AblationRun(
            plan.Digest, plan.Seed, AblationOutcome.Finished, "", steps, resumed ? null : seconds,
            text?.Figures, text?.Chance, image.Figures, image.Chance, LastLosses(Path.Combine(folder, "metrics.jsonl"), steps));
    }

    /// <summary>A new run, or the one that was stopped in this folder.</summary>
    private static Trainer Open(Device device, AblationOptions options, Planned plan, out bool resumed)
    {
        var trainer = new TrainerOptions { Train = options.Train, Folder = plan.Folder, Progress = options.Training, Warning = options.Warning };
        var last = Path.Combine(plan.Folder, "checkpoints", "last");
        resumed = Directory.Exists(last) && Directory.EnumerateFiles(last, "step-*.safetensors").Any();
        if (resumed)
        {
            try
            {
                return new Trainer(device, plan.Config, options.Vocabulary, trainer with { Resume = true });
            }
            catch (Exception e) when (e is FormatException or FileNotFoundException or ConfigException)
            {
                options.Warning?.Invoke($"{e.Message}: this run starts anew");
                resumed = false;
            }
        }
        Forget(Path.Combine(plan.Folder, "checkpoints")); // of a run whose record was lost: it gives the same again
        return new Trainer(device, plan.Config, options.Vocabulary, trainer);
    }

    private static Dictionary<string, double> LastLosses(string metrics, long steps)
    {
        var tail = MetricsLog.Read(metrics).Where(e => e.Kind == "train" && e.Step > steps - Math.Max(1, steps / 10)).ToList();
        return tail.SelectMany(e => e.Values).Where(v => v.Key is "ivlc" or "tic" or "iap").GroupBy(v => v.Key)
            .OrderBy(g => g.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Average(v => v.Value));
    }

    private static void Forget(string folder)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }

    private static AblationResults Results(AblationOptions options, PlipConfig config, List<Planned> planned, Dictionary<string, AblationRun> done)
    {
        using var json = JsonDocument.Parse(ConfigFile.ToJson(config));
        var tables = options.Tables.Select(table => new AblationTableResult(table.Key, table.Title,
            [.. table.Rows.Select(row => new AblationRowResult(row.Name, row.Paper,
                [.. planned.Where(p => p.Table == table && p.Row == row && done.ContainsKey(p.Digest)).Select(p => done[p.Digest])]))]));
        return new AblationResults(
            json.RootElement.Clone(), options.Train.Name, options.Train.Images.Count, options.Train.Identities.Length,
            options.Test.Name, options.Test.Images.Count, options.Test.Identities.Length,
            config.Training.BatchSize * config.Training.Accumulation, options.Seeds, [.. tables]);
    }

    private sealed record Planned(AblationTable Table, AblationRow Row, ulong Seed, PlipConfig Config, string Digest, string Folder, AblationRun? Refused);
}
