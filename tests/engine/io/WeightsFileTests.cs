using System.Text;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class WeightsFileTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static StateDict One(string name, float value = 1)
    {
        var state = new StateDict();
        state.Add(name, StateTensor.Of([value, 2f], new Shape(2)));
        return state;
    }

    [Fact]
    public void The_format_is_told_by_content_whatever_the_name()
    {
        File.Copy(Golden.Torch("types.pth"), _directory / "torch.safetensors");
        SafeTensorsWriter.Write(_directory / "plain.pth", One("a"));
        var checkpoint = Checkpoint.Save(_directory / "run", 3, One("model.a"), new Dictionary<string, string> { ["config"] = "{}" });
        (string Path, WeightsFormat Format)[] cases =
            [(_directory / "torch.safetensors", WeightsFormat.Torch), (_directory / "plain.pth", WeightsFormat.SafeTensors), (checkpoint, WeightsFormat.Checkpoint), (_directory / "run", WeightsFormat.Checkpoint)];
        foreach (var (path, format) in cases)
        {
            using var file = WeightsFile.Open(path);
            Assert.Equal(format, file.Format);
            if (File.Exists(path)) Assert.Equal(format, WeightsFile.FormatOf(path));
        }
        using var script = WeightsFile.Open(Golden.Torch("script.pt"));
        Assert.Equal(WeightsFormat.TorchScript, script.Format);
        using var saved = WeightsFile.Open(checkpoint);
        Assert.Equal("{}", saved.Metadata["config"]);
    }

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull")]
    [InlineData("<!DOCTYPE html><html>", "web page")]
    [InlineData("\n <html>", "web page")]
    [InlineData("GGUF....", "GGUF")]
    [InlineData("{\"hidden_size\": 768}", "no \"weight_map\"")]
    [InlineData("{\"hidden_size\": 76", "not JSON")]
    [InlineData("", "at least 8")]
    [InlineData("PK\u0003\u0004", "cut short")]
    public void What_is_no_weights_says_what_it_seems_to_be(string content, string expected) => Refused(Encoding.UTF8.GetBytes(content), expected);

    [Fact]
    public void Binary_formats_of_others_say_what_to_do()
    {
        Refused([0x1F, 0x8B, 8, 0], "Unpack");
        Refused([0x89, (byte)'H', (byte)'D', (byte)'F', 13, 10], "HDF5");
        Refused([0x80, 4, 0x95, 1, 2], "plain pickle");
        var tar = new byte[1024];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        Refused(tar, "tar archive");
        Assert.Contains("no such file", Assert.Throws<FileNotFoundException>(() => WeightsFile.Open(_directory / "nothing")).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => WeightsFile.Open(_directory.Path));
    }

    [Fact]
    public void Shards_are_read_as_one_file()
    {
        SafeTensorsWriter.Write(_directory / "model-1.safetensors", One("a", 1));
        SafeTensorsWriter.Write(_directory / "model-2.safetensors", One("b", 5));
        File.Copy(Golden.Torch("types.pth"), _directory / "model-3.bin");
        Index("""{"metadata":{"total_size":16},"weight_map":{"b":"model-2.safetensors","a":"model-1.safetensors","f16":"model-3.bin"}}""");
        using var file = WeightsFile.Open(_directory.Path); // by the index's usual name
        Assert.Equal((WeightsFormat.Index, "16"), (file.Format, file.Metadata["total_size"]));
        Assert.Equal(["b", "a", "f16"], file.Tensors.Names);
        Assert.Equal([5f, 2], file.Tensors["b"].ToF32());
        Assert.Equal(-1f, file.Tensors["f16"].ToF32()[0]);
    }

    [Theory]
    [InlineData("../secret.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub/model.safetensors")]
    [InlineData("..\\\\secret")]
    [InlineData("C:x")]
    [InlineData("..")]
    [InlineData("")]
    public void Shards_lie_beside_their_index_and_nowhere_else(string name)
    {
        SafeTensorsWriter.Write(_directory / "secret.safetensors", One("a"));
        Directory.CreateDirectory(_directory / "sub");
        File.Copy(_directory / "secret.safetensors", _directory / "sub/model.safetensors");
        Assert.Contains("no name of a file beside the index", Broken("{\"weight_map\":{\"a\":\"" + name + "\"}}"), StringComparison.Ordinal);
    }

    [Fact]
    public void An_index_that_does_not_fit_its_files_is_refused()
    {
        SafeTensorsWriter.Write(_directory / "m.safetensors", One("a"));
        Assert.Contains("is missing", Broken("""{"weight_map":{"a":"n.safetensors"}}"""), StringComparison.Ordinal);
        Assert.Contains("is not in", Broken("""{"weight_map":{"b":"m.safetensors"}}"""), StringComparison.Ordinal);
        Assert.Contains("stands twice", Broken("""{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}"""), StringComparison.Ordinal);
        Assert.Contains("no text", Broken("""{"weight_map":{"a":1}}"""), StringComparison.Ordinal);
        Assert.Contains("no index of weights", Broken("""{"weight_map":[]}"""), StringComparison.Ordinal);
        Assert.Contains("no index of weights", Broken("""{"weight_map":{"\ud800":"m.safetensors"}}"""), StringComparison.Ordinal);
        Assert.Contains("is an index itself", Broken("""{"weight_map":{"a":"model.safetensors.index.json"}}"""), StringComparison.Ordinal);
    }

    [Fact]
    public void Replacing_a_file_leaves_the_old_one_when_it_fails()
    {
        var path = _directory / "w.safetensors";
        SafeTensorsWriter.Replace(path, One("a"));
        var before = File.ReadAllBytes(path);
        using (var source = TorchFile.Open(_directory.Write("x.pth", File.ReadAllBytes(Golden.Torch("types.pth")))))
        {
            using (var cut = File.Open(source.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) cut.SetLength(1000);
            Assert.Throws<FileFormatException>(() => SafeTensorsWriter.Replace(path, source.Tensors));
        }
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Equal(2, Directory.GetFiles(_directory.Path).Length);
    }

    private string Broken(string json)
    {
        Index(json);
        return Assert.Throws<FileFormatException>(() => WeightsFile.Open(_directory / "model.safetensors.index.json")).Message;
    }

    private void Index(string json) => File.WriteAllText(_directory / "model.safetensors.index.json", json);

    private void Refused(byte[] bytes, string expected)
    {
        var path = _directory.Write("x.bin", bytes);
        var error = Assert.Throws<FileFormatException>(() => WeightsFile.Open(path));
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }
}
