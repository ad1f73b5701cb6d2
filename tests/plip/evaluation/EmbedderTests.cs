using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Plip.Tests.Model;
using Plip.Text;
using Xunit;

namespace Plip.Tests.Evaluation;

public sealed class EmbedderTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private (Embeddings Images, Embeddings Texts) Embed(string checkpoint, int threads, int batch, List<EmbeddingProgress>? seen = null)
    {
        using var device = new CpuDevice(threads);
        using var loaded = PlipCheckpoint.Load(device, checkpoint);
        var loader = new EvaluationLoader(plip.Data, loaded.Captions, loaded.Model.Config.Image.ToSettings(), loaded.Model.Config.Text.MaxTokens, threads);
        return (Embedder.Images(device, loaded.Model, loader, plip.Data.Images.Count, batch, seen == null ? null : seen.Add),
            Embedder.Texts(device, loaded.Model, loader, 2 * batch, seen == null ? null : seen.Add));
    }

    [Fact]
    public void The_same_bits_for_any_threads_and_near_ones_for_any_batch()
    {
        var checkpoint = Path.Combine(plip.Trained(TinyPlip.Config()), "checkpoints", "best");
        var seen = new List<EmbeddingProgress>();
        var (images, texts) = Embed(checkpoint, 1, 7, seen);
        Assert.Equal([7L, 14, 21, 28, 30], seen.Where(p => p.What == "pictures").Select(p => p.Done));
        Assert.Equal(60, seen[^1].Done);
        foreach (var threads in new[] { 2, 3, 5 })
        {
            var again = Embed(checkpoint, threads, 7);
            Assert.Equal(images.Values, again.Images.Values);
            Assert.Equal(texts.Values, again.Texts.Values);
            Assert.Equal(images.Identities, again.Images.Identities);
            Assert.Equal(texts.Identities, again.Texts.Identities);
        }
        // Products are cut into blocks by their number of rows: unit vectors agree to a few F32 roundings, not to the bit.
        foreach (var batch in new[] { 1, 30 })
        {
            var other = Embed(checkpoint, 2, batch);
            for (var i = 0; i < images.Values.Length; i++) Assert.Equal(images.Values[i], other.Images.Values[i], 1e-5f);
            for (var i = 0; i < texts.Values.Length; i++) Assert.Equal(texts.Values[i], other.Texts.Values[i], 1e-5f);
        }
    }

    [Fact]
    public void Weights_that_diverged_are_named_with_the_row()
    {
        var model = new PlipModel(TinyPlip.Config() with { Text = TinyPlip.Config().Text with { VocabularySize = plip.Words.Size } });
        using var device = new CpuDevice(1);
        using var store = model.Materialize(device, training: false);
        model.Eval();
        foreach (var name in new[] { "visual.head.bias", model.NamedParameters().Last(p => p.Name.StartsWith("textual.", StringComparison.Ordinal) && p.Name.EndsWith("LayerNorm.bias", StringComparison.Ordinal)).Name })
        {
            var bias = model.NamedParameters().Single(p => p.Name == name).Parameter.Value;
            var values = bias.ToArray();
            values[^1] = float.NaN;
            bias.CopyFrom<float>(values);
        }
        var loader = new EvaluationLoader(plip.Test, new CaptionEncoder(new CaptionTokenizer(plip.Words)), model.Config.Image.ToSettings(), 40);
        Assert.Contains("picture 0", Assert.Throws<NotFiniteNumberException>(() => Embedder.Images(device, model, loader, 6)).Message);
        Assert.Contains("caption 0", Assert.Throws<NotFiniteNumberException>(() => Embedder.Texts(device, model, loader)).Message);
    }
}
