using System.Text.Json;
using Plip.Data;
using Xunit;

namespace Plip.Tests.Data;

public class DataCheckTests
{
    [Fact]
    public void A_sound_data_set_has_counts_and_no_findings()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var report = DataCheck.Run(tiny.Root);
        Assert.False(report.HasErrors);
        Assert.All(report.Findings, f => Assert.Equal(0, f.Count));
        Assert.Equal([new("test", 3, 1, 6, 0, new(3, 3, 3)), new("train", 11, 4, 22, 0, new(2, 2.5, 4))], report.Splits);
        Assert.Equal(new Spread(5, 6.5, 8), report.CaptionWords.Words);
        Assert.Equal(28, report.CaptionWords.Histogram.Single(b => b.Words == "1-9").Count);
        Assert.Equal(28, report.CaptionWords.Histogram.Sum(b => b.Count));
        Assert.Equal(14, report.FilesDecoded);
        Assert.Contains("no errors", report.ToText());
    }

    [Fact]
    public void Every_kind_of_fault_is_found_and_named()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        var whole = File.ReadAllBytes(tiny.At("imgs/p0/0.jpg"));
        File.WriteAllBytes(tiny.At("imgs/p0/cut.jpg"), whole[..(whole.Length / 2)]);
        tiny.Write("imgs/p0/text.jpg", "not a picture");
        tiny.Write("reid_raw.json", TinyData.Json([
            TinyData.Entry(1, "p0/0.jpg", "train", "fine"),
            TinyData.Entry(1, "p0/cut.jpg", "train", "a [mask] here"),
            TinyData.Entry(1, "p0/text.jpg", "train", ""),
            TinyData.Entry(1, "p0/gone.jpg", "train"),
            TinyData.Entry(2, "p1/0.jpg", "train", string.Join(' ', Enumerable.Repeat("coat", 1001))),
            TinyData.Entry(2, "p1/1.jpg", "test", string.Join(' ', Enumerable.Repeat("coat", 1000))),
            TinyData.Entry(2, "p1/0.jpg", "train", "again"),
            TinyData.Entry(3, "p1/1.jpg", "test", "someone else")]));
        var report = DataCheck.Run(tiny.Root, new DataCheckSettings { Workers = 3 });
        Assert.True(report.HasErrors);
        string[] Cases(string kind) => report.Findings.Single(f => f.Kind.StartsWith(kind, StringComparison.Ordinal)).Cases;
        var broken = Cases("missing or broken");
        Assert.Equal(["entry 1", "entry 2", "entry 3"], broken.Select(b => b.Split(',')[0]));
        Assert.Contains(tiny.At("imgs/p0/cut.jpg"), broken[0]);
        Assert.Contains("not a picture", broken[1]);
        Assert.Contains("missing", broken[2]);
        Assert.Equal(["entry 2, p0/text.jpg, caption 0"], Cases("empty caption"));
        Assert.Equal(["entry 3, p0/gone.jpg"], Cases("entry without"));
        Assert.Equal(["identity 2: test, train"], Cases("identity in two"));
        Assert.StartsWith("entry 7, p1/1.jpg: identity 3, split test; entry 5: identity 2", Assert.Single(Cases("picture listed twice with")));
        Assert.Equal(["entry 6, p1/0.jpg: also entry 4"], report.Findings.Single(f => f.Kind == "picture listed twice").Cases);
        Assert.Equal(["entry 4, p1/0.jpg, caption 0: 1001 words"], Cases("caption of more than 1000"));
        Assert.Equal(["entry 1, p0/cut.jpg, caption 0"], Cases("\"[MASK]\""));
        Assert.Equal([1, 4, 0, 0, 0, 0, 0, 0, 2], report.CaptionWords.Histogram.Select(b => b.Count));
        Assert.Equal(6, report.FilesDecoded); // each file once, however often it is listed
    }

    [Fact]
    public void Lists_stop_at_the_cap_and_counts_do_not()
    {
        using var tiny = new TinyData();
        tiny.Write("reid_raw.json", TinyData.Json(Enumerable.Range(0, 30).Select(i => TinyData.Entry(i, $"{i}.jpg", "train", "x"))));
        var report = DataCheck.Run(tiny.Root, new DataCheckSettings { ListCap = 5, Decode = false });
        var broken = report.Findings.Single(f => f.Kind.StartsWith("missing", StringComparison.Ordinal));
        Assert.Equal((30, 5, 0), (broken.Count, broken.Cases.Length, report.FilesDecoded));
        Assert.Contains("ERROR: 30 ×", report.ToText());
        Assert.Contains("… and 25 more", report.ToText());
    }

    [Fact]
    public void Text_and_json_do_not_depend_on_the_culture_or_the_number_of_threads()
    {
        using var tiny = new TinyData().WithCuhkPedes();
        File.Delete(tiny.At("imgs/p1/0.jpg"));
        File.Delete(tiny.At("imgs/p3/1.jpg"));
        var report = DataCheck.Run(tiny.Root, new DataCheckSettings { Workers = 1 });
        var before = Thread.CurrentThread.CurrentCulture;
        try
        {
            Thread.CurrentThread.CurrentCulture = new System.Globalization.CultureInfo("de-DE");
            var again = DataCheck.Run(tiny.Root, new DataCheckSettings { Workers = 4 });
            Assert.Equal(report.ToJson(), again.ToJson());
            Assert.Contains("2/2.5/4", again.ToText());
        }
        finally
        {
            Thread.CurrentThread.CurrentCulture = before;
        }
        using var json = JsonDocument.Parse(report.ToJson());
        Assert.Equal("CuhkPedes", json.RootElement.GetProperty("layout").GetString());
        Assert.True(json.RootElement.GetProperty("hasErrors").GetBoolean());
        Assert.Equal(2.5, json.RootElement.GetProperty("splits")[1].GetProperty("imagesPerIdentity").GetProperty("median").GetDouble());
    }
}
