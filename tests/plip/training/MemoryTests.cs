using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>A step owns its memory (DESIGN 2): nothing is left behind, and the pool stops growing.</summary>
public sealed class MemoryTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    [Fact]
    public void Nothing_is_left_after_a_step_or_a_validation_and_nothing_after_the_trainer()
    {
        using var device = new CpuDevice(1);
        var seen = new List<(int, long)>();
        var config = TinyPlip.Config();
        using (var trainer = plip.Trainer(device, config with { Training = config.Training with { Steps = 7, ValidateEvery = 3, Accumulation = 2 } }, plip.NewFolder(),
            progress: _ => seen.Add((device.MemoryInUse.Blocks, device.MemoryInUse.Bytes))))
        {
            var (blocks, bytes, _) = device.MemoryInUse;
            trainer.Run();
            Assert.Equal(7, seen.Count);
            Assert.All(seen, s => Assert.Equal((blocks, bytes), s));
        }
        Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
    }

    [Fact]
    public void A_run_that_cannot_begin_leaves_nothing()
    {
        using var device = new CpuDevice(1);
        Assert.Throws<FileNotFoundException>(() => plip.Trainer(device, TinyPlip.Config(), plip.NewFolder(), resume: true));
        Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
    }

    [Fact]
    public void The_pool_stops_growing_once_it_has_seen_a_step()
    {
        using var device = new CpuDevice(2);
        var config = TinyPlip.Config();
        var model = new PlipModel(config with { Text = config.Text with { VocabularySize = plip.Words.Size } });
        using var store = model.Materialize(device);
        var runner = new StepRunner(model, device);
        var settings = new BatchSettings { BatchSize = 6, MaxTokens = 40, Image = config.Image.ToSettings(), Seed = 1 };
        using var loader = new BatchLoader(plip.Train, new Plip.Text.CaptionEncoder(new Plip.Text.CaptionTokenizer(plip.Words)), settings, _ => 0.5f);
        using var batch = loader.Next();
        runner.Run(batch, 1);
        var (reserved, peak) = (device.ReservedBytes, device.MemoryInUse.PeakBytes);
        for (var i = 0; i < 5; i++) runner.Run(batch, 1);
        Assert.Equal(reserved, device.ReservedBytes);
        Assert.Equal(peak, device.MemoryInUse.PeakBytes);
    }
}
