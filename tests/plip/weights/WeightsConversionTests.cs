using Plip.Configs;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Engine;
using Plip.Tests.Model;
using Plip.Text;
using Plip.Weights;
using Xunit;

namespace Plip.Tests.Weights;

public sealed class WeightsConversionTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static Vocabulary Words => Vocabulary.Load(Golden.Weights("released.vocab.txt"));

    /// <summary>A checkpoint of this program of the golden's architecture, moments beside the model as in a run's.</summary>
    private string Own()
    {
        using var device = new CpuDevice(1);
        var model = new PlipModel(GoldenModel.Small);
        using var store = model.Materialize(device);
        var state = new StateDict();
        state.Add(store.StateDict(), "model.");
        state.Add(store.StateDict(), "optimizer.exp_avg.");
        return Checkpoint.Save(_directory / "own", 7, state, new Dictionary<string, string> { ["config"] = ConfigFile.ToJson(GoldenModel.Small), ["vocabulary"] = string.Join('\n', Words.Lines) });
    }

    [Fact]
    public void Names_for_PyTorch_are_those_of_PyTorchs_own_networks()
    {
        using var golden = new GoldenModel(Golden.Weights("released.json"));
        using var file = WeightsFile.Open(Own());
        var text = golden.TextKeys.Where(k => k != "embeddings.position_ids").ToArray(); // derived, not a weight
        Same(golden.VisualKeys, WeightsConversion.Tensors(file, WeightsLayout.Visual));
        Same(text, WeightsConversion.Tensors(file, WeightsLayout.HuggingFace));
        Same([.. golden.VisualKeys.Select(k => "visual." + k), .. text.Select(k => "textual." + k)], WeightsConversion.Tensors(file, WeightsLayout.Plip));
        var released = WeightsConversion.Tensors(file, WeightsLayout.Released);
        using var theirs = WeightsFile.Open(Golden.Weights("released.pth.tar"));
        Same(theirs.Tensors.Names.Where(n => !n.EndsWith("position_ids", StringComparison.Ordinal)), released);
        foreach (var (name, tensor) in released) Assert.Equal(theirs.Tensors[name].Shape, tensor.Shape);

        static void Same(IEnumerable<string> expected, StateDict state) => Assert.Equal(expected.Order(StringComparer.Ordinal), state.Names.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(WeightsLayout.Plip)]
    [InlineData(WeightsLayout.Released)]
    public void Our_weights_come_back_bit_for_bit(WeightsLayout layout)
    {
        var own = Own();
        var path = _directory / "out.safetensors";
        using (var file = WeightsFile.Open(own)) SafeTensorsWriter.Replace(path, WeightsConversion.Tensors(file, layout), WeightsConversion.Metadata(file, layout));
        using var device = new CpuDevice(1);
        using var before = Checkpoint.Open(own);
        using var after = WeightsFile.Open(path);
        Assert.Equal("pt", after.Metadata["format"]);
        var known = KnownWeights.Of(after);
        foreach (var (encoder, part) in new[] { ("visual.", known.Visual!), ("textual.", known.Text!) })
            Assert.Equal(
                TinyPlip.Bits(before.Tensors.Under("model." + encoder).Rename(n => n.Contains("running_", StringComparison.Ordinal) && n.EndsWith("_1", StringComparison.Ordinal) ? null : n)), TinyPlip.Bits(part.Tensors));
        // With its configuration and words inside, it opens as what it was: four heads, which no shape tells.
        using var plip = PlipCheckpoint.Load(device, path);
        Assert.Equal((4, "golden"), (plip.Model.Config.Text.Heads, plip.Model.Config.Name));
        using var original = PlipCheckpoint.Load(device, own);
        Assert.Equal(original.EmbedTexts(["word6 word7"]), plip.EmbedTexts(["word6 word7"]));
    }

    [Fact]
    public void PyTorchs_file_becomes_safetensors_of_the_same_names_and_numbers()
    {
        var path = _directory / "out.safetensors";
        using var golden = new GoldenModel(Golden.Weights("released.json"));
        using var file = WeightsFile.Open(Golden.Weights("released.pth.tar"));
        SafeTensorsWriter.Replace(path, WeightsConversion.Tensors(file, WeightsLayout.Same), WeightsConversion.Metadata(file, WeightsLayout.Same));
        using (var copy = WeightsFile.Open(path)) Assert.Equal(TinyPlip.Bits(file.Tensors), TinyPlip.Bits(copy.Tensors));
        using var device = new CpuDevice(1);
        using (var plip = PlipCheckpoint.Load(device, path, vocabulary: Words)) golden.Compare(plip, heads: 1);

        var below = WeightsConversion.Tensors(file, WeightsLayout.Same, "ImgEncoder_state_dict.");
        Assert.Equal(golden.VisualKeys, below.Names);
        Assert.Contains("\"nothing.\"", Assert.Throws<FileFormatException>(() => WeightsConversion.Tensors(file, WeightsLayout.Same, "nothing.")).Message, StringComparison.Ordinal);
        using var types = WeightsFile.Open(Golden.Torch("types.pth"));
        Assert.Contains("no picture encoder", Assert.Throws<FileFormatException>(() => WeightsConversion.Tensors(types, WeightsLayout.Visual)).Message, StringComparison.Ordinal);
        Assert.Contains("no text encoder", Assert.Throws<FileFormatException>(() => WeightsConversion.Tensors(types, WeightsLayout.HuggingFace)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_tree_shows_blocks_that_are_alike_once()
    {
        var state = new StateDict();
        foreach (var i in Enumerable.Range(0, 12))
            foreach (var name in new[] { "query", "key" }) state.Add(FormattableString.Invariant($"bert.layer.{i}.{name}.weight"), StateTensor.Of(new float[i == 11 ? 6 : 4], new Shape(2, i == 11 ? 3 : 2)));
        state.Add("a\u001bb", StateTensor.Of([1L], new Shape()));
        state.Add(string.Join('.', Enumerable.Repeat("x", 5000)), StateTensor.Of([1f], new Shape(1)));
        var lines = WeightsTree.Lines(state);
        Assert.Equal(["bert.layer", "  0…10 (11 alike)", "    query.weight", "    key.weight", "  11", "    query.weight", "    key.weight", "a?b"], lines.Take(8).Select(l => l.Split("  F32")[0].Split("  I64")[0].TrimEnd()));
        Assert.EndsWith("F32  (2, 2)", lines[2], StringComparison.Ordinal);
        Assert.Equal(9, lines.Count);
    }
}
