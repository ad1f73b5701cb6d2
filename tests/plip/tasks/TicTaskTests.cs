using Plip.Configs;
using Plip.Engine;
using Plip.Tasks;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tasks;

public sealed class TicTaskTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private static PlipConfig Config(TicDistance distance = TicDistance.Euclidean, TicReduction reduction = TicReduction.PerImageNorm) =>
        TinyPlip.Config() with { Tasks = new TasksConfig { Tic = new TicConfig { Channels = 16, Distance = distance, Reduction = reduction } } };

    [Theory]
    [InlineData(TicDistance.Euclidean, TicReduction.PerImageNorm)]
    [InlineData(TicDistance.Euclidean, TicReduction.Mean)]
    [InlineData(TicDistance.Euclidean, TicReduction.Sum)]
    [InlineData(TicDistance.Manhattan, TicReduction.PerImageNorm)]
    [InlineData(TicDistance.Manhattan, TicReduction.Mean)]
    public void Distance_and_reduction_are_those_configured(TicDistance distance, TicReduction reduction)
    {
        using var rig = new TaskRig(plip, Config(distance, reduction));
        var task = rig.Model.Task<TicTask>()!;
        using var step = rig.Device.BeginStep();
        var batch = rig.OnDevice();
        var gray = Ops.ToGray(batch.Images, rig.Model.Config.Image.Mean, rig.Model.Config.Image.Std);
        var painted = task.Colorize(rig.Model.Visual, gray, batch.CaptionEmbedding).ToArray();
        var truth = rig.Batch.Images;
        var (n, pixels) = (rig.Batch.Size, truth.Length / rig.Batch.Size);
        double sum = 0, perImage = 0;
        for (var i = 0; i < n; i++)
        {
            double own = 0;
            for (var k = i * pixels; k < (i + 1) * pixels; k++)
            {
                var d = (double)painted[k] - truth[k];
                own += distance == TicDistance.Euclidean ? d * d : Math.Abs(d);
            }
            sum += own;
            perImage += distance == TicDistance.Euclidean ? Math.Sqrt(own) : own;
        }
        var expected = reduction switch { TicReduction.PerImageNorm => perImage / n, TicReduction.Mean => sum / truth.Length, _ => sum / n };
        var actual = task.Loss(batch).Item();
        Assert.Equal(1, actual / expected, 1e-4); // F32 sums over 37,000 terms
    }

    [Fact]
    public void It_sees_gray_pictures_and_words_only()
    {
        using var rig = new TaskRig(plip, Config());
        var task = rig.Model.Task<TicTask>()!;
        rig.Model.Eval();
        using var step = rig.Device.BeginStep(recordGradients: false);
        var batch = rig.OnDevice();
        var image = rig.Model.Config.Image;
        var gray = Ops.ToGray(batch.Images, image.Mean, image.Std);
        var of = task.Colorize(rig.Model.Visual, gray, batch.CaptionEmbedding).ToArray();
        Assert.Equal(batch.Images.Shape.Count, of.Length);
        // The gray of the gray is itself, so colours that share their luma cannot be told apart.
        Check.Close(Array.ConvertAll(gray.ToArray(), v => (double)v), Ops.ToGray(gray, image.Mean, image.Std).ToArray(), 1e-5, "gray of gray");
        // Other words paint otherwise.
        var turned = batch.CaptionEmbedding.ToArray();
        Array.Reverse(turned);
        var other = task.Colorize(rig.Model.Visual, gray, Tensor.From(rig.Device, turned, batch.CaptionEmbedding.Shape)).ToArray();
        Assert.NotEqual(of, other);
    }

    [Fact]
    public void Its_gradient_reaches_decoder_encoder_and_words_but_not_the_picture_head()
    {
        using var rig = new TaskRig(plip, Config());
        using var step = rig.Device.BeginStep();
        rig.Model.Task<TicTask>()!.Loss(rig.OnDevice()).Backward();
        var touched = rig.Touched();
        foreach (var name in rig.Store.Parameters.Select(p => p.Name).Where(n => n.StartsWith("tic.", StringComparison.Ordinal)))
            Assert.Contains(name, touched);
        Assert.Contains("visual.conv1.weight", touched);
        Assert.Contains("textual.embeddings.word_embeddings.weight", touched);
        Assert.DoesNotContain("visual.head.weight", touched);
        Assert.DoesNotContain(touched, n => n.StartsWith("iap.", StringComparison.Ordinal));
    }

    private static Dictionary<string, string> Buffers(TaskRig rig) => rig.Model.NamedBuffers().ToDictionary(b => b.Name, b =>
        b.Buffer.DType == DType.I64 ? b.Buffer.Value.ToArray<long>()[0].ToString() : string.Join(' ', b.Buffer.Value.ToArray().Select(BitConverter.SingleToInt32Bits)));

    [Fact]
    public void Its_pass_leaves_the_colour_statistics_alone()
    {
        var config = Config();
        using var rig = new TaskRig(plip, config with { Tasks = config.Tasks with { Ivlc = new IvlcConfig { Enabled = false }, Iap = new IapConfig { Enabled = false } } });
        var before = Buffers(rig);
        using (var step = rig.Device.BeginStep()) rig.Model.Task<TicTask>()!.Loss(rig.OnDevice()).Backward();
        foreach (var (name, value) in Buffers(rig))
            Assert.Equal(name.EndsWith("_1", StringComparison.Ordinal), value != before[name]);
    }

    /// <summary>With other tasks beside it both kinds of pictures are one batch: losses and running statistics are those of two passes, bit for bit.</summary>
    [Fact]
    public void Beside_other_tasks_nothing_is_mixed()
    {
        using var rig = new TaskRig(plip, Config());
        var before = Buffers(rig);
        float loss;
        using (var step = rig.Device.BeginStep()) loss = rig.Model.Task<TicTask>()!.Loss(rig.OnDevice()).Item();
        using var other = new TaskRig(plip, Config());
        using (var step = other.Device.BeginStep())
        {
            var batch = other.OnDevice();
            _ = other.Model.Visual.Stages(batch.Images);
            var gray = Ops.ToGray(batch.Images, other.Model.Config.Image.Mean, other.Model.Config.Image.Std);
            var painted = other.Model.Task<TicTask>()!.Colorize(other.Model.Visual, gray, batch.CaptionEmbedding);
            Assert.Equal(Ops.EuclideanLoss(painted, batch.Images, EuclideanReduction.PerImageNorm).Item(), loss);
        }
        Assert.Equal(Buffers(other), Buffers(rig));
        Assert.All(Buffers(rig), b => Assert.NotEqual(before[b.Key], b.Value));
    }
}
