using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>The promise of bits: everything random is a function of (seed, step).</summary>
public sealed class TrainerTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static PlipConfig With(Func<TrainingConfig, TrainingConfig> change)
    {
        var config = TinyPlip.Config();
        return config with { Training = change(config.Training) };
    }

    [Theory]
    [InlineData(OptimizerKind.Adan)]
    [InlineData(OptimizerKind.AdamW)]
    [InlineData(OptimizerKind.Sgd)]
    public void The_same_seed_gives_the_same_bits_for_any_number_of_threads(OptimizerKind optimizer)
    {
        var config = With(t => t with { Optimizer = optimizer, Sampler = optimizer == OptimizerKind.Sgd ? BatchKind.PxK : BatchKind.Random, ImagesPerIdentity = 2 });
        var one = TinyPlip.Fingerprint(plip.Trained(config, threads: 1));
        Assert.Equal(one, TinyPlip.Fingerprint(plip.Trained(config, threads: 1)));
        Assert.Equal(one, TinyPlip.Fingerprint(plip.Trained(config, threads: 2)));
        Assert.Equal(one, TinyPlip.Fingerprint(plip.Trained(config, threads: 3)));
    }

    /// <summary>
    /// Mixed precision: activations of 8 or 11 bits, sums and master weights in F32. Losses stay within a few roundings (2⁻⁹ or 2⁻¹² each,
    /// through some 20 layers) of the F32 run's, step by step; and the bits are the same for any number of threads.
    /// </summary>
    [Theory]
    [InlineData(Precision.BF16, 0.03)]
    [InlineData(Precision.F16, 0.01)]
    public void A_run_in_16_bits_follows_the_one_in_F32(Precision precision, double tolerance)
    {
        var wide = plip.Trained(With(t => t with { Steps = 6 }));
        var half = plip.Trained(With(t => t with { Steps = 6, Precision = precision }));
        Assert.Equal(TinyPlip.Fingerprint(half), TinyPlip.Fingerprint(plip.Trained(With(t => t with { Steps = 6, Precision = precision }), threads: 2)));
        var (a, b) = (Losses(wide), Losses(half));
        Assert.Equal(6, a.Length);
        Assert.NotEqual(a, b);
        foreach (var (f, h) in a.Zip(b)) Assert.True(Math.Abs(f - h) <= tolerance * Math.Abs(f), $"F32 {f:R}, {precision} {h:R}");
    }

    private static double[] Losses(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(l => System.Text.Json.JsonDocument.Parse(l).RootElement)
            .Where(e => e.GetProperty("kind").GetString() == "train").Select(e => e.GetProperty("loss").GetDouble())];

    [Fact]
    public void Another_seed_gives_other_bits()
    {
        var one = TinyPlip.Fingerprint(plip.Trained(With(t => t with { Steps = 1 })));
        var two = TinyPlip.Fingerprint(plip.Trained(With(t => t with { Steps = 1, Seed = 2 })));
        Assert.All(new[] { 0, 1, 2, 4, 6 }, i => Assert.NotEqual(one[i], two[i]));
    }

    [Fact]
    public void The_number_of_workers_and_the_cache_change_no_bit()
    {
        var one = TinyPlip.Fingerprint(plip.Trained(With(t => t with { Workers = 1 })));
        Assert.Equal(one, TinyPlip.Fingerprint(plip.Trained(With(t => t with { Workers = 3 }))));
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        using (var trainer = new Trainer(device, TinyPlip.Config(), plip.Words, new TrainerOptions { Train = plip.Train, Validation = plip.Validation, Folder = folder, CacheBytes = 0 }))
            trainer.Run();
        Assert.Equal(one, TinyPlip.Fingerprint(folder));
    }

    [Theory]
    [InlineData(1)] // between validations: saved because it stops
    [InlineData(2)]
    [InlineData(3)]
    public void A_run_that_stops_and_resumes_gives_the_bits_of_one_that_never_stopped(int at)
    {
        var config = With(t => t with { Accumulation = 2 });
        var whole = TinyPlip.Fingerprint(plip.Trained(config));
        var folder = plip.Trained(config, until: at);
        Assert.Equal(at, File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Count(l => l.Contains("\"train\"", StringComparison.Ordinal)));
        plip.Trained(config, threads: 2, resume: true, folder: folder);
        Assert.Equal(whole, TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void A_run_goes_on_in_the_same_trainer_too()
    {
        var config = TinyPlip.Config();
        var whole = TinyPlip.Fingerprint(plip.Trained(config));
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        using (var trainer = plip.Trainer(device, config, folder))
        {
            Assert.False(trainer.Run(until: 1));
            Assert.False(trainer.Run(until: 3));
            Assert.True(trainer.Run());
        }
        Assert.Equal(whole, TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void What_an_abandoned_stretch_wrote_is_written_anew()
    {
        var config = TinyPlip.Config();
        var whole = plip.Trained(config);
        var expected = TinyPlip.Fingerprint(whole);
        // The newest checkpoint is lost: the run goes on from the one before, and its metrics from there.
        File.Delete(Directory.GetFiles(Path.Combine(whole, "checkpoints", "last")).Max(StringComparer.Ordinal)!);
        plip.Trained(config, resume: true, folder: whole);
        Assert.Equal(expected, TinyPlip.Fingerprint(whole));
    }

    [Fact]
    public void A_cancelled_run_is_saved_and_finishes_with_the_same_bits()
    {
        var config = TinyPlip.Config();
        var expected = TinyPlip.Fingerprint(plip.Trained(config));
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        using var stop = new CancellationTokenSource();
        using (var trainer = plip.Trainer(device, config, folder, progress: p => { if (p.Step == 3) stop.Cancel(); }))
        {
            Assert.False(trainer.Run(cancellation: stop.Token));
            Assert.Equal(3, trainer.Step);
        }
        plip.Trained(config, resume: true, folder: folder);
        Assert.Equal(expected, TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void Resuming_a_finished_run_changes_nothing()
    {
        var folder = plip.Trained(TinyPlip.Config());
        var before = TinyPlip.Fingerprint(folder);
        plip.Trained(TinyPlip.Config(), resume: true, folder: folder);
        Assert.Equal(before, TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void The_best_checkpoint_holds_the_averaged_weights_of_the_best_validation()
    {
        var folder = plip.Trained(With(t => t with { Steps = 6, ValidateEvery = 1, LearningRate = 0.02f }));
        var maps = MetricsLog.Read(Path.Combine(folder, "metrics.jsonl")).Where(e => e.Kind == "validation").ToArray();
        Assert.Equal(6, maps.Length);
        var best = maps.Max(m => m.Values["map"]);
        var step = maps.Last(m => m.Values["map"] == best).Step;
        using var file = Checkpoint.Open(Path.Combine(folder, "checkpoints", "best"));
        Assert.Equal(step, file.Step);
        // Stop a second run there: its average is what the first one saved as the best model.
        var other = plip.Trained(With(t => t with { Steps = 6, ValidateEvery = 1, LearningRate = 0.02f }), until: step);
        using var last = Checkpoint.Open(Path.Combine(other, "checkpoints", "last"));
        foreach (var (name, tensor) in last.Tensors.Under("ema."))
            if (name != "step") Assert.Equal(tensor.ToF32(), file.Tensors["model." + name].ToF32());
        Assert.NotEqual(last.Tensors["model.visual.conv1.weight"].ToF32(), file.Tensors["model.visual.conv1.weight"].ToF32());
    }

    [Fact]
    public void Accumulated_batches_add_their_gradients_in_equal_parts()
    {
        var config = TinyPlip.Config();
        config = config with { Text = config.Text with { VocabularySize = plip.Words.Size } };
        using var device = new CpuDevice(1);
        var model = new Plip.Model.PlipModel(config);
        using var store = model.Materialize(device);
        var runner = new StepRunner(model, device);
        var settings = new BatchSettings { BatchSize = 6, MaxTokens = 40, Image = config.Image.ToSettings(), Seed = 1 };
        using var loader = new BatchLoader(plip.Train, new Plip.Text.CaptionEncoder(new Plip.Text.CaptionTokenizer(plip.Words)), settings, _ => 0.5f);
        using var first = loader.Next();
        using var second = loader.Next();
        float[] Gradient(float scale, params Batch[] batches)
        {
            store.ZeroGrad();
            foreach (var b in batches) runner.Run(b, scale);
            return store.Grads.ToArray();
        }
        var (a, b) = (Gradient(1, first), Gradient(1, second));
        Assert.NotEqual(a, b);
        var mean = a.Select((x, i) => (x + (double)b[i]) / 2).ToArray();
        Check.Close(mean, Gradient(0.5f, first, second), 1e-5, "the mean of two gradients");
    }

    [Fact]
    public void Frozen_layers_do_not_change_and_all_others_do()
    {
        var config = With(t => t with { Steps = 2, WeightDecay = 0.1f });
        using var device = new CpuDevice(1);
        using var trainer = plip.Trainer(device, config with { Text = config.Text with { FrozenLayers = 1 } }, plip.NewFolder());
        Dictionary<string, string> Values() => trainer.Store.Parameters.ToDictionary(p => p.Name, p => string.Join(' ', p.Parameter.Value.ToArray().Select(BitConverter.SingleToInt32Bits)));
        var before = Values();
        trainer.Run();
        // The keys' bias moves every score of a query alike, so that its gradient is zero but for rounding.
        foreach (var (name, value) in Values().Where(v => !v.Key.EndsWith("attention.self.key.bias", StringComparison.Ordinal)))
        {
            var frozen = name.StartsWith("textual.embeddings.", StringComparison.Ordinal) || name.StartsWith("textual.encoder.layer.0.", StringComparison.Ordinal);
            Assert.True(frozen == (value == before[name]), name);
        }
    }
}
