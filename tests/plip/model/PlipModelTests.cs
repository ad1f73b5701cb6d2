using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Xunit;

namespace Plip.Tests.Model;

public sealed class PlipModelTests
{
    private static long Count(PlipModel model, string prefix) =>
        model.NamedParameters().Where(p => p.Name.StartsWith(prefix, StringComparison.Ordinal)).Sum(p => p.Parameter.Shape.Count);

    private static PlipConfig Paper(TextPooling pooling, ResNetHead head)
    {
        var c = ConfigFile.Load("plip-rn50");
        return c with { Text = c.Text with { VocabularySize = 30522, Pooling = pooling }, Visual = (ModifiedResNetConfig)c.Visual with { Head = head } };
    }

    // Without memory: names and shapes alone.
    [Fact]
    public void The_papers_model_has_the_papers_number_of_parameters()
    {
        var model = new PlipModel(Paper(TextPooling.Mean, ResNetHead.MaxLinear));
        const long w = 768, f = 4 * w, words = 30522;
        const long block = 4 * (w * w + w) + (w * f + f) + (f * w + w) + 4 * w;
        const long bert = (words + 512 + 2) * w + 2 * w + 12 * block;
        Assert.Equal(bert, Count(model, "textual."));
        Assert.Equal(108_891_648, bert); // BERT-base's 109.5 million without the pooler

        const long trunk = 23_527_264; // CLIP RN50's 38,316,896 without its attention pool's 14,789,632 (to 1024)
        Assert.Equal(trunk + 2048 * w + w, Count(model, "visual."));

        const long lateral = (256 + 512 + 1024 + 2048) * 256 + 4 * 256;
        const long se1 = (1024 + w) * 1024 + 1024 + 1024 * 1024 + 1024, se2 = (256 + w) * 256 + 256 + 256 * 256 + 256;
        Assert.Equal(lateral + se1 + se2 + 1024 * 256 * 9 + 256 + 256 * 3 * 9 + 3, Count(model, "tic."));
        Assert.Equal(block + w * words + words, Count(model, "iap."));
        Assert.Equal(0, Count(model, "ivlc."));
    }

    [Fact]
    public void The_released_checkpoints_heads_have_its_parameters()
    {
        var model = new PlipModel(Paper(TextPooling.Pooler, ResNetHead.AttentionPool));
        Assert.Equal(109_482_240, Count(model, "textual."));
        const long attention = 33 * 2048 + 3 * (2048 * 2048 + 2048) + 2048 * 768 + 768;
        Assert.Equal(attention, Count(model, "visual.attnpool."));
        Assert.Equal(33, model.NamedParameters().Single(p => p.Name == "visual.attnpool.positional_embedding").Parameter.Shape[0]);
        Assert.Equal(0, Count(model, "visual.head."));
    }

    [Fact]
    public void Frozen_text_is_the_embeddings_and_the_first_seven_blocks()
    {
        var model = new PlipModel(Paper(TextPooling.Mean, ResNetHead.MaxLinear));
        const string text = "textual.";
        var frozen = model.NamedParameters().Where(p => p.Name.StartsWith(text, StringComparison.Ordinal) && model.Textual.IsFrozen(p.Name[text.Length..])).Select(p => p.Name).ToArray();
        Assert.Contains("textual.embeddings.LayerNorm.bias", frozen);
        Assert.Contains("textual.encoder.layer.6.output.dense.weight", frozen);
        Assert.DoesNotContain(frozen, n => n.StartsWith("textual.encoder.layer.7.", StringComparison.Ordinal) || n.StartsWith("textual.encoder.layer.10.", StringComparison.Ordinal));
        Assert.Equal(5 + 7 * 16, frozen.Length);
    }

    [Fact]
    public void Parameters_train_in_the_groups_of_the_recipe()
    {
        var config = TinyPlip.Config();
        config = config with
        {
            Text = config.Text with { VocabularySize = 50, FrozenLayers = 1 },
            Training = config.Training with { TextLearningRateScale = 0.25f, WeightDecay = 0.5f },
        };
        using var device = new CpuDevice(1);
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        foreach (var (name, parameter) in store.Parameters)
        {
            var place = store.Trainable.FirstOrDefault(t => t.Parameter == parameter);
            var frozen = name.StartsWith("textual.embeddings.", StringComparison.Ordinal) || name.StartsWith("textual.encoder.layer.0.", StringComparison.Ordinal);
            Assert.Equal(frozen, parameter.Frozen);
            Assert.Equal(frozen, place.Parameter == null);
            if (frozen)
            {
                Assert.Throws<InvalidOperationException>(() => parameter.Grad);
                continue;
            }
            var group = store.Ranges.Single(r => place.Offset >= r.Offset && place.Offset < r.Offset + r.Count).Group;
            Assert.Equal(name.StartsWith("textual.", StringComparison.Ordinal) ? 0.25f : 1f, group.LrScale);
            Assert.Equal(parameter.Shape.Rank > 1 ? 0.5f : 0f, group.WeightDecay);
        }
    }

    [Theory]
    [InlineData(ResNetHead.MaxLinear, TextPooling.Mean)]
    [InlineData(ResNetHead.AttentionPool, TextPooling.Pooler)]
    public void Both_heads_and_both_poolings_embed_and_learn(ResNetHead head, TextPooling pooling)
    {
        var config = TinyPlip.Config();
        config = config with
        {
            Text = config.Text with { VocabularySize = 50, Pooling = pooling, Dropout = 0 },
            Visual = (ModifiedResNetConfig)config.Visual with { Head = head, Heads = 4 },
        };
        using var device = new CpuDevice(2);
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        using var step = device.BeginStep();
        var images = Tensor.From(device, Tests.Values.Normal(3 * 64 * 32 * 3, 5), new Shape(3, 64, 32, 3));
        var text = PackedText.From(device, [2, 7, 8, 3, 2, 9, 3, 2, 10, 11, 12, 3], [0, 4, 7, 12]);
        var (v, t) = (model.EmbedImages(images).Keep(), model.EmbedText(text).Keep());
        Assert.Equal(new Shape(3, 16), v.Shape);
        Assert.Equal(new Shape(3, 16), t.Shape);
        foreach (var rows in new[] { v.ToArray(), t.ToArray() })
            for (var i = 0; i < 3; i++) Assert.Equal(1.0, rows.AsSpan(16 * i, 16).ToArray().Sum(x => (double)x * x), 1e-5);
        Ops.InfoNce(v, t, 1).Backward();
        var last = head == ResNetHead.MaxLinear ? "visual.head.weight" : "visual.attnpool.positional_embedding";
        foreach (var name in new[] { last, "visual.conv1.weight", "textual.embeddings.word_embeddings.weight", pooling == TextPooling.Pooler ? "textual.pooler.dense.weight" : "textual.encoder.layer.1.output.dense.weight" })
            Assert.Contains(store.Parameters.Single(p => p.Name == name).Parameter.Grad.ToArray(), g => g != 0);
        Assert.Equal(pooling == TextPooling.Pooler, store.Parameters.Any(p => p.Name.StartsWith("textual.pooler.", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_mean_of_a_text_is_over_its_own_tokens_alone()
    {
        var config = TinyPlip.Config();
        using var device = new CpuDevice(1);
        var model = new PlipModel(config with { Text = config.Text with { VocabularySize = 50 } });
        using var store = model.Materialize(device, training: false);
        model.Eval();
        float[] Row(int[] ids, int[] offsets, int row)
        {
            using var step = device.BeginStep(recordGradients: false);
            return model.EmbedText(PackedText.From(device, ids, offsets)).ToArray().AsSpan(row * 16, 16).ToArray();
        }
        var alone = Row([2, 9, 3], [0, 3], 0);
        var beside = Row([2, 7, 8, 3, 2, 9, 3, 2, 10, 11, 12, 3], [0, 4, 7, 12], 1);
        Check.Close(Array.ConvertAll(alone, x => (double)x), beside, 1e-5, "a text beside others"); // products are blocked differently
    }
}
