using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Engine;
using Plip.Text;
using Plip.Weights;
using Xunit;

namespace Plip.Tests.Weights;

/// <summary>The authors' format, written by PyTorch with random weights, against what the networks gave there.</summary>
public sealed class ReleasedCheckpointTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static Vocabulary Words => Vocabulary.Load(Golden.Weights("released.vocab.txt"));

    [Theory]
    [InlineData("released.pth.tar")]
    [InlineData("module.pth.tar")]
    public void Embeddings_are_PyTorchs(string name)
    {
        using var device = new CpuDevice(2);
        using var golden = new GoldenModel(Golden.Weights("released.json"));
        using (var plip = PlipCheckpoint.Load(device, Golden.Weights(name), vocabulary: Words))
        {
            Assert.Equal((64, 32), (plip.Model.Config.Image.Height, plip.Model.Config.Image.Width));
            Assert.Equal(name, plip.Model.Config.Name);
            golden.Compare(plip, heads: 1);
            Assert.Equal(64, plip.EmbedTexts(["word7 word9"]).Length);
        }
        using (var plip = PlipCheckpoint.Load(device, Golden.Weights(name), GoldenModel.Small, vocabulary: Words))
            golden.Compare(plip, heads: 4); // which no shape tells
        Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
    }

    /// <summary>RN50 and BERT-base: 590 MB that nobody should commit. <c>tools/golden/make.py --full DIR</c> writes them.</summary>
    [Fact]
    public void Embeddings_are_PyTorchs_at_full_size()
    {
        var folder = Environment.GetEnvironmentVariable("PLIP_GOLDEN_FULL");
        Assert.SkipWhen(folder == null, "PLIP_GOLDEN_FULL names no folder of tools/golden/make.py --full");
        using var device = new CpuDevice();
        using var golden = new GoldenModel(Path.Combine(folder, "full.json"));
        using var plip = PlipCheckpoint.Load(device, Path.Combine(folder, "full.pth.tar"), vocabulary: Vocabulary.Load(Path.Combine(folder, "full.vocab.txt")));
        Assert.Equal((256, 128, 12, 768), (plip.Model.Config.Image.Height, plip.Model.Config.Image.Width, plip.Model.Config.Text.Heads, plip.Model.Config.Text.Width));
        golden.Compare(plip, heads: 12);
    }

    [Fact]
    public void The_configuration_is_read_off_the_shapes()
    {
        using var file = WeightsFile.Open(Golden.Weights("module.pth.tar"));
        var known = KnownWeights.Of(file);
        Assert.StartsWith("released PLIP", known.Description, StringComparison.Ordinal);
        Assert.Equal(("ImgEncoder_state_dict.module.", "TxtEncoder_state_dict.module.encoder."), (known.Visual!.Prefix, known.Text!.Prefix));
        var config = ReleasedCheckpoint.Describe(known);
        var visual = Assert.IsType<ModifiedResNetConfig>(config.Visual);
        Assert.Equal([1, 2, 1, 1], visual.Layers);
        Assert.Equal((2, ResNetHead.AttentionPool, 8), (visual.Width, visual.Head, visual.Heads));
        Assert.Equal((1, 64, 1, 64, 40, 128, TextPooling.Pooler),
            (config.Text.Layers, config.Text.Width, config.Text.Heads, config.Text.Intermediate, config.Text.Positions, config.Text.VocabularySize, config.Text.Pooling));
        Assert.Contains(new("epoch", "69"), file.Values);
    }

    [Fact]
    public void What_it_lacks_is_one_clear_error()
    {
        var path = Golden.Weights("released.pth.tar");
        Assert.Contains("--vocabulary", Fails<ConfigException>(path), StringComparison.Ordinal);
        var small = _directory / "vocab.txt";
        File.WriteAllLines(small, Words.Lines.Take(100));
        Assert.Contains("knows 128 word pieces, the vocabulary has 100", Fails<ConfigException>(path, vocabulary: Vocabulary.Load(small)), StringComparison.Ordinal);
        var other = GoldenModel.Small with { Visual = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Width = 2 } };
        Assert.Contains("visual.layers is 1, 2, 1, 1", Fails<ConfigException>(path, other, Words), StringComparison.Ordinal);
        Assert.Contains("to start training from it", Fails<FileFormatException>(Golden.Torch("types.pth"), vocabulary: Words), StringComparison.OrdinalIgnoreCase);
        Assert.Contains("plain pickle", Fails<FileFormatException>(_directory.Write("p.pkl", [0x80, 4, 0x95, 0, 0]), vocabulary: Words), StringComparison.Ordinal);

        // A tensor that is missing is named with its shape.
        using var file = WeightsFile.Open(path);
        var cut = _directory / "cut.safetensors";
        SafeTensorsWriter.Write(cut, file.Tensors.Rename(n => n.EndsWith("layer2.1.bn2.bias", StringComparison.Ordinal) ? null : n));
        var error = Assert.Throws<FileFormatException>(() => Load(cut, null, Words)).Message;
        Assert.Contains(cut, error, StringComparison.Ordinal);
        Assert.Contains("visual.layer2.1.bn2.bias (4,)", error, StringComparison.Ordinal);
    }

    /// <summary>A small file whose names describe a network of billions of numbers is refused before any of it is reserved.</summary>
    [Fact]
    public void A_small_file_cannot_ask_for_a_large_model()
    {
        using var file = WeightsFile.Open(Golden.Weights("released.pth.tar"));
        var state = file.Tensors.Rename(n => n == "ImgEncoder_state_dict.conv3.weight" ? null : n);
        state.Add("ImgEncoder_state_dict.conv3.weight", StateTensor.Of(new float[512], new Shape(512, 1, 1, 1)));
        for (var i = 2; i < 64; i++) state.Add(FormattableString.Invariant($"ImgEncoder_state_dict.layer2.{i}.bn1.bias"), StateTensor.Of([1f], new Shape(1)));
        var path = _directory / "large.safetensors";
        SafeTensorsWriter.Write(path, state);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("does not fit", Assert.Throws<FileFormatException>(() => Load(path, null, Words)).Message, StringComparison.Ordinal);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 50_000_000);
    }

    /// <summary>Tensors that are missing, renamed, flattened, made scalars or cut: a typed error with the file's name, or a model.</summary>
    [Fact]
    public void Files_with_wrong_tensors_open_or_give_a_typed_error()
    {
        using var file = WeightsFile.Open(Golden.Weights("module.pth.tar"));
        using var device = new CpuDevice(1);
        var names = file.Tensors.Names.ToArray();
        var (opened, refused) = (0, 0);
        for (var i = 0; i < names.Length; i++)
        {
            var state = new StateDict();
            foreach (var (name, t) in file.Tensors)
            {
                var changed = name != names[i] ? t : (i % 5) switch
                {
                    0 => null,
                    1 => StateTensor.Of([1f], new Shape()),
                    2 => StateTensor.Of(t.ToF32(), new Shape((int)t.Shape.Count)),
                    3 => StateTensor.Of(Array.Empty<float>(), new Shape(0, 3)),
                    _ => t,
                };
                if (changed != null) state.Add(name == names[i] && i % 5 == 4 ? name + ".more" : name, changed);
            }
            var path = _directory / "wrong.safetensors";
            SafeTensorsWriter.Write(path, state);
            var model = new PlipModel(GoldenModel.Small);
            using var store = model.Materialize(device);
            foreach (var use in new Action[] { () => Load(path, null, Words), () => StartingWeights.Visual(model, store, path), () => StartingWeights.Text(model, store, path) })
                try
                {
                    use();
                    opened++;
                }
                catch (Exception e) when (e is FileFormatException or ConfigException)
                {
                    Assert.Contains(path, e.Message, StringComparison.Ordinal);
                    refused++;
                }
        }
        Assert.True(opened > 100 && refused > 100, $"{opened} opened, {refused} refused: the changes miss a side");
    }

    [Fact]
    public void Damaged_files_are_typed_errors_and_leave_no_memory()
    {
        var bytes = File.ReadAllBytes(Golden.Weights("released.pth.tar"));
        foreach (var length in new[] { 0.0, 0.001, 0.5, 0.999 })
        {
            var path = _directory.Write("cut.pth.tar", bytes[..(int)(length * bytes.Length)]);
            Fails<FileFormatException>(path, vocabulary: Words);
        }
    }

    private string Fails<T>(string path, PlipConfig? expected = null, Vocabulary? vocabulary = null) where T : Exception
    {
        var error = Assert.Throws<T>(() => Load(path, expected, vocabulary));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    private static void Load(string path, PlipConfig? expected, Vocabulary? vocabulary)
    {
        using var device = new CpuDevice(1);
        try
        {
            PlipCheckpoint.Load(device, path, expected, vocabulary: vocabulary).Dispose();
        }
        finally
        {
            Assert.Equal((0, 0L), (device.MemoryInUse.Blocks, device.MemoryInUse.Bytes));
        }
    }
}
