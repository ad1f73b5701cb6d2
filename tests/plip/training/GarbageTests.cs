using Plip.Data;
using Plip.Engine;
using Plip.Tests.Model;
using Plip.Text;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>Tests that read the process's counters run alone.</summary>
[CollectionDefinition("counters", DisableParallelization = true)]
public sealed class CountersCollection;

/// <summary>What a step leaves to the garbage collector, in bytes: they do not depend on the machine's speed.</summary>
[Collection("counters")]
public sealed class GarbageTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    /// <summary>The training pictures again and again: an epoch of thirty batches of six.</summary>
    private PersonDataset Many()
    {
        var train = plip.Train;
        return new PersonDataset("many", train.Root, train.AnnotationFile, train.Layout, [.. Enumerable.Repeat(train.Images, 10).SelectMany(i => i)]);
    }

    [Theory]
    [InlineData(1L << 30)]
    [InlineData(0)] // every picture is decoded in every epoch
    public void An_epoch_after_the_first_allocates_little_and_collects_nothing_old(long cacheBytes)
    {
        var config = TinyPlip.Config();
        config = config with { Training = config.Training with { Steps = 90, ValidateEvery = 90 } };
        using var device = new CpuDevice(2);
        using var trainer = new Trainer(device, config, plip.Words, new TrainerOptions { Train = Many(), Folder = plip.NewFolder(), CacheBytes = cacheBytes });
        trainer.Run();
        var garbage = trainer.Garbage;
        Assert.Equal((2L, 30), (garbage.Epoch, garbage.Steps));
        // Some thousand handles, closures and tasks. An epoch's order, a batch or a few pictures anew would be seen.
        Assert.InRange(garbage.BytesPerStep, 1, 1_000_000);
        Assert.Equal((0, 0), (garbage.Gen1, garbage.Gen2));
    }

    /// <summary>At the paper's 256×128 a picture's pixels alone, allocated, would be a large array of 98 KB.</summary>
    [Fact]
    public void Decoding_and_batching_allocate_only_small_things()
    {
        var settings = new BatchSettings { BatchSize = 6, MaxTokens = 40, Seed = 1 };
        using var loader = new BatchLoader(Many(), new CaptionEncoder(new CaptionTokenizer(plip.Words)), settings, _ => 0.5f);
        for (var i = 0; i < 45; i++) loader.Next().Dispose(); // past the first epoch
        var before = GC.GetTotalAllocatedBytes(precise: true);
        for (var i = 0; i < 60; i++) loader.Next().Dispose();
        var perBatch = (GC.GetTotalAllocatedBytes(precise: true) - before) / 60;
        Assert.InRange(perBatch, 1, 98_304);
    }

    [Fact]
    public void The_same_arrays_hold_the_order_of_every_epoch()
    {
        var sampler = new IdentityBatchSampler(Many(), 6, 3, BatchKind.PxK, 2);
        var pairs = new SamplePair[sampler.BatchesPerEpoch * 6];
        sampler.Fill(0, pairs);
        var before = GC.GetAllocatedBytesForCurrentThread();
        sampler.Fill(1, pairs);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 256);
        Assert.Equal(sampler.Epoch(1), pairs);
    }
}
