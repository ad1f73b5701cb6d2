using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Tests.Data;
using Plip.Tests.Model;
using Plip.Text;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

public sealed class StartupTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private TrainingData Data => new(plip.Train, plip.Validation, "");

    private static readonly StartupSettings Quick = new() { Seconds = 0.2 };

    [Fact]
    public void The_report_says_what_the_run_will_be()
    {
        using var device = new CpuDevice(1);
        var config = TinyPlip.Config();
        config = config with { Training = config.Training with { Steps = 0, Epochs = 10, BatchSize = 3, Accumulation = 2, Workers = 2 } };
        var report = Startup.Check(device, config, plip.Words, Data, plip.NewFolder(), Quick with { StepsDone = 7 });
        Assert.Equal(new QuickCheckReport(18, 9, 36, 18, 18), report.Train with { Prompts = 18 });
        Assert.Equal(6, report.Validation!.Decoded);
        var time = report.Time;
        Assert.Equal((23L, 30L, 3.0, 10.0, 6L), (time.Steps, time.TotalSteps, time.StepsPerEpoch, time.Epochs, time.PairsPerStep));
        Assert.Equal((3, 3, 2, 2), (time.BatchSize, time.MeasuredBatch, time.Accumulation, time.Workers));
        Assert.True(time.PairsPerSecond > 0 && time.LoadedPerSecond > 0);
        Assert.Equal(23 * 6 / Math.Min(time.PairsPerSecond, time.LoadedPerSecond), time.Seconds, 1e-9 * time.Seconds);
        var words = config with { Text = config.Text with { VocabularySize = plip.Words.Size } };
        Assert.Equal(MemoryPlan.Of(words, gpu: false).ReservedBytes, report.Memory.StepBytes);
        Assert.True(report.Memory.Fits && report.Disk.Fits);
        Assert.Equal(0, device.MemoryInUse.Blocks); // the model that was measured is gone

        var text = report.ToText();
        foreach (var part in new[] { "data    18 pictures of 9 people", "memory  ", "disk    ", "steps   23 of 30 of 6 pairs (2 x 3): 10 epochs of 3 steps", "time    ", "images/s with 2 workers" }) Assert.Contains(part, text, StringComparison.Ordinal);
        Assert.Equal(5, text.Count(c => c == '\n'));
        using var json = JsonDocument.Parse(report.ToJson());
        Assert.Equal(23, json.RootElement.GetProperty("time").GetProperty("steps").GetInt64());
        Assert.True(json.RootElement.GetProperty("memory").GetProperty("fits").GetBoolean());
    }

    [Fact]
    public void A_run_that_was_checked_has_the_bits_of_one_that_was_not()
    {
        using var device = new CpuDevice(1);
        var config = TinyPlip.Config();
        var folder = plip.NewFolder();
        Startup.Check(device, config, plip.Words, Data, folder, Quick);
        using (var trainer = plip.Trainer(device, config, folder)) trainer.Run();
        Assert.Equal(TinyPlip.Fingerprint(plip.Trained(config)), TinyPlip.Fingerprint(folder));
    }

    /// <summary>What is asked of the disk is what a run leaves at most: three of the last and two of the best, of which two and one stay.</summary>
    [Fact]
    public void The_disk_that_is_asked_for_holds_the_checkpoints()
    {
        var config = TinyPlip.Config();
        config = config with { Text = config.Text with { VocabularySize = plip.Words.Size } };
        var folder = plip.Trained(TinyPlip.Config());
        long Size(string kind) => Directory.GetFiles(Path.Combine(folder, "checkpoints", kind)).Max(f => new FileInfo(f).Length);
        var asked = Startup.Disk(config, plip.NewFolder()).NeededBytes;
        Assert.InRange(asked / (3.0 * Size("last") + 2.0 * Size("best")), 0.7, 1.0); // headers and the vocabulary count in so small a model
        var there = Directory.GetFiles(Path.Combine(folder, "checkpoints"), "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
        Assert.Equal(asked - there, Startup.Disk(config, folder).NeededBytes);
    }

    [Fact]
    public void A_batch_that_does_not_fit_is_refused_with_what_would()
    {
        var config = ConfigFile.Load("plip-tiny");
        config = config with { Text = config.Text with { VocabularySize = 500 }, Training = config.Training with { BatchSize = 256 } };
        var needed = MemoryPlan.Of(config, gpu: true).ReservedBytes;
        var memory = new MemoryNeed("a GPU", needed, needed * 3 / 4, 0, 1L << 40);
        Assert.False(memory.Fits);
        var message = Startup.TooLarge(memory, config, gpu: true).Message;
        Assert.Contains("training.batchSize is 256", message, StringComparison.Ordinal);
        Assert.Contains("a GPU has", message, StringComparison.Ordinal);
        Assert.Contains("training.precision BF16", message, StringComparison.Ordinal);
        // The batch it names does fit.
        var named = int.Parse(message.Split("these would: training.batchSize ")[1].Split(',')[0], System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(MemoryPlan.Of(config with { Training = config.Training with { BatchSize = named } }, gpu: true).ReservedBytes <= memory.DeviceBytes);
        Assert.InRange(named, 150, 255);
        Assert.Contains("no batch of this model", Startup.TooLarge(memory with { DeviceBytes = 1000 }, config, gpu: true).Message, StringComparison.Ordinal);
        Assert.Contains("fewer pictures", Startup.TooLarge(memory with { HostBytes = 2L << 40 }, config, gpu: true).Message, StringComparison.Ordinal);
        // On the CPU data and step share the memory.
        Assert.False(new MemoryNeed("cpu", 60, 100, 50, 100).Fits);
        Assert.True(new MemoryNeed("gpu", 60, 100, 50, 100).Fits);
    }

    [Fact]
    public void Broken_pictures_and_empty_captions_are_found_before_the_first_step()
    {
        using var tiny = new TinyData().WithCuhkPedes(5);
        using var device = new CpuDevice(1);
        var data = new TrainingData(PersonDataset.Load(tiny.Root, split: "train"), null, "");
        tiny.Write("imgs/p1/1.jpg", "no picture");
        tiny.Write("imgs/p2/1.jpg", "no picture");
        var error = Assert.Throws<DataException>(() => Startup.Check(device, TinyPlip.Config(), plip.Words, data, plip.NewFolder(), Quick));
        Assert.Contains("p1/1.jpg", error.Message, StringComparison.Ordinal);
        Assert.Contains("2 of 11", error.Message, StringComparison.Ordinal);
        Assert.Contains("plip data check", error.Message, StringComparison.Ordinal);
        PersonImage[] empty = [.. data.Train.Images.Select((i, n) => n == 4 ? i with { Captions = ["a man", " "] } : i)];
        var blank = new PersonDataset("x", tiny.Root, data.Train.AnnotationFile, data.Train.Layout, empty);
        Assert.Contains("caption 1 is empty", Assert.Throws<DataException>(() => QuickCheck.Run(blank)).Message, StringComparison.Ordinal);
        Assert.Equal(0, QuickCheck.Run(data.Train, sample: 0).Decoded);
    }

    [Theory]
    [InlineData(0.5, "0.5 s")]
    [InlineData(600, "10 min")]
    [InlineData(36000, "10.0 h")]
    [InlineData(1_314_000, "15 days 5 h (365 h)")]
    public void Durations_are_in_the_units_one_thinks_in(double seconds, string text) => Assert.Equal(text, StartupReport.Duration(seconds));
}
