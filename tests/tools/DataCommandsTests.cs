using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Encoders;
using Plip.Tests.Data;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Tools;

/// <summary>Packing, timing, and the way from a data set as published to the first steps.</summary>
[Collection("console")]
public sealed class DataCommandsTests : IDisposable
{
    private readonly TinyData tiny = new();

    public DataCommandsTests() => ShardsTests.SynthPedes(tiny, 40, each: 2);

    /// <summary>plip-rn50 in all but its sizes: the paper's losses, optimiser, schedule, frozen blocks and accumulation.</summary>
    private string Shrunken(BatchKind sampler)
    {
        var config = ConfigFile.Load("plip-rn50");
        config = config with
        {
            Name = "shrunken",
            Image = config.Image with { Height = 64, Width = 32 },
            Visual = (ModifiedResNetConfig)config.Visual with { Layers = [1, 1, 1, 1], Width = 4 },
            Text = config.Text with { Layers = 2, Width = 16, Heads = 2, FrozenLayers = 1 },
            Tasks = config.Tasks with { Tic = config.Tasks.Tic with { Channels = 16 } },
            Training = config.Training with { BatchSize = 4, Steps = 2, Sampler = sampler, BlockSize = 10, OpenBlocks = 3 },
        };
        return tiny.Write("config.json", ConfigFile.ToJson(config));
    }

    private static MetricsEntry[] Steps(string folder) => [.. MetricsLog.Read(Path.Combine(folder, "metrics.jsonl")).Where(e => e.Kind == "train")];

    [Theory]
    [InlineData(BatchKind.Random)]
    [InlineData(BatchKind.Blocks)]
    public void The_published_layout_and_its_shards_train_to_the_same_bits(BatchKind sampler)
    {
        var config = Shrunken(sampler);
        Assert.Equal((0, ""), Captured.Run("data", "pack", tiny.Root, tiny.At("shards")) is var pack ? (pack.Code, pack.Error) : default);
        Captured Train(string data, string folder, params string[] more) =>
            Captured.Run(["pretrain", "--config", config, "--data", data, "--out", tiny.At(folder), "--threads", "1", "--vocabulary-size", "300", .. more]);
        var run = Train(tiny.Root, "a");
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var line in new[] { "76 pictures of 38 people", "steps   2 of 16 pairs (4 x 4)", "images/s with 2 workers", "2/2" }) Assert.Contains(line, run.Out, StringComparison.Ordinal);
        var steps = Steps(tiny.At("a"));
        Assert.Equal([1L, 2L], steps.Select(s => s.Step));
        Assert.All(steps, s => Assert.True(new[] { "ivlc", "tic", "iap" }.All(t => double.IsFinite(s.Values[t]))));
        run = Train(tiny.At("shards"), "b", "--no-check");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.DoesNotContain("images/s with", run.Out, StringComparison.Ordinal);
        Assert.Equal(TinyPlip.Fingerprint(tiny.At("a")), TinyPlip.Fingerprint(tiny.At("b")));
    }

    [Fact]
    public void A_dry_run_reports_and_leaves_nothing()
    {
        var run = Captured.Run("pretrain", "--config", Shrunken(BatchKind.Random), "--data", tiny.Root, "--out", tiny.At("out"), "--threads", "1", "--vocabulary-size", "300", "--dry-run", "--json", tiny.At("r.json"));
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var line in new[] { "data    ", "memory  ", "disk    ", "steps   ", "time    " }) Assert.Contains(line, run.Out, StringComparison.Ordinal);
        Assert.False(Directory.Exists(tiny.At("out")));
        using var json = JsonDocument.Parse(File.ReadAllText(tiny.At("r.json")));
        Assert.Equal(2, json.RootElement.GetProperty("time").GetProperty("totalSteps").GetInt64());
        Assert.Contains("--no-check", Captured.Run("pretrain", "--data", tiny.Root, "--dry-run", "--no-check").Fails(2), StringComparison.Ordinal);
    }

    [Fact]
    public void Packing_says_what_it_wrote_and_overwrites_nothing()
    {
        var run = Captured.Run("data", "pack", tiny.Root, tiny.At("s"), "--shard-size", "100kB");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("80 pictures of 40 people in ", run.Out, StringComparison.Ordinal);
        Assert.True(Directory.GetFiles(tiny.At("s"), "shard-*.tar").Length > 1);
        Assert.True(File.Exists(tiny.At("s/shards.index")));
        Assert.Contains("nothing is overwritten", Captured.Run("data", "pack", tiny.Root, tiny.At("s")).Fails(1), StringComparison.Ordinal);
        foreach (var size in new[] { "1", "GB", "-1GB", "1e3GB", "10kB" })
            Assert.Contains("--shard-size", Captured.Run("data", "pack", tiny.Root, tiny.At("t"), "--shard-size", size).Fails(2), StringComparison.Ordinal);
        Assert.Contains("no errors", Captured.Run("data", "check", tiny.At("s")).Out, StringComparison.Ordinal);
        Assert.Contains("CuhkPedes", Captured.Run("data", "pack", tiny.Root, tiny.At("t"), "--layout", "CuhkPedes").Fails(1), StringComparison.Ordinal);
    }

    [Fact]
    public void Rates_are_printed_and_written()
    {
        var run = Captured.Run("data", "rate", tiny.Root, "--seconds", "0.1", "--workers", "2", "--json", tiny.At("rate.json"));
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in new[] { "80 pictures, to 256x128", "decode", "tokenise", "whole batches by 2 workers", "2,500 pictures a second wants" }) Assert.Contains(word, run.Out, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(File.ReadAllText(tiny.At("rate.json")));
        Assert.True(json.RootElement.GetProperty("pictures_per_second").GetDouble() > 0);
        Assert.Contains("--workers is 0", Captured.Run("data", "rate", tiny.Root, "--workers", "0").Fails(2), StringComparison.Ordinal);
        Assert.Contains("--target is 0", Captured.Run("data", "rate", tiny.Root, "--target", "0").Fails(2), StringComparison.Ordinal);
    }

    [Fact]
    public void Built_in_configurations_are_shown_and_read_back()
    {
        var show = Captured.Run("config", "show", "plip-rn50");
        Assert.Equal((0, ""), (show.Code, show.Error));
        Assert.Equal(ConfigFile.ToJson(ConfigFile.Load("plip-rn50")), ConfigFile.ToJson(ConfigFile.Load(tiny.Write("mine.json", show.Out))));
        Assert.Contains("plip-rn50\n", Captured.Run("config", "list").Out.ReplaceLineEndings("\n"), StringComparison.Ordinal);
        Assert.Contains("plip-rn50", Captured.Run("config", "show", "plip-rn5").Fails(1), StringComparison.Ordinal);
    }

    [Fact]
    public void The_papers_configuration_asks_for_its_vocabulary()
    {
        var config = ConfigFile.Load("plip-rn50");
        var path = tiny.Write("bert.json", ConfigFile.ToJson(config with
        {
            Image = config.Image with { Height = 32, Width = 32 },
            Visual = (ModifiedResNetConfig)config.Visual with { Layers = [1, 1, 1, 1], Width = 4 },
            Tasks = config.Tasks with { Tic = config.Tasks.Tic with { Enabled = false } },
            Training = config.Training with { BatchSize = 2, Accumulation = 1, Steps = 1 },
        }));
        var run = Captured.Run("pretrain", "--config", path, "--data", tiny.Root, "--out", tiny.At("out"), "--vocabulary-size", "300", "--dry-run");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("30,522 of bert-base-uncased: give its vocab.txt with --vocabulary", run.Out, StringComparison.Ordinal);
    }

    public void Dispose() => tiny.Dispose();
}
