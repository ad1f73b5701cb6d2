using Plip.Configs;
using Plip.Tasks;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tasks;

/// <summary>The passes that tasks share are made once: counted by the ops on the tape.</summary>
public sealed class TaskBatchTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static PlipConfig Config(bool ivlc = true, bool tic = true, bool iap = true) => TinyPlip.Config() with
    {
        Tasks = new TasksConfig { Ivlc = new IvlcConfig { Enabled = ivlc }, Tic = new TicConfig { Channels = 16, Enabled = tic }, Iap = new IapConfig { Enabled = iap } },
    };

    [Fact]
    public void Captions_and_pictures_are_encoded_once_for_all_tasks()
    {
        using var rig = new TaskRig(plip, Config());
        int caption, image, ticAlone, iapAlone;
        using (var step = rig.Device.BeginStep())
        {
            var batch = rig.OnDevice();
            _ = batch.CaptionEmbedding;
            caption = step.Tape.Count;
            _ = batch.ImageEmbedding;
            image = step.Tape.Count - caption;
            rig.Model.Task<TicTask>()!.Loss(batch);
            ticAlone = step.Tape.Count - caption - image;
        }
        using (var step = rig.Device.BeginStep())
        {
            var batch = rig.OnDevice();
            _ = batch.ImageEmbedding;
            rig.Model.Task<IapTask>()!.Loss(batch);
            iapAlone = step.Tape.Count - image;
        }
        using (var step = rig.Device.BeginStep())
        {
            var batch = rig.OnDevice();
            rig.Model.Task<IvlcTask>()!.Loss(batch);
            Assert.Equal(caption + image + 1, step.Tape.Count);
            rig.Model.Task<TicTask>()!.Loss(batch);
            Assert.Equal(caption + image + 1 + ticAlone, step.Tape.Count);
            rig.Model.Task<IapTask>()!.Loss(batch);
            Assert.Equal(caption + image + 1 + ticAlone + iapAlone, step.Tape.Count);
            Assert.Same(batch.CaptionEmbedding, batch.CaptionEmbedding);
        }
        Assert.True(caption > 20 && image > 20 && ticAlone > 20 && iapAlone > 20);
    }

    [Theory]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, false)]
    [InlineData(true, false, true)]
    [InlineData(false, true, true)]
    public void Tasks_can_be_switched_on_and_off(bool ivlc, bool tic, bool iap)
    {
        using var rig = new TaskRig(plip, Config(ivlc, tic, iap));
        string[] expected = [.. new[] { ("ivlc", ivlc), ("tic", tic), ("iap", iap) }.Where(t => t.Item2).Select(t => t.Item1)];
        Assert.Equal(expected, rig.Model.Tasks.Select(t => t.Name));
        Assert.Equal(tic, rig.Store.Parameters.Any(p => p.Name.StartsWith("tic.", StringComparison.Ordinal)));
        Assert.Equal(iap, rig.Store.Parameters.Any(p => p.Name.StartsWith("iap.", StringComparison.Ordinal)));
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        foreach (var task in rig.Model.Tasks) Assert.True(float.IsFinite(task.Loss(batch)!.Item()));
    }
}
