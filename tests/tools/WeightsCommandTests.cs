using System.Text.Json;
using Plip.Configs;
using Plip.Engine;
using Plip.Evaluation;
using Plip.Tests.Engine;
using Plip.Tests.Model;
using Plip.Tests.Weights;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class WeightsCommandTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("weights", "inspect,convert")]
    [InlineData("weights inspect", "file,--json,Nothing in it is executed")]
    [InlineData("weights convert", "--to,--under,--force,HuggingFace,Released")]
    [InlineData("embed", "--checkpoint,--vocabulary,--config")]
    [InlineData("eval retrieval", "--checkpoint,--vocabulary,--config")]
    [InlineData("pretrain", "--initial-visual,--initial-text")]
    public void Every_command_explains_itself(string command, string mentions)
    {
        var run = Captured.Run([.. command.Split(' '), "--help"]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in mentions.Split(',')) Assert.Contains(word, run.Out);
    }

    [Fact]
    public void Inspect_says_what_a_file_is()
    {
        var json = _directory / "i.json";
        var run = Captured.Run("weights", "inspect", Golden.Weights("module.pth.tar"), "--json", json);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var part in new[] { "PyTorch's archive", "released PLIP: CLIP's ModifiedResNet, Hugging Face's BERT", "epoch: 69", "TxtEncoder_state_dict.module.encoder" }) Assert.Contains(part, run.Out);
        using var document = JsonDocument.Parse(File.ReadAllText(json));
        var tensors = document.RootElement.GetProperty("tensors");
        using var file = WeightsFile.Open(Golden.Weights("module.pth.tar"));
        Assert.Equal(file.Tensors.Count, tensors.GetArrayLength());
        Assert.Equal("Torch", document.RootElement.GetProperty("format").GetString());
        Assert.Equal(file.Tensors.Sum(t => t.Value.Shape.Count), document.RootElement.GetProperty("parameters").GetInt64());
        var nested = Captured.Run("weights", "inspect", Golden.Torch("protocol2.pth"));
        Assert.Contains("left out     optimizer: an optimiser's state", nested.Out);
        Assert.Contains("no encoder that this program knows", nested.Out);
    }

    [Fact]
    public void Convert_writes_once_and_only_safetensors()
    {
        var output = _directory / "out.safetensors";
        var run = Captured.Run("weights", "convert", Golden.Torch("protocol4.pth"), output, "--under", "state_dict.module.");
        Assert.Equal((0, ""), (run.Code, run.Error));
        using (var file = SafeTensors.Open(output)) Assert.Equal(["weight", "tied"], file.Tensors.Names);
        Assert.Contains("--force", Captured.Run("weights", "convert", Golden.Torch("types.pth"), output).Fails(2));
        Assert.Equal(0, Captured.Run("weights", "convert", Golden.Torch("types.pth"), output, "--force").Code);
        Assert.Contains("is the file to be read", Captured.Run("weights", "convert", output, output, "--force").Fails(2));
        Assert.Contains(".safetensors", Captured.Run("weights", "convert", output, _directory / "x.pth").Fails(2));
        Assert.Contains("--under", Captured.Run("weights", "convert", output, _directory / "y.safetensors", "--to", "Plip", "--under", "a.").Fails(2));
        Assert.Contains("Keras", Captured.Run("weights", "convert", output, _directory / "y.safetensors", "--to", "Keras").Fails(2));
        Assert.Contains("file", Captured.Run("weights", "inspect").Fails(2));
        Assert.Contains("torch.nn.modules.linear.Linear", Captured.Run("weights", "inspect", Golden.Torch("module.pth")).Fails(1));
        Assert.Contains("nothing", Captured.Run("weights", "convert", _directory / "nothing", _directory / "y.safetensors").Fails(1));
        Assert.Equal([output], Directory.GetFiles(_directory.Path));
    }

    [Fact]
    public void Embed_takes_the_released_format()
    {
        var (texts, config) = (_directory / "t.txt", _directory / "c.json");
        File.WriteAllText(texts, "word7 word9\nword8\n");
        File.WriteAllText(config, ConfigFile.ToJson(GoldenModel.Small));
        string[] args = ["embed", "--checkpoint", Golden.Weights("released.pth.tar"), "--texts", texts, "--out", _directory / "o.npy"];
        string[] words = ["--vocabulary", Golden.Weights("released.vocab.txt")];
        Assert.Contains("--vocabulary", Captured.Run(args).Fails(1));
        Assert.Contains("no such vocabulary", Captured.Run([.. args, "--vocabulary", _directory / "none.txt"]).Fails(1));
        var run = Captured.Run([.. args, .. words]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        var one = NpyReader.ReadFloat(_directory / "o.npy");
        Assert.Equal([2, 64], one.Shape);
        Assert.Equal(0, Captured.Run([.. args, .. words, "--config", config]).Code);
        Assert.NotEqual(one.Values, NpyReader.ReadFloat(_directory / "o.npy").Values); // four heads in place of one
        Assert.Contains("colorization", Captured.Run(
            ["colorize", "--checkpoint", Golden.Weights("released.pth.tar"), "--image", texts, "--text", "a red coat", .. words]).Fails(2));
    }

    [Fact]
    public void Pretrain_starts_from_given_weights_and_keeps_the_report()
    {
        using var plip = new TinyPlip();
        var config = plip.NewFolder() + ".json";
        var golden = GoldenModel.Small;
        File.WriteAllText(config, ConfigFile.ToJson(TinyPlip.Config() with { Visual = golden.Visual, Text = golden.Text with { VocabularySize = 0, MaxTokens = 40 } }));
        var output = plip.NewFolder();
        string[] args = ["pretrain", "--config", config, "--data", plip.World, "--out", output, "--steps", "1", "--batch-size", "4", "--threads", "1"];
        var wrong = Captured.Run([.. args, "--initial-visual", Golden.Torch("types.pth")]);
        Assert.Contains("holds no picture encoder", wrong.Fails(1));
        var run = Captured.Run([.. args, "--vocabulary", Golden.Weights("released.vocab.txt"), "--initial-visual", Golden.Weights("released.pth.tar"), "--initial-text", Golden.Weights("released.pth.tar")]);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var part in new[] { "visual starts from", "textual starts from", "start as copies" }) Assert.Contains(part, run.Out);
        var report = File.ReadAllText(Path.Combine(output, "initial.txt"));
        Assert.Contains("matched      encoder.layer.0.attention.self.query.weight", report);
    }
}
