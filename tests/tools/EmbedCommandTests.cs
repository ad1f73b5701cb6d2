using Plip.Engine;
using Plip.Evaluation;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class EmbedCommandTests : IClassFixture<TinyPlip>
{
    private readonly TinyPlip _plip;
    private readonly string _best;

    public EmbedCommandTests(TinyPlip plip)
    {
        _plip = plip;
        _best = Path.Combine(plip.Root, "trained", "checkpoints", "best");
        if (!Directory.Exists(_best)) plip.Trained(TinyPlip.Config(), folder: Path.Combine(plip.Root, "trained"));
    }

    private Captured Embed(string file, params string[] args) => Captured.Run(["embed", "--checkpoint", _best, "--out", At(file), .. args]);

    private string At(string name) => Path.Combine(_plip.Root, name);

    [Fact]
    public void A_data_set_gives_pictures_captions_and_identities()
    {
        var run = Embed("d.npy", "--data", _plip.World, "--split", "test", "--batch", "4", "--threads", "2");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("pictures: 6 rows of 16", run.Out);
        Assert.Contains("texts: 12 rows of 16", run.Out);
        Assert.Contains("a second", run.Out);
        Assert.Equal(_plip.Test.Images.Select(i => i.Identity), NpyReader.ReadInt(At("d.images.ids.npy")).Values);
        Assert.Equal(_plip.Test.Images.Select(i => i.RelativePath), File.ReadAllLines(At("d.images.npy.txt")));
        Assert.Equal(_plip.Test.Images.SelectMany(i => i.Captions), File.ReadAllLines(At("d.texts.npy.txt")));

        var bytes = File.ReadAllBytes(At("d.images.npy"));
        Assert.Equal(0, Embed("e.npy", "--data", _plip.World, "--split", "test", "--batch", "4", "--threads", "1").Code);
        Assert.Equal(bytes, File.ReadAllBytes(At("e.images.npy")));

        run = Embed("d.safetensors", "--data", _plip.World, "--split", "test", "--batch", "4");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("pictures: 6 rows of 16", run.Out);
        Assert.Contains("texts: 12 rows of 16", run.Out);
        using var file = SafeTensors.Open(At("d.safetensors"));
        Assert.Equal(NpyReader.ReadFloat(At("d.texts.npy")).Values, file.Tensors["texts"].ToF32());
        Assert.Equal(("F32", "4", "L2"), (file.Metadata["precision"], file.Metadata["batch"], file.Metadata["normalised"]));
        Assert.Equal(12, file.Metadata["checkpoint"].Length);
    }

    [Fact]
    public void Half_the_precision_is_near_and_not_the_same()
    {
        var texts = At("t.txt");
        File.WriteAllLines(texts, _plip.Test.Images.Select(i => i.Captions[0]));
        Assert.Equal(0, Embed("f32.npy", "--texts", texts).Code);
        Assert.Equal(0, Embed("bf16.npy", "--texts", texts, "--precision", "BF16").Code);
        float[] full = NpyReader.ReadFloat(At("f32.npy")).Values, half = NpyReader.ReadFloat(At("bf16.npy")).Values;
        Assert.NotEqual(full, half);
        for (var row = 0; row < 6; row++)
        {
            var cosine = Enumerable.Range(16 * row, 16).Sum(i => (double)full[i] * half[i]);
            Assert.InRange(cosine, 0.99, 1.0001); // BF16 keeps 8 bits of each activation
        }
    }

    [Fact]
    public void An_output_that_cannot_be_written_fails_before_the_work()
    {
        Assert.Contains("nowhere", Embed("nowhere/x.safetensors", "--data", _plip.World, "--split", "test").Fails(1));
        Assert.Contains("tset", Embed("x.npy", "--data", _plip.World, "--split", "tset").Fails(1));
        Assert.False(File.Exists(At("x.npy")));
    }
}
