using System.Diagnostics;
using System.Globalization;
using Plip.Configs;
using Plip.Data;
using Plip.Data.World;
using Plip.Evaluation;
using Plip.Model;
using Plip.Text;
using Plip.Training;

namespace Plip.Tool;

/// <summary>The quickstart, phase by phase; each phase is a few calls of the library.</summary>
internal sealed class QuickstartRun(string folder, string configName, int budget, ulong seed, string? photographs, string deviceName, int threads)
{
    private const int ImagesPerIdentity = 5;

    private readonly List<PhaseTime> _phases = [];
    private readonly Stopwatch _total = Stopwatch.StartNew();

    public int Run(CancellationToken cancellation)
    {
        // Read first: a wrong path should not cost a training run.
        var photos = photographs == null ? null : PersonDataset.Load(photographs, split: "test");
        using var device = Options.Open(deviceName, threads);
        var config = ConfigFile.Load(configName);
        var plan = QuickstartPlan.For(budget, config.Training, ImagesPerIdentity);
        config = config with { Training = config.Training with { Seed = seed, Steps = plan.Steps, ValidateEvery = Math.Max(50, plan.Steps / 5) } };
        var worldFolder = Path.Combine(folder, "world");

        var options = new WorldOptions
        {
            Identities = plan.TrainIdentities + QuickstartPlan.ValidationIdentities + QuickstartPlan.TestIdentities,
            TestIdentities = QuickstartPlan.TestIdentities,
            ValIdentities = QuickstartPlan.ValidationIdentities,
            ImagesPerIdentity = ImagesPerIdentity,
            Seed = seed,
            Masks = MaskScope.Test,
            Threads = threads,
        };
        Phase("make the world", () =>
        {
            DataMakeCommand.Make(options, worldFolder, cancellation);
            return string.Create(CultureInfo.InvariantCulture, $"{options.Identities * ImagesPerIdentity} pictures of {options.Identities} people");
        });
        var data = PersonDataset.Load(worldFolder, DatasetLayout.CuhkPedes);
        var (train, test) = (data.Split("train"), data.Split("test"));
        var finished = true;
        Phase("pre-train", () =>
        {
            var words = Vocabulary.Learn(train.Images.SelectMany(i => i.Captions), 2000);
            using var bar = new ProgressLine();
            using var trainer = new Trainer(device, config, words, new TrainerOptions
            {
                Train = train,
                Validation = data.Split("val"),
                Folder = folder,
                Progress = bar.Show,
                Warning = _ => { }, // an earlier quickstart's checkpoints in the same folder are set aside
            });
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{config.Name}: {trainer.Store.ParameterCount:n0} parameters, {words.Size} word pieces, {plan.Steps} steps of {config.Training.BatchSize} pairs"));
            finished = trainer.Run(cancellation: cancellation);
            return string.Create(CultureInfo.InvariantCulture, $"{trainer.Step} steps, {trainer.Step * config.Training.BatchSize} pairs");
        });
        if (!finished)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"stopped; go on with: plip pretrain --config {configName} --data {worldFolder} --out {folder} --steps {plan.Steps} --seed {seed} --resume, or start the quickstart anew"));
            return 130;
        }

        using var plip = PlipCheckpoint.Load(device, Path.Combine(folder, "checkpoints", "best"));
        RetrievalEvaluation retrieval = null!;
        AttributeResult? attributes = null;
        (FidelityResult Result, int Pictures)? fidelity = null;
        Phase("find people by text", () =>
        {
            retrieval = RetrievalEvaluation.Run(plip, test, "test", RetrievalOptions.EveryKth(test.Images.Sum(i => i.Captions.Length), test.Images.Sum(i => i.Captions.Length) / 8, 8));
            return string.Create(CultureInfo.InvariantCulture, $"{retrieval.TextToImage.Outcome.Figures.Queries} queries, {retrieval.TextToImage.Outcome.Figures.Gallery} pictures");
        });
        if (config.Tasks.Iap.Enabled)
            Phase("name masked words", () =>
            {
                attributes = new MaskedWords(plip).Evaluate(train, test);
                return string.Create(CultureInfo.InvariantCulture, $"{attributes.Words} words");
            });
        if (config.Tasks.Tic.Enabled)
            Phase("swap colour words", () =>
            {
                fidelity = FidelityRun.Evaluate(new Colorizer(plip), test);
                return string.Create(CultureInfo.InvariantCulture, $"{fidelity.Value.Result.Swaps} swaps in {fidelity.Value.Pictures} pictures");
            });

        RetrievalEvaluation? zeroShot = null;
        if (photos != null)
            Phase("find people in photographs, zero-shot", () =>
            {
                zeroShot = RetrievalEvaluation.Run(plip, photos, "test");
                return string.Create(CultureInfo.InvariantCulture, $"{zeroShot.TextToImage.Outcome.Figures.Queries} queries, {photos.Images.Count} photographs of {photos.Identities.Length} people");
            });

        var results = new QuickstartResults(plip, options, train, test, retrieval, attributes, fidelity?.Result, photos, zeroShot);
        var report = Path.Combine(folder, "report.html");
        ReportBuilder.Write(QuickstartReport.Build(results, Path.Combine(folder, "metrics.jsonl"), _phases, MachineInfo.Describe(device), _total.Elapsed), report);
        results.WriteJson(Path.Combine(folder, "result.json"), _total.Elapsed.TotalSeconds);
        results.Print();
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_total.Elapsed.TotalSeconds:0} s in all. Open {report}; the checkpoint is {Path.Combine(folder, "checkpoints", "best")}"));
        return 0;
    }

    private void Phase(string name, Func<string> work)
    {
        Console.Out.WriteLine($"· {name}");
        var watch = Stopwatch.StartNew();
        var detail = work();
        _phases.Add(new PhaseTime(name, watch.Elapsed, detail));
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {detail}, {watch.Elapsed.TotalSeconds:0.0} s"));
    }
}
