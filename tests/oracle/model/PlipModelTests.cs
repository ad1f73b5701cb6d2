using Plip.Configs;
using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Training;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>
/// One training step as the trainer makes it, against LibTorch: each task's loss, L_ivlc + λ1·L_tic + λ2·L_iap, the
/// gradient of every parameter, and both sets of running statistics.
/// </summary>
public class PlipModelTests
{
    [Theory]
    [InlineData(IvlcLoss.Cmpm, 1f, false, 0f, TicDistance.Euclidean, TicReduction.PerImageNorm, false)]
    [InlineData(IvlcLoss.Cmpm, 1f, false, 0.1f, TicDistance.Euclidean, TicReduction.PerImageNorm, true)]
    [InlineData(IvlcLoss.Cmpm, 20f, true, 0.1f, TicDistance.Euclidean, TicReduction.Mean, false)]
    [InlineData(IvlcLoss.Sdm, 20f, false, 0f, TicDistance.Manhattan, TicReduction.PerImageNorm, false)]
    [InlineData(IvlcLoss.InfoNce, 10f, false, 0.1f, TicDistance.Euclidean, TicReduction.Sum, false)]
    [InlineData(IvlcLoss.Alignment, 1f, false, 0f, TicDistance.Manhattan, TicReduction.Mean, true)]
    public void A_step_is_LibTorchs(IvlcLoss loss, float scale, bool normalize, float dropout, TicDistance distance, TicReduction reduction, bool releasedHeads)
    {
        var config = Tiny.Config(dropout, new TasksConfig
        {
            Ivlc = new IvlcConfig { Loss = loss, Scale = scale, Normalize = normalize },
            Tic = new TicConfig { Channels = 32, Distance = distance, Reduction = reduction },
        });
        if (releasedHeads)
        {
            ((ModifiedResNetConfig)config.Visual).Head = ResNetHead.AttentionPool;
            config.Text.Pooling = TextPooling.Pooler;
        }
        // The paper freezes the lower part of the text encoder.
        config.Text.FrozenLayers = 1;
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        TorchState.Shake(store, 0.1f);
        var state = new TorchState(store);
        const int Step = 3;
        var expected = Losses(state, config, new TorchDropout(config.Training.Seed, Step, dropout));

        using var batch = Filled(Step);
        var ours = new StepRunner(model, device).Run(batch, scale: 0.5f);
        Assert.Equal(["ivlc", "tic", "iap"], ours.Tasks.Keys);
        Near(expected.Ivlc, ours.Tasks["ivlc"], "ivlc");
        Near(expected.Tic, ours.Tasks["tic"], "tic");
        Near(expected.Iap, ours.Tasks["iap"], "iap");
        var total = expected.Ivlc + 0.02 * expected.Tic + 0.1 * expected.Iap;
        Near(total, ours.Total, "total");

        (0.5 * total).backward();
        state.SameGradients(5e-4);
        state.SameStatistics(1e-5);
        Assert.Contains(store.Parameters, p => p.Parameter.Frozen);
    }

    [Fact]
    public void Embeddings_in_evaluation_are_LibTorchs()
    {
        var config = Tiny.Config(dropout: 0.1f); // which evaluation must not apply
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device, training: false);
        TorchState.Shake(store, 0.1f);
        model.Eval();
        var state = new TorchState(store);
        var visual = new TorchResNet(state, "visual.", training: false);
        var (pixels, ids) = (Tiny.Pixels(), Tiny.Captions());
        var stages = visual.Stages(Torch.Nchw(Torch.Of(pixels, Tiny.Pairs, Tiny.Height, Tiny.Width, 3)), ((ModifiedResNetConfig)config.Visual).Layers);
        var images = functional.normalize(visual.Embed(stages[3], (ModifiedResNetConfig)config.Visual), dim: 1);
        var texts = functional.normalize(new TorchTasks(state, config).Caption(ids, Tiny.Offsets, new TorchDropout(0, 0, 0)), dim: 1);

        using var step = device.BeginStep(recordGradients: false);
        Torch.Close(images, model.EmbedImages(Tensor.From(device, pixels, new Shape(Tiny.Pairs, Tiny.Height, Tiny.Width, 3))), 1e-5, "pictures");
        Torch.Close(texts, model.EmbedText(PackedText.From(device, ids, Tiny.Offsets)), 1e-5, "texts");
    }

    private static (torch.Tensor Ivlc, torch.Tensor Tic, torch.Tensor Iap) Losses(TorchState state, PlipConfig config, TorchDropout dropout)
    {
        var tasks = new TorchTasks(state, config);
        var images = Torch.Of(Tiny.Pixels(), Tiny.Pairs, Tiny.Height, Tiny.Width, 3);
        var identities = Torch.Ids(Tiny.Identities);
        var (v, t) = (tasks.Image(images), tasks.Caption(Tiny.Captions(), Tiny.Offsets, dropout));
        var (ivlc, scale) = (config.Tasks.Ivlc, (double)config.Tasks.Ivlc.Scale);
        var contrast = ivlc.Loss switch
        {
            IvlcLoss.Cmpm => TorchLosses.Cmpm(v, t, identities, ivlc.Normalize, scale, labelsByL2: false),
            IvlcLoss.Sdm => TorchLosses.Cmpm(v, t, identities, cosines: true, scale, labelsByL2: false),
            IvlcLoss.InfoNce => TorchLosses.InfoNce(v, t, scale),
            _ => TorchLosses.Alignment(v, t, identities),
        };
        var painted = tasks.Colorize(TorchLosses.ToGray(images, config.Image.Mean, config.Image.Std), t);
        Func<torch.Tensor, torch.Tensor, Reduction, torch.Tensor> by = config.Tasks.Tic.Distance == TicDistance.Euclidean ? functional.mse_loss : functional.l1_loss;
        var colour = (config.Tasks.Tic.Distance, config.Tasks.Tic.Reduction) switch
        {
            (TicDistance.Euclidean, TicReduction.PerImageNorm) => TorchLosses.Euclidean(painted, images),
            (_, TicReduction.Mean) => by(painted, images, Reduction.Mean),
            _ => by(painted, images, Reduction.Sum) / Tiny.Pairs,
        };
        var logits = tasks.Predict(v, Tiny.Masked(), Tiny.Offsets, Tiny.Places, dropout);
        return (contrast, colour, functional.cross_entropy(logits, Torch.Ids(Tiny.Answers())));
    }

    private static Batch Filled(int step)
    {
        var batch = new Batch(Tiny.Pairs, Tiny.Height * Tiny.Width * 3, maxTokens: 16, _ => { }) { Step = step };
        Tiny.Pixels().CopyTo(batch.Images, 0);
        Tiny.Identities.CopyTo(batch.Identities, 0);
        Tiny.Captions().CopyTo(batch.TokenIds, 0);
        Tiny.Offsets.CopyTo(batch.CuSeqlens, 0);
        Tiny.Masked().CopyTo(batch.MaskedTokenIds, 0);
        Tiny.Offsets.CopyTo(batch.MaskedCuSeqlens, 0);
        Array.Fill(batch.MaskedLabels, -100);
        foreach (var (place, answer) in Tiny.Places.Zip(Tiny.Answers())) batch.MaskedLabels[place] = answer;
        return batch;
    }

    private static void Near(torch.Tensor expected, double actual, string what)
    {
        var e = expected.item<double>();
        Assert.True(Math.Abs(e - actual) <= 2e-5 * Math.Abs(e), $"{what}: {actual:R}, LibTorch has {e:R}");
    }
}
