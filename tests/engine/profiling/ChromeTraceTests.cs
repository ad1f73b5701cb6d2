using System.Text.Json;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class ChromeTraceTests
{
    [Fact]
    public void A_trace_is_an_array_of_events_that_nest()
    {
        using var d = new CpuDevice(2);
        using var step = d.BeginStep();
        var x = Input.Normal(new(64, 256)).ToTensor(d);
        using var profiler = Profiler.Start(d);
        Tensor loss;
        using (Profiler.Phase(d, "forward \"quoted\"")) loss = Ops.Sum(Ops.Multiply(Ops.Add(x, x), x));
        loss.Backward();
        var profile = profiler.Stop();
        using var stream = new MemoryStream();
        ChromeTrace.Write(stream, profile);
        using var json = JsonDocument.Parse(stream.ToArray());
        var events = json.RootElement.EnumerateArray().ToArray();
        var spans = events.Where(e => e.GetProperty("ph").GetString() == "X").ToArray();
        Assert.Equal(profile.Events.Select(e => e.Name), spans.Select(e => e.GetProperty("name").GetString()!));
        Assert.Equal("forward \"quoted\"", spans[0].GetProperty("name").GetString());
        Assert.All(spans, e => Assert.Equal((1, 1), (e.GetProperty("pid").GetInt32(), e.GetProperty("tid").GetInt32())));
        Assert.True(ProfilerTests.Nested(spans.Select(e => (e.GetProperty("ts").GetDecimal(), e.GetProperty("dur").GetDecimal()))));
        // The forward phase ends before the backward begins, and each holds kernels.
        var (forward, backward) = (Span("forward \"quoted\""), Span("backward"));
        Assert.True(forward.Start + forward.Duration <= backward.Start);
        Assert.Contains(spans, e => e.GetProperty("cat").GetString() == "kernel" && e.GetProperty("ts").GetDecimal() >= backward.Start);
        var add = spans.First(e => e.GetProperty("name").GetString() == "add");
        Assert.Equal(3 * 64 * 256 * 4, add.GetProperty("args").GetProperty("bytes").GetInt64());
        Assert.Contains(events, e => e.GetProperty("ph").GetString() == "C" && e.GetProperty("args").GetProperty("MB").GetDecimal() > 0);

        (decimal Start, decimal Duration) Span(string name)
        {
            var e = spans.Single(s => s.GetProperty("name").GetString() == name);
            return (e.GetProperty("ts").GetDecimal(), e.GetProperty("dur").GetDecimal());
        }
    }
}
