using Plip.Configs;
using Plip.Engine;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>Training in F16: what a refused update is to the step, the order of the data, the average and a run that is resumed.</summary>
public sealed class LossScaleTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private const int Steps = 11, Raised = 4;

    private const float TooLarge = 1 << 18;

    private static PlipConfig Config(int accumulation = 1)
    {
        var config = TinyPlip.Config();
        return config with { Training = config.Training with { Steps = Steps, ValidateEvery = 4, Precision = Precision.F16, Accumulation = accumulation } };
    }

    /// <summary>Behind step 4 the scale becomes one with which gradients overflow: some updates are refused until it is halved enough.</summary>
    private static void Raise(Trainer trainer, TrainingProgress p)
    {
        if (p.Step == Raised) trainer.Scaler!.Load(Scale(TooLarge));
    }

    /// <summary>A saved state of a scaler, to set one's scale by.</summary>
    internal static StateDict Scale(float scale)
    {
        var state = new StateDict();
        state.Add("scale", StateTensor.Of([scale], new Shape()));
        state.Add("good_updates", StateTensor.Of([0L], new Shape()));
        return state;
    }

    [Fact]
    public void A_refused_update_is_a_step_that_changes_nothing_but_the_scale()
    {
        var seen = new List<(TrainingProgress Progress, float[] Weights)>();
        var folder = plip.Trained(Config(), progress: (trainer, p) =>
        {
            seen.Add((p, trainer.Store.Values.ToArray()));
            Raise(trainer, p);
        });
        Assert.Equal(Enumerable.Range(1, Steps), seen.Select(s => (int)s.Progress.Step));
        var before = seen[Raised - 1].Progress.Refused; // the first scale is a guess, and may be too large itself
        var refused = seen.Skip(Raised).TakeWhile(s => !double.IsFinite(s.Progress.GradientNorm)).ToList();
        Assert.InRange(refused.Count, 1, Steps - Raised - 1);
        for (var i = 0; i < refused.Count; i++)
        {
            Assert.Equal(TooLarge / (1 << i), refused[i].Progress.LossScale);
            Assert.Equal(before + i + 1, refused[i].Progress.Refused);
            Assert.Equal(seen[Raised - 1].Weights, refused[i].Weights);
            Assert.True(double.IsFinite(refused[i].Progress.Loss));
        }
        var next = seen[Raised + refused.Count];
        Assert.NotEqual(seen[Raised - 1].Weights, next.Weights);
        Assert.Equal((before + refused.Count, TooLarge / (1 << refused.Count)), (next.Progress.Refused, next.Progress.LossScale));

        using (var last = Checkpoint.Open(Path.Combine(folder, "checkpoints", "last")))
        {
            Assert.Equal(Steps, last.Step);
            foreach (var counted in new[] { "optimizer.step", "ema.step" }) Assert.Equal(Steps - seen[^1].Progress.Refused, last.Tensors[counted].ToI64()[0]);
        }
        var lines = MetricsLog.Read(Path.Combine(folder, "metrics.jsonl")).Where(e => e.Kind == "train").ToList();
        Assert.Equal(seen.Select(s => s.Progress.LossScale!.Value), lines.Select(l => l.Values["loss_scale"]));
        Assert.Equal(seen.Select(s => (double)s.Progress.Refused), lines.Select(l => l.Values["refused_updates"]));
        Assert.Equal(seen[^1].Progress.Refused, lines.Count(l => double.IsNaN(l.Values["gradient_norm"])));
    }

    [Theory]
    [InlineData(1, 5)] // among the refused ones
    [InlineData(2, 5)]
    [InlineData(2, 9)]
    public void A_run_that_stops_and_resumes_gives_the_bits_of_one_that_never_stopped(int accumulation, int at)
    {
        var config = Config(accumulation);
        var whole = plip.Trained(config, progress: Raise);
        Assert.Contains("\"refused\":", TinyPlip.Fingerprint(whole)[3], StringComparison.OrdinalIgnoreCase);
        var folder = plip.Trained(config, until: at, progress: Raise);
        plip.Trained(config, threads: 2, resume: true, folder: folder, progress: Raise);
        Assert.Equal(TinyPlip.Fingerprint(whole), TinyPlip.Fingerprint(folder));
    }

    /// <summary>λ₂ of 10⁸ overflows F16 with any scale: after sixteen refusals the scale is 1, and the next one ends the run.</summary>
    [Fact]
    public void A_gradient_that_overflows_at_the_least_scale_ends_the_run()
    {
        var config = Config();
        config = config with { Tasks = config.Tasks with { Iap = config.Tasks.Iap with { Weight = 1e8f } }, Training = config.Training with { Steps = 40, ValidateEvery = 40 } };
        var seen = new List<TrainingProgress>();
        var error = Assert.Throws<DivergedException>(() => plip.Trained(config, progress: (_, p) => seen.Add(p)));
        Assert.Equal(("the gradient", 16L), (error.What, error.Step));
        Assert.Equal(Enumerable.Range(0, 16).Select(i => (double?)(65536 >> i)), seen.Select(p => p.LossScale));
    }

    [Fact]
    public void Other_precisions_have_no_scale()
    {
        var config = Config();
        var folder = plip.Trained(config with { Training = config.Training with { Precision = Precision.BF16, Steps = 1 } }, progress: (trainer, p) =>
        {
            Assert.Null(trainer.Scaler);
            Assert.Null(p.LossScale);
        });
        Assert.DoesNotContain("loss_scale", File.ReadAllText(Path.Combine(folder, "metrics.jsonl")), StringComparison.Ordinal);
    }
}
