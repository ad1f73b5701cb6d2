using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Evaluation;

/// <summary>The evaluations that run a model, on one trained for a few steps: what goes in and comes out, not how good it is.</summary>
public sealed class FidelityRunTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private PlipCheckpoint Load(CpuDevice device, Plip.Configs.PlipConfig? config = null) =>
        PlipCheckpoint.Load(device, Path.Combine(plip.Trained(config ?? TinyPlip.Config()), "checkpoints", "best"));

    [Fact]
    public void At_most_so_many_pictures_take_part_and_each_is_swapped_through_the_other_colours()
    {
        using var device = new CpuDevice(1);
        using var model = Load(device);
        var test = plip.Test; // six pictures, with masks
        var all = FidelityRun.Evaluate(new Colorizer(model), test, limit: 100);
        Assert.InRange(all.Pictures, 1, 6);
        Assert.InRange(all.Result.Swaps, 6 * all.Pictures, 7 * all.Pictures);
        foreach (var limit in new[] { 1, 2, 3, 4, 5 }) Assert.InRange(FidelityRun.Evaluate(new Colorizer(model), test, limit).Pictures, 0, limit);
        Assert.Equal(0, FidelityRun.Evaluate(new Colorizer(model), plip.Train).Pictures); // no masks, no claim
    }

    [Fact]
    public void A_colorizer_sees_gray_values_only()
    {
        using var device = new CpuDevice(1);
        using var model = Load(device);
        var colorizer = new Colorizer(model);
        var picture = Picture.Load(plip.Test.Images[0].FullPath);
        var gray = (byte[])picture.Rgb.Clone();
        for (var i = 0; i < gray.Length; i += 3)
            gray[i] = gray[i + 1] = gray[i + 2] = (byte)Math.Round(0.299 * picture.Rgb[i] + 0.587 * picture.Rgb[i + 1] + 0.114 * picture.Rgb[i + 2]);
        var painted = colorizer.Colorize(picture, ["a man in a red coat", "a man in a blue coat"]);
        Assert.Equal(2, painted.Length);
        Assert.All(painted, p => Assert.Equal(64 * 32 * 3, p.Length));
        Assert.All(painted[0], v => Assert.InRange(v, 0, 1));
        Assert.NotEqual(painted[0], painted[1]);
        var (_, asGray) = colorizer.Prepare(picture);
        for (var i = 0; i < asGray.Length; i += 3) Assert.Equal(asGray[i], asGray[i + 2], 1e-5);
        // The picture's own gray, rounded to bytes, paints nearly the same: half a level of 255 in, a little more out.
        Check.Close(Array.ConvertAll(painted[0], v => (double)v), colorizer.Colorize(new Picture(picture.Width, picture.Height, gray), ["a man in a red coat"])[0], 0.03, "from gray");
    }

    [Fact]
    public void A_model_without_a_task_says_so()
    {
        using var device = new CpuDevice(1);
        var config = TinyPlip.Config();
        config = config with { Tasks = config.Tasks with { Tic = config.Tasks.Tic with { Enabled = false }, Iap = config.Tasks.Iap with { Enabled = false } } };
        using var model = Load(device, config);
        Assert.Contains("colorization", Assert.Throws<ArgumentException>(() => new Colorizer(model)).Message);
        Assert.Contains("attribute prediction", Assert.Throws<ArgumentException>(() => new MaskedWords(model)).Message);
    }

    [Fact]
    public void Masked_words_are_counted_alike_however_they_are_batched()
    {
        using var device = new CpuDevice(1);
        using var model = Load(device);
        var words = new MaskedWords(model);
        var (one, other) = (words.Evaluate(plip.Train, plip.Test, batch: 64), words.Evaluate(plip.Train, plip.Test, batch: 4));
        Assert.True(one.Words > 0);
        Assert.Equal((one.Words, one.Baseline, one.BaselineWord), (other.Words, other.Baseline, other.BaselineWord));
        Assert.InRange(Math.Abs(one.Accuracy - other.Accuracy), 0, 1.0 / one.Words); // blocking moves last bits, a tie may turn
        var example = words.Examples([plip.Test.Images[0]]).Single();
        Assert.Equal(model.Captions.Encode(plip.Test.Images[0].Captions[0], 40).Length - 2, example.Words.Count);
    }

    [Fact]
    public void An_evaluation_has_both_directions_and_the_baseline_over_the_same_queries()
    {
        using var device = new CpuDevice(1);
        using var model = Load(device);
        var result = RetrievalEvaluation.Run(model, plip.Test, "test", [0, 3]);
        var (forth, back, baseline) = (result.TextToImage.Outcome.Figures, result.ImageToText, result.Baseline);
        Assert.Equal((12, 6), (forth.Queries, forth.Gallery));
        Assert.Equal((6, 12), (back.Queries, back.Gallery));
        Assert.Equal((12, 6), (baseline.Queries, baseline.Gallery));
        Assert.Equal([0, 3], result.TextToImage.Outcome.Samples.Select(s => s.Query));
        Assert.Contains("test split", forth.Protocol);
        Assert.InRange(forth.R5, forth.R1, forth.R10);
    }

    [Fact]
    public void Weights_that_are_not_finite_are_reported_not_ranked()
    {
        using var device = new CpuDevice(1);
        using var model = Load(device);
        var bias = model.Model.NamedParameters().Single(p => p.Name == "visual.head.bias").Parameter.Value;
        var values = bias.ToArray();
        values[0] = float.NaN;
        bias.CopyFrom<float>(values);
        Assert.Contains("diverged", Assert.Throws<NotFiniteNumberException>(() => RetrievalEvaluation.Run(model, plip.Test, "test")).Message);
    }
}
