using System.Globalization;
using System.Xml.Linq;
using Plip.Evaluation;
using SkiaSharp;
using Xunit;

namespace Plip.Tests.Evaluation;

public class ReportBuilderTests
{
    private const string Nasty = "<script>alert('x')</script> & \"quotes\" \u0001 \ud800 ]]> -->";
    private static readonly XNamespace Html = "http://www.w3.org/1999/xhtml", Svg = "http://www.w3.org/2000/svg";

    private static ReportPicture Picture(byte r, byte g, byte b, int width = 5, int height = 9) =>
        new(width, height, [.. Enumerable.Range(0, width * height).SelectMany(_ => new[] { r, g, b })]);

    private static ReportDocument Full()
    {
        var figures = new RetrievalResult(0.5964, 0.81, 0.9, 0.539, 0.52, 0.31, 2000, 12345, 3, "text→image " + Nasty);
        var row = new FigureRow(Nasty, figures, "World " + Nasty, "test", "0123456789abcdef", true);
        var curve = Enumerable.Range(1, 3000).Select(i => new CurvePoint(i, 30.0 / i + 1)).ToArray();
        var red = ColourVocabulary.SwapColours[0];
        return new ReportDocument
        {
            Title = "Title " + Nasty,
            Summary = Nasty,
            Date = "1 January",
            Headlines = [new Headline("R@1", "59.6", "%", Nasty)],
            Losses = [new Curve("IVLC " + Nasty, curve, "samples", "loss"), new Curve("TIC", curve, "samples", "loss") { Logarithmic = true }],
            Progress = [new Curve("R@1", [new(0, double.NaN), new(1, 0), new(2, 5), new(3, 50)], "samples", "per cent") { Logarithmic = true, Smooth = false, Levels = [("chance " + Nasty, 0.5)] }],
            Gallery = new RetrievalGallery("Every 200th. " + Nasty, [new GalleryQuery(Nasty, [new(Picture(200, 0, 0), true, 0.5f), new(Picture(0, 0, 200), false, -0.25f)], 1)]),
            Colorization = new ColorizationGrid("Every 9th.",
                [new ColorizationRow("A man in a red coat.", CaptionSwap.Find("A man in a red coat."), Picture(90, 90, 90), Picture(200, 30, 40), [new(red, Picture(180, 40, 40))], Picture(210, 20, 30))],
                new FidelityResult(10, 8, 0.8, 5.25, [("red", 10, 0.8)])),
            Masked = new MaskedPredictions("All.", [new MaskedCaption([new("A"), new("red", [new("red", 0.75), new(Nasty, 0.25)]), new("coat"), new(".")], Picture(1, 2, 3))], new AttributeResult(0.48, 0.14, 3, 5000)) { BaselineWord = Nasty },
            Figures = [row, FigureRow.ForChance(new ChanceLevel(0.005, 0.02, 0.05, 0.01, 0.009, 0.008), row)],
            Machine = [new NamedValue("cores " + Nasty, "2")],
            Phases = [new PhaseTime("Train " + Nasty, TimeSpan.FromSeconds(421)), new PhaseTime("Rest", TimeSpan.Zero)],
            Settings = [new NamedValue("seed", Nasty)],
            Notes = [Nasty],
        };
    }

    private static XDocument Parse(string html)
    {
        Assert.StartsWith("<!DOCTYPE html>", html);
        return XDocument.Parse(html["<!DOCTYPE html>".Length..]);
    }

    [Fact]
    public void Is_well_formed_and_escapes_everything()
    {
        var html = ReportBuilder.Build(Full());
        var document = Parse(html);
        Assert.DoesNotContain("<script", html);
        Assert.Empty(document.Descendants(Html + "script"));
        Assert.Equal("Title <script>alert('x')</script> & \"quotes\" \ufffd \ufffd ]]> -->", document.Descendants(Html + "h1").Single().Value);
        // HTML closes only its void elements by themselves: <div/> would swallow the rest of the page.
        string[] mayBeEmpty = ["meta", "img", "path", "line", "rect", "circle"];
        foreach (System.Text.RegularExpressions.Match match in System.Text.RegularExpressions.Regex.Matches(html, "<([a-z]+)[^<>]*/>"))
            Assert.Contains(match.Groups[1].Value, mayBeEmpty);
    }

    [Fact]
    public void Fetches_nothing_and_its_links_lead_somewhere()
    {
        var document = Parse(ReportBuilder.Build(Full()));
        Assert.All(document.Descendants(Html + "img"), i => Assert.StartsWith("data:image/jpeg;base64,", i.Attribute("src")!.Value));
        var ids = document.Descendants().Attributes("id").Select(a => a.Value).ToArray();
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.Equal(9, document.Descendants(Html + "a").Count());
        Assert.All(document.Descendants(Html + "a"), a => Assert.Contains(a.Attribute("href")!.Value[1..], ids));
        Assert.DoesNotContain(document.Descendants(), e => e.Name.LocalName is "link" or "iframe" or "object");
        var style = document.Descendants(Html + "style").Single().Value;
        Assert.DoesNotContain("url(", style);
        Assert.DoesNotContain("@import", style);
    }

    [Fact]
    public void Pictures_keep_their_size_and_colour()
    {
        var first = Parse(ReportBuilder.Build(Full())).Descendants(Html + "img").First();
        using var bitmap = SKBitmap.Decode(Convert.FromBase64String(first.Attribute("src")!.Value["data:image/jpeg;base64,".Length..]));
        Assert.Equal((5, 9), (bitmap.Width, bitmap.Height));
        var pixel = bitmap.GetPixel(2, 4);
        Assert.True(pixel is { Red: > 190 and < 210, Green: < 10, Blue: < 10 }, pixel.ToString()); // JPEG at quality 90
    }

    [Fact]
    public void Figures_stand_with_their_protocol_and_the_right_hit_is_marked()
    {
        var document = Parse(ReportBuilder.Build(Full()));
        var rows = document.Descendants(Html + "tr").Where(r => (string?)r.Attribute("class") is "model" or "rival").ToArray();
        Assert.Equal(2, rows.Length);
        Assert.Equal(["59.6", "81.0", "90.0", "53.9", "52.0", "31.0"], rows[0].Elements(Html + "td").Take(6).Select(e => e.Value));
        Assert.Equal("0.5", rows[1].Element(Html + "td")!.Value);
        Assert.Contains("0123456789ab", rows[0].Value);
        Assert.Contains("12\u2009345", rows[0].Value);
        Assert.Single(document.Descendants(Html + "ol").Single().Elements());
        var hits = document.Descendants(Html + "figure").Where(f => ((string?)f.Attribute("class"))!.StartsWith("hit", StringComparison.Ordinal)).ToArray();
        Assert.Equal(["hit right", "hit"], hits.Select(h => h.Attribute("class")!.Value));
        Assert.Equal("red", document.Descendants(Html + "u").Single().Value);
    }

    [Fact]
    public void Charts_hold_their_points_inside_the_frame_and_count_what_is_left_out()
    {
        var document = Parse(ReportBuilder.Build(Full()));
        var charts = document.Descendants(Svg + "svg").ToArray();
        Assert.Equal(3, charts.Length);
        foreach (var number in charts.Descendants(Svg + "path").SelectMany(p => p.Attribute("d")!.Value.Split('M', 'L', ' ')).Where(n => n.Length > 0))
            Assert.True(double.IsFinite(double.Parse(number, CultureInfo.InvariantCulture)));
        foreach (var line in charts.Descendants(Svg + "path").Where(p => p.Attribute("class")!.Value == "line"))
        {
            var xs = line.Attribute("d")!.Value.Split('M', 'L').Where(n => n.Length > 0).Select(n => double.Parse(n.Split(' ')[0], CultureInfo.InvariantCulture)).ToArray();
            Assert.Equal(xs.Order(), xs);
            Assert.InRange(xs[0], 0, 520);
            Assert.InRange(xs[^1], 0, 520);
            Assert.True(xs.Length < 700); // thinned
        }
        Assert.Contains("left out: 2 not finite or not above 0", document.Descendants(Html + "figcaption").First(c => c.Value.Contains("per cent")).Value);
    }

    [Fact]
    public void An_empty_document_and_empty_curves_still_make_a_page()
    {
        var document = Parse(ReportBuilder.Build(new ReportDocument { Title = "Nothing yet" }));
        Assert.Empty(document.Descendants(Html + "section"));
        var curves = Parse(ReportBuilder.Build(new ReportDocument { Title = "", Losses = [new Curve("a", [], "x", "y"), new Curve("b", [new(3, 4)], "x", "y")] }));
        Assert.Contains("No values to draw.", curves.ToString());
    }

    [Fact]
    public void The_machine_s_culture_does_not_show()
    {
        var expected = ReportBuilder.Build(Full());
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            Assert.Equal(expected, ReportBuilder.Build(Full()));
        }
        finally { CultureInfo.CurrentCulture = before; }
    }

    [Fact]
    public void A_picture_whose_bytes_do_not_fit_is_refused()
    {
        var document = new ReportDocument { Title = "x", Masked = new MaskedPredictions("", [new MaskedCaption([], new ReportPicture(2, 2, new byte[5]))]) };
        Assert.Contains("needs 12 bytes", Assert.Throws<ArgumentException>(() => ReportBuilder.Build(document)).Message);
    }

    [Fact]
    public void Smoothing_is_centred_and_thinning_keeps_spikes()
    {
        var ramp = Enumerable.Range(0, 1000).Select(i => new CurvePoint(i, i == 417 ? 1e6 : i)).ToArray();
        var smooth = CurveShaping.Smooth(ramp[..400], 21);
        Assert.Equal(200, smooth[200].Y, 1e-9); // a lagging average would read less
        Assert.Equal(5, smooth[0].Y, 1e-9);     // the mean of 0..10
        var thin = CurveShaping.Thin(ramp, 50);
        Assert.True(thin.Count <= 101);
        Assert.Contains(new CurvePoint(417, 1e6), thin);
        Assert.Equal(thin.OrderBy(p => p.X), thin);
        Assert.Equal(ramp[^1], thin[^1]);
    }
}
