using Plip.Configs;
using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>The shortest proof that all parts learn together: eight pairs learnt by heart.</summary>
public sealed class SmokeTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    [Fact]
    public void Eight_pairs_are_learnt_by_heart()
    {
        var train = plip.Train;
        var pairs = train.Images.GroupBy(i => i.Identity).Take(8).Select(g => g.First()).Select(i => i with { Captions = [i.Captions[0]], PromptCaptions = [] }).ToArray();
        Assert.Equal(8, pairs.Length);
        var eight = new PersonDataset("eight", train.Root, train.AnnotationFile, train.Layout, pairs);
        var config = TinyPlip.Config();
        config = config with
        {
            Visual = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 8, ZeroInitResidual = false },
            Text = config.Text with { Width = 32, Dropout = 0, Layers = 1 },
            Tasks = new TasksConfig
            {
                Ivlc = new IvlcConfig { Normalize = true, Scale = 10 },
                Tic = new TicConfig { Channels = 32, Reduction = TicReduction.Mean, Weight = 1 },
                Iap = new IapConfig { Weight = 1, Curriculum = "constant(0.5)" },
            },
            Training = new TrainingConfig
            {
                Steps = 200,
                BatchSize = 8,
                Optimizer = OptimizerKind.AdamW,
                LearningRate = 3e-3f,
                TextLearningRateScale = 1,
                WeightDecay = 0,
                Warmup = 0.05,
                Schedule = ScheduleKind.Cosine,
                Flip = 0,
                ValidateEvery = 200,
            },
        };
        var folder = plip.NewFolder();
        using var device = new CpuDevice();
        var losses = new List<IReadOnlyDictionary<string, double>>();
        using (var trainer = new Trainer(device, config, plip.Words, new TrainerOptions { Train = eight, Folder = folder, Progress = p => losses.Add(p.TaskLosses) }))
            Assert.True(trainer.Run());
        var (first, last) = (losses[0], losses[^1]);
        Assert.True(last["ivlc"] < 0.02, $"contrast {first["ivlc"]:0.000} -> {last["ivlc"]:0.000}; its floor is 0");
        Assert.True(last["tic"] < first["tic"] / 2, $"colorization {first["tic"]:0.000} -> {last["tic"]:0.000}");
        Assert.True(last["iap"] < first["iap"] / 10, $"attribute prediction {first["iap"]:0.000} -> {last["iap"]:0.000}");

        // What counts is the model as it is saved and loaded, with running statistics.
        using var model = PlipCheckpoint.Load(device, Path.Combine(folder, "checkpoints", "best"));
        Assert.Equal(200, model.Step);
        var found = RetrievalEvaluation.Run(model, eight, "eight");
        Assert.Equal(1.0, found.TextToImage.Outcome.Figures.R1);
        Assert.Equal(1.0, found.ImageToText.R1);
        var words = new MaskedWords(model).Evaluate(eight, eight);
        Assert.True(words.Words >= 16 && words.Accuracy > 0.9 && words.Accuracy > words.Baseline, $"{words.Accuracy:0.00} of {words.Words} masked words, baseline {words.Baseline:0.00}");
        var examples = new MaskedWords(model).Examples(eight.Images);
        Assert.Equal(8, examples.Count);
    }
}
