using Plip.Configs;
using Plip.Data;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Model;
using Xunit;

namespace Plip.Tests.Model;

public sealed class PlipCheckpointTests(PlipCheckpointTests.Trained trained) : IClassFixture<PlipCheckpointTests.Trained>
{
    public sealed class Trained : IDisposable
    {
        public Trained() => Folder = Plip.Trained(TinyPlip.Config());

        public TinyPlip Plip { get; } = new();

        public string Folder { get; }

        public string Best => Path.Combine(Folder, "checkpoints", "best");

        public void Dispose() => Plip.Dispose();
    }

    private string CopyOfBest()
    {
        var copy = trained.Plip.NewFolder() + ".safetensors";
        File.Copy(Directory.GetFiles(trained.Best).Single(), copy);
        return copy;
    }

    [Fact]
    public void It_carries_all_that_embedding_needs()
    {
        using var device = new CpuDevice(2);
        using var plip = PlipCheckpoint.Load(device, trained.Best);
        Assert.Equal(trained.Plip.Words.Lines, plip.Captions.Vocabulary.Lines);
        Assert.Equal("test", plip.Model.Config.Name);
        Assert.False(plip.Model.Training);
        Assert.Matches("^[0-9a-f]{12}$", plip.Hash);
        var texts = plip.EmbedTexts(["a man in a red jacket", "a woman in a blue dress", "a man in a red jacket"]);
        Assert.Equal(3 * 16, texts.Length);
        Assert.Equal(1, texts.AsSpan(0, 16).ToArray().Sum(x => (double)x * x), 1e-5);
        Assert.NotEqual(texts[..16], texts[16..32]);
        Check.Close(Array.ConvertAll(texts[..16], x => (double)x), texts.AsSpan(32), 1e-6, "the same text twice");
    }

    [Fact]
    public void Pictures_embed_alike_however_they_are_cut_into_batches_and_whoever_asks()
    {
        using var device = new CpuDevice(1);
        using var plip = PlipCheckpoint.Load(device, trained.Best);
        var test = trained.Plip.Test;
        var pictures = test.Images.Select(i => Picture.Load(i.FullPath)).ToArray();
        var all = plip.EmbedImages(pictures);
        Check.Close(Array.ConvertAll(all, x => (double)x), plip.EmbedImages(pictures, batch: 4), 1e-5, "batches of four"); // products are blocked differently
        var loader = new EvaluationLoader(test, plip.Captions, plip.Model.Config.Image.ToSettings(), 40);
        var embeddings = Embedder.Images(device, plip.Model, loader, pictures.Length);
        Assert.Equal(all, embeddings.Values);
        Assert.Equal(test.Images.Select(i => i.Identity), embeddings.Identities);
        Assert.Empty(plip.EmbedImages([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => plip.EmbedImages(pictures, batch: 0));
    }

    /// <summary>
    /// Directions in 16 bits against F32's: the cosine of each with its own is 1 within 1 %. Some 20 layers of roundings of 2⁻⁹ leave an angle of
    /// about 0.02, whose cosine is 1 − 2·10⁻⁴; F16's is eight times smaller.
    /// </summary>
    [Theory]
    [InlineData(Precision.BF16, "cpu")]
    [InlineData(Precision.F16, "cpu")]
    [InlineData(Precision.F16, "cpu-256")]
    [InlineData(Precision.BF16, "cuda")]
    [InlineData(Precision.F16, "cuda")]
    public void Embeddings_in_16_bits_point_where_F32s_do(Precision precision, string name)
    {
        using var device = Devices.Open(name);
        using PlipCheckpoint wide = PlipCheckpoint.Load(device, trained.Best), half = PlipCheckpoint.Load(device, trained.Best, precision: precision);
        var pictures = trained.Plip.Test.Images.Select(i => Picture.Load(i.FullPath)).ToArray();
        string[] captions = [.. trained.Plip.Test.Images.SelectMany(i => i.Captions)];
        foreach (var (a, b) in new[] { (wide.EmbedImages(pictures), half.EmbedImages(pictures)), (wide.EmbedTexts(captions), half.EmbedTexts(captions)) })
        {
            Assert.NotEqual(a, b);
            for (var i = 0; i < a.Length; i += 16)
            {
                double dot = 0, length = 0;
                for (var k = i; k < i + 16; k++) (dot, length) = (dot + (double)a[k] * b[k], length + (double)b[k] * b[k]);
                Assert.InRange(dot, 0.99, 1.001);
                Assert.Equal(1, length, 1e-5); // normalised in F32
            }
        }
    }

    [Fact]
    public void It_is_held_against_the_configuration_that_was_expected()
    {
        using var device = new CpuDevice(1);
        var config = TinyPlip.Config(); // as a file has it: the vocabulary's size is left open
        using (PlipCheckpoint.Load(device, trained.Best, expected: config with { Name = "other", Training = new TrainingConfig() }))
        {
        }
        var other = config with { Text = config.Text with { Width = 32 } };
        var error = Assert.Throws<ConfigException>(() => PlipCheckpoint.Load(device, trained.Best, expected: other));
        Assert.Contains("\"width\": 16", error.Message);
        Assert.Contains("\"width\": 32", error.Message);
        Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.001)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.99999)]
    public void A_flipped_bit_anywhere_is_one_clear_error(double place)
    {
        var copy = CopyOfBest();
        using (var file = File.Open(copy, FileMode.Open))
        {
            file.Position = (long)(place * (file.Length - 1));
            var value = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)(value ^ 0x10));
        }
        Fails<FileFormatException>(copy);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.0005)]
    [InlineData(0.7)]
    [InlineData(0.99999)]
    public void A_file_that_was_cut_off_is_one_clear_error(double length)
    {
        var copy = CopyOfBest();
        using (var file = File.Open(copy, FileMode.Open)) file.SetLength((long)(length * file.Length));
        Fails<FileFormatException>(copy);
    }

    [Fact]
    public void Other_files_and_none_are_clear_errors()
    {
        Fails<FileNotFoundException>(Path.Combine(trained.Folder, "nothing"));
        Fails<FileNotFoundException>(trained.Plip.World);
        Fails<FileFormatException>(Path.Combine(trained.Folder, "metrics.jsonl"));
        var foreign = trained.Plip.NewFolder();
        Checkpoint.Save(foreign, 1, new StateDict());
        Fails<FileFormatException>(foreign);
    }

    private void Fails<T>(string path) where T : Exception
    {
        using var device = new CpuDevice(1);
        var error = Assert.Throws<T>(() => PlipCheckpoint.Load(device, path, warn: _ => { }));
        Assert.Contains(path, error.Message);
        Assert.DoesNotContain('\n', error.Message);
        Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
    }
}
