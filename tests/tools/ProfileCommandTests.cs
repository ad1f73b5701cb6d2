using System.Text.Json;
using Plip.Configs;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class ProfileCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("plip-profile-").FullName;

    private string At(string name) => Path.Combine(_folder, name);

    [Fact]
    public void It_prints_a_table_and_writes_figures_and_a_trace()
    {
        File.WriteAllText(At("config.json"), ConfigFile.ToJson(TinyPlip.Config()));
        var run = Captured.Run("profile", "--config", At("config.json"), "--batch", "4", "--steps", "2", "--threads", "2", "--json", At("p.json"), "--trace", At("t.json"));
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in new[] { "test, batch 4", "GFLOP/s", "layer_norm_forward", "outside kernels", "forward", "backward", "optimizer", "pairs/s", "peak memory" })
            Assert.Contains(word, run.Out);
        using var json = JsonDocument.Parse(File.ReadAllText(At("p.json")));
        var root = json.RootElement;
        Assert.Equal((4, 2), (root.GetProperty("batch").GetInt32(), root.GetProperty("threads").GetInt32()));
        var kernels = root.GetProperty("kernels").EnumerateArray().ToArray();
        Assert.Contains(kernels, k => k.GetProperty("name").GetString() == "layer_norm_forward" && k.GetProperty("calls").GetInt32() > 0 && k.GetProperty("bytes").GetInt64() > 0);
        var whole = kernels.Sum(k => k.GetProperty("ms").GetDouble()) + root.GetProperty("outside_ms").GetDouble();
        Assert.Equal(root.GetProperty("step_ms").GetDouble(), whole, 6);
        using var trace = JsonDocument.Parse(File.ReadAllText(At("t.json")));
        Assert.Contains(trace.RootElement.EnumerateArray(), e => e.GetProperty("name").GetString() == "backward");
    }

    [Theory]
    [InlineData("--batch 1", "--batch is 1", 2)]
    [InlineData("--steps 0", "--steps is 0", 2)]
    [InlineData("--device gpu", "\"gpu\"", 2)]
    [InlineData("--config nope", "plip-tiny", 1)]
    [InlineData("--json {tmp}/nowhere/p.json", "nowhere", 1)]
    public void Wrong_use_is_one_line(string line, string mentions, int code) =>
        Assert.Contains(mentions, Captured.Run(["profile", .. line.Replace("{tmp}", _folder, StringComparison.Ordinal).Split(' ')]).Fails(code));

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
