using Plip.Configs;
using Plip.Data;
using Plip.Tests.Data;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

public sealed class TrainingDataTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    [Fact]
    public void A_world_trains_on_train_and_validates_on_val()
    {
        var set = TrainingData.Load(plip.World);
        Assert.Equal(plip.Train.Identities, set.Train.Identities);
        Assert.Equal(plip.Validation.Identities, set.Validation!.Identities);
        Assert.Contains("val split", set.Note);
    }

    [Fact]
    public void Without_a_val_split_the_highest_training_identities_are_held_out()
    {
        using var data = new TinyData().WithCuhkPedes(45); // the last identity, 450, is the test split
        var set = TrainingData.Load(data.Root);
        Assert.Equal([430, 440], set.Validation!.Identities);
        Assert.Equal(42, set.Train.Identities.Length);
        Assert.DoesNotContain(450, set.Train.Identities.Concat(set.Validation.Identities));
        Assert.Contains("held out", set.Note);
    }

    [Fact]
    public void Too_few_identities_give_no_validation()
    {
        using var data = new TinyData().WithCuhkPedes(5);
        var set = TrainingData.Load(data.Root);
        Assert.Null(set.Validation);
        Assert.Equal([10, 20, 30, 40], set.Train.Identities);
    }

    [Fact]
    public void A_layout_without_splits_trains_on_all_but_the_held_out()
    {
        using var data = new TinyData();
        Directory.Move(plip.World, data.At("world"));
        try
        {
            foreach (var file in Directory.GetFiles(data.At("world"), "reid_raw.json")) File.Move(file, file + ".away");
            var set = TrainingData.Load(data.At("world"));
            Assert.Equal(DatasetLayout.SynthPedes, set.Train.Layout);
            Assert.Equal(plip.Train.Identities, set.Train.Identities);
        }
        finally
        {
            foreach (var file in Directory.GetFiles(data.At("world"), "*.away")) File.Move(file, file[..^5]);
            Directory.Move(data.At("world"), plip.World);
        }
    }

    [Fact]
    public void A_set_with_nothing_but_a_test_split_is_never_trained_on()
    {
        using var data = new TinyData().WithCuhkPedes(60);
        var json = File.ReadAllText(data.At("reid_raw.json"));
        data.Write("reid_raw.json", json.Replace("\"split\": \"train\"", "\"split\": \"test\""));
        Assert.Contains("no split \"train\"", Assert.Throws<DataException>(() => TrainingData.Load(data.Root)).Message);
    }

    [Theory]
    [InlineData(0, 2.5, 10, 1, 0, 25, 10)]
    [InlineData(0, 2.5, 10, 4, 0, 6, 2)]
    [InlineData(7, 100, 10, 4, 0, 7, 2)]
    [InlineData(7, 100, 10, 1, 3, 7, 3)]
    [InlineData(7, 100, 10, 1, 99, 7, 7)]
    [InlineData(0, 0.001, 10, 1, 0, 1, 1)]
    public void A_plan_follows_from_epochs_or_steps(long steps, double epochs, int batches, int accumulation, long every, long total, long validate)
    {
        var plan = TrainingPlan.For(new TrainingConfig { Steps = steps, Epochs = epochs, Accumulation = accumulation, ValidateEvery = every }, batches);
        Assert.Equal((total, validate), (plan.TotalSteps, plan.ValidateEvery));
        Assert.Equal(0, plan.Progress(0));
        Assert.Equal(0.5, plan.Progress(total * accumulation / 2), total * accumulation % 2 == 0 ? 0 : 0.51);
        Assert.Equal(1, plan.Progress(total * accumulation + 5)); // the loader reads ahead
    }

    [Fact]
    public void Warm_up_leads_into_the_schedule()
    {
        var config = new TrainingConfig { LearningRate = 1, Warmup = 0.1, Milestones = [0.5, 0.75] };
        var paper = Recipe.Schedule(config, 100);
        Assert.Equal([0.1f, 1f, 1f, 0.1f, 0.01f], new long[] { 0, 9, 49, 50, 75 }.Select(paper.At), (a, b) => Math.Abs(a - b) < 1e-6);
        var cosine = Recipe.Schedule(config with { Schedule = ScheduleKind.Cosine }, 100);
        Assert.Equal([0.1f, 1f, 0.5f], new long[] { 0, 10, 55 }.Select(cosine.At), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.True(cosine.At(99) < 0.01f);
        var flat = Recipe.Schedule(config with { Schedule = ScheduleKind.Constant, Warmup = 0 }, 100);
        Assert.Equal([1f, 1f], new long[] { 0, 99 }.Select(flat.At));
    }

    /// <summary>
    /// The paper's recipe on SYNTH-PEDES: 70 epochs of 512 pairs, the rate rising for 10 and falling at 30 and 50. As 4 batches of 128 or as one
    /// of 512 the run is the same length to a step an epoch, and its milestones fall into the same epochs.
    /// </summary>
    [Theory]
    [InlineData(128, 4, 37435, 655112)] // ⌊4,791,711 / 128⌋ batches; 70 · 37,435 / 4 = 655,112.5, to even
    [InlineData(512, 1, 9358, 655060)]
    [InlineData(64, 8, 74870, 655112)]
    public void Accumulated_batches_give_the_papers_steps(int batch, int accumulation, int batchesPerEpoch, long steps)
    {
        var config = ConfigFile.Load("plip-rn50").Training;
        config = config with { BatchSize = batch, Accumulation = accumulation };
        Assert.Equal(batchesPerEpoch, 4_791_711 / batch);
        var plan = TrainingPlan.For(config, batchesPerEpoch);
        Assert.Equal((steps, accumulation), (plan.TotalSteps, plan.Accumulation));
        Assert.Equal(4_791_711 / 512.0, (double)plan.TotalSteps / 70, 1.0);
        Assert.Equal(4_791_711 / 512, plan.ValidateEvery); // once an epoch
        // Each picture is drawn once an epoch, accumulated or not.
        Assert.Equal(70, (double)plan.TotalSteps * accumulation * batch / (batchesPerEpoch * (double)batch), 1e-3);

        var rate = Recipe.Schedule(config, plan.TotalSteps);
        long FirstStepOf(double epoch) => (long)Math.Round(epoch * batchesPerEpoch / accumulation);
        Assert.InRange(rate.At(0), 1e-9f, 1e-7f);
        Assert.Equal(0.001f, rate.At(FirstStepOf(5)), 1e-6f); // half way up
        Assert.Equal(0.002f, rate.At(FirstStepOf(10) + 1), 1e-7f);
        foreach (var (epoch, before, after) in new[] { (30, 0.002f, 0.0002f), (50, 0.0002f, 0.00002f) })
        {
            var at = FirstStepOf(epoch);
            Assert.Equal(before, rate.At(at - 10), 1e-9f);
            Assert.Equal(after, rate.At(at + 10), 1e-9f);
            Assert.Equal((epoch - 1, epoch), (plan.Epoch(at - 10), plan.Epoch(at + 10)));
        }
        // The curriculum's x is counted in batches, and reaches 1 with the last of them.
        Assert.Equal(0.5, plan.Progress(plan.TotalSteps * accumulation / 2), 1e-6);
        Assert.Equal(1, plan.Progress(plan.TotalSteps * accumulation));
        Assert.True(plan.Progress(plan.TotalSteps * accumulation - 1) < 1);
    }
}
