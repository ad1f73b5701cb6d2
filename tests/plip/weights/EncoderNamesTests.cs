using Plip.Weights;
using Xunit;

namespace Plip.Tests.Weights;

public sealed class EncoderNamesTests
{
    /// <summary>Microsoft's names of a whole Swin (its repository's layout) become torchvision's, all of them and no other.</summary>
    [Theory]
    [InlineData(new[] { 2, 2, 6, 2 }, false)]
    [InlineData(new[] { 2, 2, 18, 2 }, false)]
    [InlineData(new[] { 2, 2, 18, 2 }, true)]
    public void Swin_of_Microsoft_becomes_torchvisions(int[] depths, bool mergesBefore)
    {
        var (microsoft, torchvision) = (new List<string>(), new List<string>());
        void Both(string theirs, string ours, params string[] last)
        {
            microsoft.AddRange(last.Select(l => theirs + l));
            torchvision.AddRange(last.Select(l => ours + l));
        }

        Both("patch_embed.proj.", "features.0.0.", "weight", "bias");
        Both("patch_embed.norm.", "features.0.2.", "weight", "bias");
        for (var s = 0; s < 4; s++)
        {
            for (var b = 0; b < depths[s]; b++)
            {
                string theirs = FormattableString.Invariant($"layers.{s}.blocks.{b}."), ours = FormattableString.Invariant($"features.{2 * s + 1}.{b}.");
                Both(theirs, ours, "norm1.weight", "norm1.bias", "attn.relative_position_bias_table", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias", "norm2.weight", "norm2.bias");
                Both(theirs + "mlp.fc1.", ours + "mlp.0.", "weight", "bias");
                Both(theirs + "mlp.fc2.", ours + "mlp.3.", "weight", "bias");
            }
            if (s < 3) Both(FormattableString.Invariant($"layers.{(mergesBefore ? s + 1 : s)}.downsample."), FormattableString.Invariant($"features.{2 * s + 2}."), "reduction.weight", "norm.weight", "norm.bias");
        }
        Both("norm.", "norm.", "weight", "bias");
        Both("head.", "head.", "weight", "bias");
        Assert.Equal(torchvision, microsoft.Select(n => EncoderNames.Map(WeightsFamily.MicrosoftSwin, n, mergesBefore, out _)));
        Assert.Equal(torchvision.Count, torchvision.Distinct().Count());
        foreach (var derived in new[] { "layers.1.blocks.1.attn_mask", "layers.0.blocks.0.attn.relative_position_index" })
            Assert.Null(EncoderNames.Map(WeightsFamily.MicrosoftSwin, derived, mergesBefore, out _));
        Assert.Equal("head.weight", EncoderNames.Map(WeightsFamily.MicrosoftSwin, "head.fc.weight", true, out _));
    }

    [Theory]
    [InlineData("embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight")]
    [InlineData("encoder.layer.3.attention.output.LayerNorm.beta", "encoder.layer.3.attention.output.LayerNorm.bias")]
    [InlineData("encoder.layer.11.output.dense.weight", "encoder.layer.11.output.dense.weight")]
    [InlineData("pooler.dense.bias", "pooler.dense.bias")]
    [InlineData("embeddings.position_ids", null)]
    [InlineData("cls.predictions.bias", null)]
    public void BERTs_old_names_become_todays(string theirs, string? ours) => Assert.Equal(ours, EncoderNames.Map(WeightsFamily.HuggingFaceBert, theirs, false, out _));

    [Fact]
    public void A_plain_ResNets_stem_and_classifier_are_left_out_with_reasons()
    {
        Assert.Equal("layer3.5.downsample.0.weight", EncoderNames.Map(WeightsFamily.PlainResNet, "layer3.5.downsample.0.weight", false, out _));
        Assert.Null(EncoderNames.Map(WeightsFamily.PlainResNet, "conv1.weight", false, out var stem));
        Assert.Contains("7×7", stem, StringComparison.Ordinal);
        Assert.Null(EncoderNames.Map(WeightsFamily.PlainResNet, "fc.bias", false, out var classifier));
        Assert.Equal("a classifier", classifier);
    }
}
