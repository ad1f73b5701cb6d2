using Plip.Training;
using Xunit;

namespace Plip.Tests.Training;

public sealed class MetricsLogTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), "plip-metrics-" + Guid.NewGuid().ToString("N") + ".jsonl");

    public void Dispose() => File.Delete(_path);

    private void Write(long? keep, params long[] steps)
    {
        using var log = new MetricsLog(_path, keep);
        foreach (var s in steps) log.Write("train", s, [new("loss", 1.0 / s), new("bad", double.NaN)]);
    }

    private long[] Steps() => [.. MetricsLog.Read(_path).Select(e => e.Step)];

    [Fact]
    public void What_is_written_is_read_back()
    {
        Write(null, 1, 3);
        var lines = MetricsLog.Read(_path).ToArray();
        Assert.Equal(("train", 3L, 1.0 / 3), (lines[1].Kind, lines[1].Step, lines[1].Values["loss"]));
        Assert.True(double.IsNaN(lines[1].Values["bad"]));
        Assert.Contains("\"bad\":null", File.ReadAllText(_path)); // JSON has no NaN
    }

    [Fact]
    public void A_new_run_starts_a_new_file_and_a_resumed_one_goes_on_after_its_step()
    {
        Write(null, 1, 2, 3);
        Write(2, 3, 4);
        Assert.Equal([1, 2, 3, 4], Steps());
        Write(null, 7);
        Assert.Equal([7], Steps());
        File.Delete(_path);
        Write(5, 6);
        Assert.Equal([6], Steps());
    }

    [Theory]
    [InlineData("{\"kind\":\"train\",\"step\":2,\"lo")]
    [InlineData("{\"kind\":\"train\"}")]
    [InlineData("[1]")]
    [InlineData("")]
    public void A_line_that_was_cut_short_is_left_out_and_gone_after_resuming(string rest)
    {
        Write(null, 1);
        File.AppendAllText(_path, rest);
        Assert.Equal([1], Steps());
        Write(1, 2);
        Assert.Equal([1, 2], Steps());
    }
}
