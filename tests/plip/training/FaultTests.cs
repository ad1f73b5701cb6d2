using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Model;
using Plip.Text;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>What goes wrong in a run ends in one clear error and leaves a checkpoint that can be used.</summary>
public sealed class FaultTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static PlipConfig With(Func<TrainingConfig, TrainingConfig> change)
    {
        var config = TinyPlip.Config();
        return config with { Training = change(config.Training) };
    }

    [Theory]
    [InlineData("visual.head.weight", "ivlc")]
    [InlineData("tic.up2.bias", "tic")]
    [InlineData("iap.words.bias", "iap")]
    public void A_loss_that_is_not_finite_stops_the_run_and_names_the_task(string poisoned, string task)
    {
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        using var trainer = plip.Trainer(device, With(t => t with { Steps = 6 }), folder);
        trainer.Run(until: 3);
        var saved = TinyPlip.Fingerprint(folder);
        var parameter = trainer.Store.Parameters.Single(p => p.Name == poisoned).Parameter;
        var values = parameter.Value.ToArray();
        values[0] = float.NaN;
        parameter.Value.CopyFrom<float>(values);
        var error = Assert.Throws<DivergedException>(() => trainer.Run());
        Assert.Contains("task " + task, error.Message);
        Assert.Contains("step 3", error.Message);
        Assert.Contains("step-00000003", error.Message);
        Assert.Equal(3, error.Step);
        Assert.Equal(saved[..4], TinyPlip.Fingerprint(folder)[..4]);
        plip.Trained(With(t => t with { Steps = 6 }), resume: true, folder: folder);
    }

    [Fact]
    public void A_learning_rate_beyond_reason_never_leaves_a_checkpoint_that_is_not_finite()
    {
        var folder = plip.NewFolder();
        using var device = new CpuDevice(1);
        using (var trainer = plip.Trainer(device, With(t => t with { Steps = 6, LearningRate = 1e20f, ValidateEvery = 1, Warmup = 0, WeightDecay = 0 }), folder))
            Assert.Throws<DivergedException>(() => trainer.Run());
        foreach (var kind in new[] { "last", "best" })
        {
            var directory = Path.Combine(folder, "checkpoints", kind);
            if (!Directory.Exists(directory)) continue;
            using var file = Checkpoint.Open(directory);
            foreach (var (name, tensor) in file.Tensors.Under("model."))
                if (tensor.DType.IsFloat()) Assert.All(tensor.ToF32(), v => Assert.True(float.IsFinite(v), name));
        }
    }

    // The message of a divergence tells to change these and resume, so that must be possible.
    [Fact]
    public void A_run_resumes_with_another_learning_rate_warmup_or_clipping()
    {
        var folder = plip.Trained(TinyPlip.Config(), until: 2);
        using var device = new CpuDevice(1);
        using var trainer = plip.Trainer(device, With(t => t with { LearningRate = 1e-5f, ClipNorm = 1, Warmup = 0.5, Workers = 1 }), folder, resume: true);
        Assert.Equal(2, trainer.Step);
        Assert.True(trainer.Run());
    }

    [Fact]
    public void A_run_does_not_resume_with_another_model_other_data_order_or_other_words()
    {
        var folder = plip.Trained(TinyPlip.Config(), until: 2);
        using var device = new CpuDevice(1);
        var config = TinyPlip.Config();
        void Refused<T>(PlipConfig other, string says, Vocabulary? words = null) where T : Exception
        {
            var error = Assert.Throws<T>(() => new Trainer(device, other, words ?? plip.Words, new TrainerOptions { Train = plip.Train, Folder = folder, Resume = true }));
            Assert.Contains(folder, error.Message);
            Assert.Contains(says, error.Message);
            Assert.DoesNotContain('\n', error.Message);
        }
        Refused<ConfigException>(config with { Text = config.Text with { Layers = 1 } }, "\"layers\": 2");
        Refused<ConfigException>(config with { Tasks = config.Tasks with { Iap = new IapConfig { Enabled = false } } }, "enabled");
        Refused<ConfigException>(config with { Training = config.Training with { Seed = 2 } }, "settings");
        Refused<ConfigException>(config with { Training = config.Training with { BatchSize = 4 } }, "settings");
        var changed = plip.Words.Lines.ToArray();
        (changed[^1], changed[^2]) = (changed[^2], changed[^1]);
        Refused<ConfigException>(config, "vocabulary", Vocabulary.FromLines(changed, "changed"));
        Directory.Delete(Path.Combine(folder, "checkpoints", "last"), recursive: true);
        Directory.Move(Path.Combine(folder, "checkpoints", "best"), Path.Combine(folder, "checkpoints", "last"));
        Refused<FileFormatException>(config, "checkpoints/last");
    }

    [Fact]
    public void A_damaged_newest_checkpoint_is_passed_over_with_a_warning()
    {
        var config = TinyPlip.Config();
        var folder = plip.Trained(config);
        var whole = TinyPlip.Fingerprint(folder);
        var newest = Directory.GetFiles(Path.Combine(folder, "checkpoints", "last")).Max(StringComparer.Ordinal)!;
        using (var file = File.OpenWrite(newest)) file.SetLength(file.Length / 2);
        var warnings = new List<string>();
        using var device = new CpuDevice(1);
        using (var trainer = new Trainer(device, config, plip.Words, new TrainerOptions { Train = plip.Train, Validation = plip.Validation, Folder = folder, Resume = true, Warning = warnings.Add }))
        {
            Assert.Equal(2, trainer.Step);
            Assert.Contains(newest, Assert.Single(warnings));
            trainer.Run();
        }
        Assert.Equal(whole, TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void A_broken_picture_ends_the_run_with_its_name_and_what_was_saved_stays()
    {
        var train = plip.Train;
        var bad = Path.Combine(plip.NewFolder(), "x.jpg");
        Directory.CreateDirectory(Path.GetDirectoryName(bad)!);
        File.WriteAllText(bad, "no picture");
        var images = train.Images.ToArray();
        images[4] = images[4] with { Folder = Path.GetDirectoryName(bad)!, RelativePath = "x.jpg" };
        var data = new PersonDataset("bad", train.Root, train.AnnotationFile, train.Layout, images);
        using var device = new CpuDevice(1);
        using var trainer = new Trainer(device, TinyPlip.Config(), plip.Words, new TrainerOptions { Train = data, Folder = plip.NewFolder() });
        var error = Assert.Throws<DataException>(() => trainer.Run());
        Assert.Contains(bad, error.Message);
        Assert.Contains("entry 4", error.Message);
    }

    [Fact]
    public void A_batch_larger_than_the_data_is_refused()
    {
        using var device = new CpuDevice(1);
        using var trainer = plip.Trainer(device, With(t => t with { BatchSize = 100 }), plip.NewFolder());
        Assert.Contains("fewer than one batch of 100", Assert.Throws<DataException>(() => trainer.Run()).Message);
    }
}
