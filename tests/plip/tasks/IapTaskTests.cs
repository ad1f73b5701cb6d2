using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Tasks;
using Plip.Tests.Model;
using Plip.Text;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Tasks;

public sealed class IapTaskTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static PlipConfig Config(int layers = 1) =>
        TinyPlip.Config() with { Tasks = new TasksConfig { Tic = new TicConfig { Channels = 16 }, Iap = new IapConfig { Layers = layers } } };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void It_predicts_the_masked_words_and_only_those(int layers)
    {
        using var rig = new TaskRig(plip, Config(layers));
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        var task = rig.Model.Task<IapTask>()!;
        var labels = rig.Batch.MaskedLabels.AsSpan(0, rig.Batch.MaskedTokenCount).ToArray().Where(l => l >= 0).ToArray();
        Assert.NotEmpty(labels);
        Assert.Equal(labels, batch.Masked!.Labels!.ToArray<int>());
        var logits = task.Predict(rig.Model, batch.ImageEmbedding, batch.Masked, batch.Dropout);
        Assert.Equal(new Shape(labels.Length, plip.Words.Size), logits.Shape);
        task.Loss(batch)!.Backward();
        var touched = rig.Touched();
        foreach (var name in new[] { "iap.words.weight", "iap.layer.0.attention.self.query.weight", $"iap.layer.{layers - 1}.output.dense.weight", "visual.head.weight", "visual.conv1.weight", "textual.encoder.layer.1.output.dense.weight" })
            Assert.Contains(name, touched);
        Assert.DoesNotContain(touched, n => n.StartsWith("tic.", StringComparison.Ordinal));
    }

    [Fact]
    public void Its_loss_is_the_mean_negative_log_likelihood()
    {
        var config = Config();
        using var rig = new TaskRig(plip, config with { Text = config.Text with { Dropout = 0 } });
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        var task = rig.Model.Task<IapTask>()!;
        var logits = task.Predict(rig.Model, batch.ImageEmbedding, batch.Masked!, batch.Dropout).ToArray();
        var labels = batch.Masked!.Labels!.ToArray<int>();
        var v = plip.Words.Size;
        var expected = labels.Select((label, i) =>
        {
            var row = logits.AsSpan(i * v, v).ToArray();
            return Math.Log(row.Sum(x => Math.Exp((double)x - row.Max()))) + row.Max() - row[label];
        }).Average();
        Assert.Equal(expected, task.Loss(batch)!.Item(), 1e-4);
    }

    [Fact]
    public void Captions_without_attribute_phrases_give_no_loss()
    {
        using var rig = new TaskRig(plip, Config());
        using var step = rig.Device.BeginStep();
        var none = new int[rig.Batch.MaskedTokenCount];
        Array.Fill(none, PhraseMasking.Ignore);
        var batch = rig.OnDevice(none);
        Assert.Null(batch.Masked!.Places);
        Assert.Null(rig.Model.Task<IapTask>()!.Loss(batch));
        Assert.Equal(0, step.Tape.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_run_over_such_captions_trains_the_other_tasks(bool others)
    {
        const string plain = "seen there walking slowly along";
        Assert.Empty(AttributePhrases.Find(plain));
        var train = plip.Train;
        var bare = new PersonDataset("bare", train.Root, train.AnnotationFile, train.Layout, [.. train.Images.Select(i => i with { Captions = [plain] })]);
        var config = Config();
        config = config with
        {
            Tasks = config.Tasks with { Ivlc = config.Tasks.Ivlc with { Enabled = others }, Tic = config.Tasks.Tic with { Enabled = others } },
            Training = config.Training with { Steps = 2, WeightDecay = 0 },
        };
        using var device = new CpuDevice(1);
        var seen = new List<TrainingProgress>();
        using var trainer = new Trainer(device, config, plip.Words, new TrainerOptions { Train = bare, Folder = plip.NewFolder(), Progress = seen.Add });
        var before = TinyPlip.Bits(trainer.Store.StateDict(), "iap.");
        Assert.True(trainer.Run());
        Assert.Equal(2, seen.Count);
        Assert.All(seen, p => Assert.Equal(others ? ["ivlc", "tic"] : [], p.TaskLosses.Keys));
        Assert.Equal(before, TinyPlip.Bits(trainer.Store.StateDict(), "iap.")); // no gradient and no decay: not a bit moves
    }
}
