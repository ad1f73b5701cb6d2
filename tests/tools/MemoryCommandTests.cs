using System.Globalization;
using System.Text.Json;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class MemoryCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("plip-memory-").FullName;

    [Fact]
    public void It_prints_the_parts_and_writes_them()
    {
        var file = Path.Combine(_folder, "m.json");
        var run = Captured.Run("memory", "--config", "plip-tiny", "--batch", "32", "--words", "500", "--tokens", "24", "--fit", "0.5", "--json", file);
        Assert.Equal((0, ""), (run.Code, run.Error));
        foreach (var word in new[] { "weights", "moments of AdamW", "kept for the backward: pictures", "in use at the peak", "a batch of 32 pairs, captions of 24 tokens, 500 words", "0.5 GB hold a batch of" })
            Assert.Contains(word, run.Out);
        using var json = JsonDocument.Parse(File.ReadAllText(file));
        var root = json.RootElement;
        Assert.Equal(root.GetProperty("peak_bytes").GetInt64(), root.GetProperty("parts").EnumerateArray().Sum(p => p.GetProperty("bytes").GetInt64()));
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"hold a batch of {root.GetProperty("largest_batch").GetInt32()}"), run.Out);
        Assert.Equal(("plip-tiny", 32, 24), (root.GetProperty("config").GetString(), root.GetProperty("batch").GetInt32(), root.GetProperty("tokens").GetInt32()));
    }

    [Fact]
    public void Recomputation_and_precision_are_planned_with()
    {
        long Peak(params string[] more)
        {
            var file = Path.Combine(_folder, "p.json");
            Assert.Equal(0, Captured.Run(["memory", "--config", "plip-rn50", "--batch", "8", "--device", "cpu", "--json", file, .. more]).Code);
            using var json = JsonDocument.Parse(File.ReadAllText(file));
            return json.RootElement.GetProperty("peak_bytes").GetInt64();
        }
        foreach (var precision in new[] { "BF16", "F16" }) Assert.True(Peak("--precision", precision) < Peak());
        Assert.True(Peak("--recompute", "All") < Peak());
    }

    [Theory]
    [InlineData("--batch 1", "--batch is 1", 2)]
    [InlineData("--tokens 65", "--tokens is 65", 2)]
    [InlineData("--words -1", "--words is -1", 2)]
    [InlineData("--fit -3", "--fit is -3", 2)]
    [InlineData("--device gpu", "gpu", 2)]
    [InlineData("--recompute Some", "Some", 2)]
    [InlineData("--config nope", "plip-tiny", 1)]
    [InlineData("--json {tmp}/nowhere/p.json", "nowhere", 1)]
    public void Wrong_use_is_one_line(string line, string mentions, int code) =>
        Assert.Contains(mentions, Captured.Run(["memory", .. line.Replace("{tmp}", _folder, StringComparison.Ordinal).Split(' ')]).Fails(code));

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
