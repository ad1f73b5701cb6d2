using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public sealed class DataRateTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_part_and_whole_batches_are_measured(bool shards)
    {
        using var tiny = new TinyData();
        ShardsTests.SynthPedes(tiny, 6);
        if (shards) ShardPacker.Pack(PersonDataset.Load(tiny.Root), tiny.At("s"));
        var settings = new DataRateSettings { Batch = new BatchSettings { BatchSize = 64, Workers = 2, Kind = BatchKind.Blocks }, Seconds = 0.1, Passes = 2, Target = 1e5 };
        var report = DataRate.Measure(PersonDataset.Load(shards ? tiny.At("s") : tiny.Root), new WordEncoder(), settings);
        Assert.Equal(["read", "decode", "resize", "normalise", "tokenise"], report.Parts.Select(p => p.Name));
        Assert.All(report.Parts, p => Assert.True(p.Microseconds > 0, p.Name));
        Assert.Equal(report.Parts.Sum(p => p.Microseconds), report.Microseconds);
        Assert.True(report.PicturesPerSecond > 0 && report.Cores >= 0 && report.FirstRead > 0);
        Assert.True(report.CoresForTarget >= 1 && report.CoresForTarget >= 1e5 / report.PerCore - 1e-6);
        Assert.InRange(report.MeanPixels, 16 * 40, 20 * 42);
        foreach (var word in new[] { "decode", "whole batches by 2 workers", "a GPU that eats 100,000" }) Assert.Contains(word, report.ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_broken_picture_is_named()
    {
        using var tiny = new TinyData();
        ShardsTests.SynthPedes(tiny, 2);
        tiny.Write("Part2/1/0.jpg", "no picture");
        Assert.Contains("Part2/1/0.jpg", Assert.Throws<DataException>(() => DataRate.Measure(PersonDataset.Load(tiny.Root), new WordEncoder(), new DataRateSettings())).Message, StringComparison.Ordinal);
    }
}
