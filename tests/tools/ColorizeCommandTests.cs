using System.Text.Json;
using Plip.Configs;
using Plip.Data;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Tools;

[Collection("console")]
public sealed class ColorizeCommandTests(ColorizeCommandTests.Runs runs) : IClassFixture<ColorizeCommandTests.Runs>
{
    /// <summary>A run with the colorization task and one without.</summary>
    public sealed class Runs : IDisposable
    {
        public Runs()
        {
            With = Path.Combine(Plip.Trained(TinyPlip.Config()), "checkpoints", "best");
            var config = TinyPlip.Config();
            config = config with { Tasks = new TasksConfig { Tic = config.Tasks.Tic with { Enabled = false } } };
            Without = Path.Combine(Plip.Trained(config), "checkpoints", "best");
        }

        public TinyPlip Plip { get; } = new();

        public string With { get; }

        public string Without { get; }

        public string At(string name) => Path.Combine(Plip.Root, name);

        public void Dispose() => Plip.Dispose();
    }

    private Captured Colorize(string checkpoint, params string[] args) =>
        Captured.Run(["colorize", "--checkpoint", checkpoint, "--image", runs.Plip.Test.Images[0].FullPath, "--out", runs.At("c.png"), .. args]);

    [Fact]
    public void A_figure_has_a_row_for_each_text_and_a_panel_for_each_colour()
    {
        var run = Colorize(
            runs.With, "--text", "a man in a red coat and black trousers", "--text", "a woman in a white coat and blue jeans", "--swap", "blue, ,green,", "--height", "64", "--json", runs.At("c.json"));
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("a man in a green coat and black trousers", run.Out);
        Assert.Contains("a woman in a blue coat and blue jeans", run.Out);
        var figure = Picture.Load(runs.At("c.png"));
        // Five panels: gray, painted, two swaps, original. A label of eight letters ("original") and a gap are wider than a panel of 32 pixels.
        Assert.Equal(8 + 5 * (9 * 12 + 8), figure.Width);
        Assert.Contains($"{figure.Width}×{figure.Height}", run.Out);
        using var json = JsonDocument.Parse(File.ReadAllText(runs.At("c.json")));
        var rows = json.RootElement.GetProperty("rows");
        Assert.Equal(2, rows.GetArrayLength());
        Assert.Equal(("coat", "red"), (rows[0].GetProperty("garment").GetString(), rows[0].GetProperty("words").GetString()));
        var panels = rows[0].GetProperty("panels");
        Assert.Equal(["gray", "red", "blue", "green", "original"], panels.EnumerateArray().Select(p => p.GetProperty("label").GetString()));
        var gray = panels[0].GetProperty("upper");
        Assert.InRange(gray[0].GetDouble(), 1, 99);
        Assert.Equal(0, gray[1].GetDouble(), 0.5); // gray has no chroma, to the rounding of a byte
        Assert.Equal(0, gray[2].GetDouble(), 0.5);
    }

    [Fact]
    public void The_garment_is_the_one_asked_for()
    {
        var run = Colorize(runs.With, "--text", "a man in a red coat and black trousers", "--swap", "white", "--garment", "lower");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("a man in a red coat and white trousers", run.Out);
        Assert.Contains("feet", Colorize(runs.With, "--text", "a man in a red coat", "--swap", "white", "--garment", "feet").Fails(2));
        Assert.Contains("somebody walks", Colorize(runs.With, "--text", "a man in a red coat", "--text", "somebody walks", "--swap", "red").Fails(2));
    }

    [Fact]
    public void Any_shape_of_picture_keeps_its_shape()
    {
        foreach (var (width, height, panel) in new[] { (300, 40, 4 * 64), (7, 200, 8), (50, 50, 64), (1, 1, 64) })
        {
            var path = runs.At("shape.png");
            new Picture(width, height, [.. Enumerable.Range(0, width * height * 3).Select(i => (byte)(i * 7))]).SavePng(path);
            var run = Captured.Run("colorize", "--checkpoint", runs.With, "--image", path, "--out", runs.At("s.png"), "--text", "a man", "--height", "64");
            Assert.Equal((0, ""), (run.Code, run.Error));
            Assert.Equal(8 + 3 * (Math.Max(panel, 108) + 8), Picture.Load(runs.At("s.png")).Width);
        }
    }

    [Fact]
    public void A_colour_that_is_none_is_painted_and_said()
    {
        var run = Colorize(runs.With, "--text", "a man in a red coat", "--swap", "sparkly,dark blue");
        Assert.Equal(0, run.Code);
        Assert.Contains("\"sparkly\" is no colour word", run.Error);
        Assert.DoesNotContain("dark blue", run.Error);
        Assert.Contains("a dark blue coat", run.Out);
    }

    [Fact]
    public void A_model_without_the_task_cannot()
    {
        Assert.Contains("without the colorization task", Colorize(runs.Without, "--text", "a man").Fails(2));
    }
}
