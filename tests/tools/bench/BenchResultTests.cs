using System.Globalization;
using System.Text.Json;
using Plip.Bench;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Tools.Bench;

public class BenchResultTests
{
    [Theory]
    [InlineData("en-US")]
    [InlineData("de-DE")] // where a comma stands for the point
    public void A_file_gives_back_what_was_saved(string culture)
    {
        using var folder = new TemporaryDirectory();
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(culture);
        try
        {
            var path = Path.Combine(folder.Path, "r.json");
            Results.Some.Save(path);
            var back = BenchResult.Load(path);
            Assert.Equal(Results.Some.Machine, back.Machine);
            Assert.Equal(Results.Some.Rows, back.Rows);
            Assert.Equal([path], Directory.GetFiles(folder.Path));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void The_keys_are_the_documented_ones()
    {
        using var json = JsonDocument.Parse(JsonSerializer.Serialize(Results.Some, BenchJson.Default.BenchResult));
        var machine = json.RootElement.GetProperty("machine");
        foreach (var key in new[] { "cpu_model", "logical_cores", "threads", "peak_gflops", "bandwidth_gbs", "date", "vector_bits", "dotnet", "libtorch" })
            Assert.True(machine.TryGetProperty(key, out _), key);
        var rows = json.RootElement.GetProperty("rows");
        foreach (var key in new[] { "name", "ours_ms", "peer", "peer_ms", "ratio", "share_of_floor", "gflops" })
            Assert.True(rows[0].TryGetProperty(key, out _), key);
        Assert.Equal(JsonValueKind.Null, rows[1].GetProperty("peer").ValueKind);
        Assert.Equal(2, rows[0].GetProperty("ratio").GetDouble());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("no json")]
    [InlineData("{\"machine\": null, \"rows\": []}")]
    [InlineData("{\"machine\": {}, \"rows\": [{\"name\": \"x\"}]}")]
    public void A_file_that_is_no_result_is_named(string text)
    {
        using var folder = new TemporaryDirectory();
        var path = Path.Combine(folder.Path, "wrong.json");
        File.WriteAllText(path, text);
        Assert.Contains(path, Assert.Throws<BenchException>(() => BenchResult.Load(path)).Message);
    }
}
