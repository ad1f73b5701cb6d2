using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Model;
using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

/// <summary>The paper's own model takes a step. Slow: 18 s on two cores and 2.6 GB when it was written.</summary>
public sealed class PaperModelTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    [Fact]
    [Trait("speed", "slow")]
    public void Plip_rn50_takes_a_training_step()
    {
        var config = ConfigFile.Load("plip-rn50");
        config = config with { Text = config.Text with { VocabularySize = 30522 } };
        using var device = new CpuDevice();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        using var optimizer = new Sgd(store); // one moment where Adan has four: memory is what limits this test
        var settings = new BatchSettings { BatchSize = 2, MaxTokens = 64, Image = config.Image.ToSettings(), Seed = 1 };
        using var loader = new BatchLoader(plip.Train, new Plip.Text.CaptionEncoder(new Plip.Text.CaptionTokenizer(plip.Words)), settings, _ => 0.5f);
        using var batch = loader.Next();
        var before = TinyPlip.Bits(store.StateDict(), "textual.encoder.layer.6.");
        var losses = new StepRunner(model, device).Run(batch, 1);
        Assert.Equal(["ivlc", "tic", "iap"], losses.Tasks.Keys);
        Assert.All(losses.Tasks.Values, l => Assert.True(double.IsFinite(l) && l > 0));
        Assert.InRange(losses.Tasks["iap"], 0.8 * Math.Log(30522), 1.2 * Math.Log(30522)); // it knows nothing yet
        var norm = GradientClip.Measure(store);
        Assert.True(norm.IsFinite && norm.Norm > 0);
        optimizer.Step(1e-4f);
        Assert.Equal(before, TinyPlip.Bits(store.StateDict(), "textual.encoder.layer.6."));
        Assert.Contains(store.Parameters.Single(p => p.Name == "textual.encoder.layer.7.output.dense.bias").Parameter.Grad.ToArray(), g => g != 0);
    }
}
