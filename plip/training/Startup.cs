using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Text;

namespace Plip.Training;

/// <summary>How thoroughly a run is looked at before its first step.</summary>
public sealed record StartupSettings
{
    /// <summary>Pictures that are opened and decoded, of the training pictures and again of the validation pictures.</summary>
    public int Sample { get; init; } = 256;

    /// <summary>Seconds for measuring batches; more where the smallest takes longer.</summary>
    public double Seconds { get; init; } = 6;

    /// <summary>Bytes that the loader keeps pictures in, as <see cref="TrainerOptions.CacheBytes"/>.</summary>
    public long CacheBytes { get; init; } = 1L << 30;

    /// <summary>Optimiser steps done, when a run is resumed.</summary>
    public long StepsDone { get; init; }
}

/// <summary>
/// Before the first step of a run of days: the data are whole as far as a sample shows, the memory and the disk suffice, and so
/// long it will take.
/// </summary>
/// <example><code>
/// Console.Write(Startup.Check(device, config, words, data, "out/run").ToText());
/// </code></example>
public static class Startup
{
    /// <summary>Checks and measures; changes nothing but what the device has in its pool.</summary>
    /// <param name="device">Where training will run.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="vocabulary">Word pieces.</param>
    /// <param name="data">Training and validation pictures.</param>
    /// <param name="folder">The run's folder; it need not be there.</param>
    /// <param name="settings">How thoroughly.</param>
    /// <exception cref="DataException">A picture or caption cannot be used, or there are fewer than a batch.</exception>
    /// <exception cref="ConfigException">The batch does not fit the memory; says what would.</exception>
    /// <exception cref="IOException">The disk has no room for the checkpoints.</exception>
    public static StartupReport Check(Device device, PlipConfig config, Vocabulary vocabulary, TrainingData data, string folder, StartupSettings? settings = null)
    {
        settings ??= new StartupSettings();
        config = config with { Text = config.Text with { VocabularySize = vocabulary.Size } };
        config.Validate();
        var seed = config.Training.Seed;
        var (train, validation) = (QuickCheck.Run(data.Train, settings.Sample, seed), data.Validation == null ? null : QuickCheck.Run(data.Validation, settings.Sample, seed));
        var batch = Trainer.BatchSettings(config, settings.CacheBytes);
        var sampler = new IdentityBatchSampler(data.Train, batch.BatchSize, batch.Seed, batch.Kind, batch.ImagesPerIdentity, batch.BlockSize, batch.OpenBlocks);
        var plan = TrainingPlan.For(config.Training, sampler.BatchesPerEpoch);
        var memory = Memory(device, config, data.Train, batch);
        if (!memory.Fits) throw TooLarge(memory, config, device is CudaDevice);
        var disk = Disk(config, folder);
        if (!disk.Fits)
            throw new IOException(FormattableString.Invariant($"{folder}: checkpoints need {disk.NeededBytes / 1e9:0.00} GB and {disk.FreeBytes / 1e9:0.00} GB are free there; make room, or name a folder on another disk"));
        var probe = StepProbe.Run(device, config, data.Train, new CaptionEncoder(new CaptionTokenizer(vocabulary)), settings.Seconds);
        var time = new TimeEstimate(
            Math.Max(0, plan.TotalSteps - settings.StepsDone), plan.TotalSteps, (double)plan.BatchesPerEpoch / plan.Accumulation, config.Training.BatchSize, plan.Accumulation,
            probe.Batch, probe.Steps, probe.PairsPerSecond, probe.LoadedPerSecond, config.Training.Workers);
        return new StartupReport(train, validation, memory, disk, time);
    }

    /// <summary>What the run needs of memory, and what there is; a container's limit counts as the machine's memory.</summary>
    public static MemoryNeed Memory(Device device, PlipConfig config, PersonDataset train, BatchSettings batch)
    {
        var gpu = device as CudaDevice;
        var machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return new MemoryNeed(
            gpu?.Description.Name ?? "cpu", MemoryPlan.Of(config, gpu != null).ReservedBytes, gpu?.Description.MemoryBytes ?? machine, Host(train, batch), machine);
    }

    /// <summary>The annotations, which are in memory by now; batches; kept pictures; blocks of shards.</summary>
    private static long Host(PersonDataset train, BatchSettings batch)
    {
        long picture = 3L * batch.Image.Height * batch.Image.Width, pictures = train.Images.Count;
        var batches = (long)(batch.Workers + batch.Ahead + batch.Held) * batch.BatchSize * (4 * picture + 12L * batch.MaxTokens);
        var kept = Math.Min(batch.CacheBytes, pictures * picture);
        var blocks = 0L;
        if (batch.Kind == BatchKind.Blocks && train.Images.Any(i => i.Shard != null))
            blocks = (long)(Math.Min(pictures, (2L * batch.OpenBlocks + 2) * batch.BlockSize) * train.Images.Average(i => (double)i.Length));
        return GC.GetTotalMemory(forceFullCollection: false) + batches + kept + blocks;
    }

    /// <summary>The error of a batch that does not fit, with ways in which as many pairs would.</summary>
    internal static ConfigException TooLarge(MemoryNeed memory, PlipConfig config, bool gpu)
    {
        var training = config.Training;
        var budget = memory.StepBudget;
        if (memory.HostBytes > memory.MachineBytes || budget <= 0)
            return new ConfigException(FormattableString.Invariant($"the data and the loader need {memory.HostBytes / 1e9:0.00} GB, and this machine has {memory.MachineBytes / 1e9:0.00} GB; take fewer pictures, or with the Blocks sampler a smaller training.blockSize or training.openBlocks"));
        var ways = new List<string>();
        var largest = MemoryPlan.LargestBatch(config, gpu, budget);
        if (largest >= 2) ways.Add(FormattableString.Invariant($"training.batchSize {largest}, with training.accumulation {(training.BatchSize * training.Accumulation + largest - 1) / largest} for as many pairs a step"));
        if (!Try("training.recompute Visual", training.Recompute == Recomputation.None, training with { Recompute = Recomputation.Visual }))
            Try("training.recompute All", training.Recompute != Recomputation.All, training with { Recompute = Recomputation.All });
        if (!Try("training.precision BF16", training.Precision == Precision.F32, training with { Precision = Precision.BF16 }))
            Try("training.precision BF16 with training.recompute All", training.Precision == Precision.F32, training with { Precision = Precision.BF16, Recompute = Recomputation.All });
        var fits = ways.Count == 0 ? "no batch of this model does, with BF16 and recomputation neither: take a smaller model, or a device with more memory" : "these would: " + string.Join("; ", ways);
        return new ConfigException(FormattableString.Invariant($"training.batchSize is {training.BatchSize}: a step needs {memory.StepBytes / 1e9:0.00} GB, and {(gpu ? memory.Device : "this machine")} has {memory.DeviceBytes / 1e9:0.00} GB{(gpu ? "" : FormattableString.Invariant($", of which data and loader take {memory.HostBytes / 1e9:0.00} GB"))}. It does not fit; {fits}"));

        bool Try(string way, bool differs, TrainingConfig other)
        {
            if (!differs) return false;
            var bytes = MemoryPlan.Of(config with { Training = other }, gpu).ReservedBytes;
            if (bytes <= budget) ways.Add(FormattableString.Invariant($"{way} ({bytes / 1e9:0.00} GB)"));
            return bytes <= budget;
        }
    }

    /// <summary>What the checkpoints of a run take, and what is free where they go.</summary>
    public static DiskNeed Disk(PlipConfig config, string folder)
    {
        using var device = new PlanDevice();
        using var store = new PlipModel(config).Materialize(device);
        using var optimizer = Recipe.Optimizer(config.Training, store);
        var best = store.ValueBytes;
        var last = best + optimizer.StateBytes + (config.Training.Ema > 0 ? store.Values.Bytes : 0);
        folder = Path.GetFullPath(folder);
        var checkpoints = new DirectoryInfo(Path.Combine(folder, "checkpoints"));
        var there = checkpoints.Exists ? checkpoints.EnumerateFiles("*.safetensors", SearchOption.AllDirectories).Sum(f => f.Length) : 0;
        var existing = folder;
        while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent) existing = parent;
        return new DiskNeed(Math.Max(0, 3 * last + 2 * best - there), new DriveInfo(existing).AvailableFreeSpace);
    }
}
