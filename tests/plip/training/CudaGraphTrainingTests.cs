using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>Training with steps that are captured and replayed leaves what training without does, to the bit.</summary>
public sealed class CudaGraphTrainingTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private const int Steps = 8;

    /// <summary>All three tasks, dropout, warm-up, clipping, average, and validations in between.</summary>
    private static PlipConfig Config(Precision precision, int accumulation, bool graphs)
    {
        var config = TinyPlip.Config();
        var training = config.Training with { Steps = Steps, ValidateEvery = 2, ClipNorm = 1, Ema = 0.9f, Warmup = 0.25 };
        return config with { Training = training with { Precision = precision, Accumulation = accumulation, CudaGraphs = graphs } };
    }

    private (string[] Left, (long Batches, long Updates) Replays) Run(PlipConfig config, string? folder = null, long until = 0, bool resume = false)
    {
        folder ??= plip.NewFolder();
        using var device = CudaTest.Open();
        using var trainer = plip.Trainer(device, config, folder, resume);
        trainer.Run(until);
        return (TinyPlip.Fingerprint(folder), trainer.Replays);
    }

    [Theory]
    [InlineData(Precision.F32, 1)]
    [InlineData(Precision.BF16, 2)]
    [InlineData(Precision.F16, 2)]
    public void A_run_with_graphs_leaves_the_bits_of_one_without(Precision precision, int accumulation)
    {
        var (plain, none) = Run(Config(precision, accumulation, graphs: false));
        var (graphs, replays) = Run(Config(precision, accumulation, graphs: true));
        Assert.Equal((0, 0), none);
        Assert.True(replays.Batches >= 2, $"{replays.Batches} of {Steps * accumulation} batches were replays");
        Assert.Equal(Steps - 1, replays.Updates);
        Assert.Equal(plain, graphs);
    }

    /// <summary>Swin leaves out branches by the step that lies in memory: a replay that drew the captured step's numbers again would be found out.</summary>
    [Fact]
    public void So_does_one_of_Swin()
    {
        var swin = new SwinConfig { Width = 8, Depths = [1, 2, 1, 1], Heads = [1, 2, 4, 4], Window = 3, StochasticDepth = 0.4f };
        var (plain, _) = Run(Config(Precision.F32, 1, graphs: false) with { Visual = swin });
        var (graphs, replays) = Run(Config(Precision.F32, 1, graphs: true) with { Visual = swin });
        Assert.True(replays.Batches >= 2, $"{replays.Batches} of {Steps} batches were replays");
        Assert.Equal(plain, graphs);
    }

    /// <summary>
    /// The scale lies in memory that the graphs read: raised between replays until gradients overflow, the replayed update refuses, weights,
    /// moments and average stay as they are, and the bits are those of a run without graphs.
    /// </summary>
    [Fact]
    public void A_replayed_update_refuses_what_overflows()
    {
        const int Raised = 3, All = 12;
        const float TooLarge = 1 << 18;
        var results = new List<string[]>();
        foreach (var graphs in new[] { false, true })
        {
            var config = Config(Precision.F16, 1, graphs);
            config = config with { Training = config.Training with { Steps = All, ValidateEvery = 4 } };
            var folder = plip.NewFolder();
            var (seen, weights) = (new List<TrainingProgress>(), new List<float[]>());
            Trainer? running = null;
            using var device = CudaTest.Open();
            using var trainer = running = plip.Trainer(device, config, folder, progress: p =>
            {
                seen.Add(p);
                weights.Add(running!.Store.Values.ToArray());
                if (p.Step == Raised) running.Scaler!.Load(LossScaleTests.Scale(TooLarge));
            });
            trainer.Run();
            Assert.InRange(trainer.Refused, 1, All - 1);
            Assert.Equal((TooLarge, false), ((float)seen[Raised].LossScale!.Value, double.IsFinite(seen[Raised].GradientNorm)));
            Assert.Equal(weights[Raised - 1], weights[Raised]);
            Assert.NotEqual(weights[Raised - 1], weights[^1]);
            Assert.Equal(graphs ? All - 1 : 0, trainer.Replays.Updates);
            using (var last = Checkpoint.Open(Path.Combine(folder, "checkpoints", "last")))
                foreach (var counted in new[] { "optimizer.step", "ema.step" }) Assert.Equal(All - trainer.Refused, last.Tensors[counted].ToI64()[0]);
            results.Add(TinyPlip.Fingerprint(folder));
        }
        Assert.Equal(results[0], results[1]);
    }

    /// <summary>With graphs up to the middle, without behind it, and the other way round: the switch may be thrown between the parts of a run.</summary>
    [Fact]
    public void A_run_may_stop_and_go_on()
    {
        var (whole, _) = Run(Config(Precision.F32, 1, graphs: true));
        var folder = plip.NewFolder();
        Run(Config(Precision.F32, 1, graphs: false), folder, until: 3);
        var (resumed, replays) = Run(Config(Precision.F32, 1, graphs: true), folder, resume: true);
        Assert.Equal(Steps - 3 - 1, replays.Updates);
        Assert.Equal(whole, resumed);
    }

    /// <summary>A replay that gives what is not finite is named as any step is, and updates nothing.</summary>
    [Fact]
    public void A_loss_that_is_not_finite_stops_a_replayed_run()
    {
        var folder = plip.NewFolder();
        Trainer? running = null;
        string[] saved = [];
        using var device = CudaTest.Open();
        using var trainer = running = plip.Trainer(device, Config(Precision.F32, 1, graphs: true), folder, progress: p =>
        {
            if (p.Step != Steps - 2) return;
            saved = TinyPlip.Fingerprint(folder);
            var parameter = running!.Store.Parameters.Single(x => x.Name == "iap.words.bias").Parameter;
            var values = parameter.Value.ToArray();
            values[0] = float.NaN;
            parameter.Value.CopyFrom<float>(values);
        });
        var error = Assert.Throws<DivergedException>(() => trainer.Run());
        Assert.Contains("task iap", error.Message, StringComparison.Ordinal);
        Assert.Equal(Steps - 2, error.Step);
        Assert.True(trainer.Replays.Updates > 0);
        Assert.Equal(saved[..^1], TinyPlip.Fingerprint(folder)[..^1]); // of the metrics not all is written at the time
    }

    /// <summary>Captions of more tokens than there are positions: the number that no row of the table has is found on the GPU.</summary>
    [Fact]
    public void A_bad_index_stops_the_run_and_leaves_the_last_checkpoint_as_it_was()
    {
        var config = Config(Precision.F32, 1, graphs: true);
        config = config with { Text = config.Text with { MaxTokens = 8, Positions = 8 } };
        var folder = plip.NewFolder();
        using (var device = CudaTest.Open())
        using (var trainer = plip.Trainer(device, config, folder))
        {
            trainer.Run(until: 3);
            var saved = TinyPlip.Fingerprint(folder);
            trainer.Model.Config.Text.MaxTokens = 40;
            Assert.Equal("Embedding: id 8 at position 8 is outside 0..7", Assert.Throws<ArgumentException>(() => trainer.Run()).Message);
            Assert.Equal(saved, TinyPlip.Fingerprint(folder));
        }
        config.Text.MaxTokens = 8;
        Run(config, folder, resume: true);
    }
}
