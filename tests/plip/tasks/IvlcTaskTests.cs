using Plip.Configs;
using Plip.Engine;
using Plip.Tasks;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tasks;

public sealed class IvlcTaskTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    // Each switch of the configuration reaches its op: the task's loss is the op's with these very arguments.
    [Theory]
    [InlineData(IvlcLoss.Cmpm, false, 1f, MatchNormalization.Sum)]
    [InlineData(IvlcLoss.Cmpm, true, 3f, MatchNormalization.Sum)]
    [InlineData(IvlcLoss.Cmpm, false, 1f, MatchNormalization.L2Norm)]
    [InlineData(IvlcLoss.Sdm, false, 50f, MatchNormalization.Sum)]
    [InlineData(IvlcLoss.Alignment, false, 1f, MatchNormalization.Sum)]
    [InlineData(IvlcLoss.InfoNce, false, 14f, MatchNormalization.Sum)]
    public void The_configured_loss_is_taken(IvlcLoss loss, bool normalize, float scale, MatchNormalization labels)
    {
        var ivlc = new IvlcConfig { Loss = loss, Normalize = normalize, Scale = scale, Labels = labels };
        using var rig = new TaskRig(plip, TinyPlip.Config() with { Tasks = new TasksConfig { Ivlc = ivlc, Tic = new TicConfig { Channels = 16 } } });
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        var task = rig.Model.Task<IvlcTask>()!;
        var (v, t, ids) = (batch.ImageEmbedding.Keep(), batch.CaptionEmbedding.Keep(), batch.Identities);
        var expected = loss switch
        {
            IvlcLoss.Cmpm => Ops.Cmpm(v, t, ids, normalize, scale, labels),
            IvlcLoss.Sdm => Ops.Sdm(v, t, ids, scale),
            IvlcLoss.Alignment => Ops.AlignmentLoss(v, t, ids),
            _ => Ops.InfoNce(v, t, scale),
        };
        var actual = task.Loss(batch);
        Assert.Equal(expected.Item(), actual.Item());
        Assert.NotEqual(0f, actual.Item());
        actual.Backward();
        var touched = rig.Touched();
        Assert.Contains("visual.conv1.weight", touched);
        Assert.Contains("textual.embeddings.word_embeddings.weight", touched);
        Assert.DoesNotContain(touched, n => n.StartsWith("tic.", StringComparison.Ordinal) || n.StartsWith("iap.", StringComparison.Ordinal));
    }

    [Fact]
    public void No_two_losses_are_the_same()
    {
        using var rig = new TaskRig(plip, TinyPlip.Config());
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        IvlcConfig[] variants =
        [
            new(), new() { Normalize = true }, new() { Scale = 2 }, new() { Labels = MatchNormalization.L2Norm },
            new() { Loss = IvlcLoss.Sdm, Scale = 50 }, new() { Loss = IvlcLoss.Alignment }, new() { Loss = IvlcLoss.InfoNce },
        ];
        // The world's batches repeat an identity, so that the labels' normalisation shows.
        Assert.True(rig.Batch.Identities.Distinct().Count() < rig.Batch.Size);
        var losses = variants.Select(c => new IvlcTask(c).Loss(batch).Item()).ToArray();
        Assert.Equal(losses.Length, losses.Distinct().Count());
        Assert.All(losses, l => Assert.True(float.IsFinite(l)));
    }
}
