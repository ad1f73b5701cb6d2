using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class TinyFontTests
{
    private static string[] Draw(string text, int width, int height, int scale = 1)
    {
        var rgb = new byte[width * height * 3];
        TinyFont.Write(rgb, width, height, 0, 0, text, scale, 255);
        return [.. Enumerable.Range(0, height).Select(y => string.Concat(Enumerable.Range(0, width).Select(x => rgb[(y * width + x) * 3] == 0 ? '.' : '#')))];
    }

    [Fact]
    public void Letters_look_like_letters()
    {
        Assert.Equal(
        [
            "####..#####",
            "#...#...#..",
            "#...#...#..",
            "####....#..",
            "#.#.....#..",
            "#..#....#..",
            "#...#...#..",
        ], Draw("rT", 11, 7));
        Assert.Equal(Draw("a?b", 30, 7), Draw("A字B", 30, 7));
        Assert.Equal(Draw("I", 5, 7).SelectMany(l => new[] { l, l }), Draw("I", 10, 14, scale: 2).Select(l => string.Concat(l.Where((_, i) => i % 2 == 0))));
    }

    [Fact]
    public void Every_glyph_differs_and_what_does_not_fit_is_cut()
    {
        const string all = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-'? ";
        var shapes = all.Select(c => string.Join('\n', Draw(c.ToString(), 6, 9))).ToList();
        Assert.Equal(all.Length, shapes.Distinct().Count());
        Assert.All(shapes, s => Assert.EndsWith(".", s.Split('\n')[0])); // a column between letters
        _ = Draw(all, 20, 4); // no write outside
    }

    [Fact]
    public void Lines_break_between_words()
    {
        Assert.Equal(["a man in", "a red", "coat"], TinyFont.Wrap(" a man in  a red coat", 8));
        Assert.Equal(["abcd", "ef"], TinyFont.Wrap("abcdefgh ef", 4));
        Assert.Empty(TinyFont.Wrap("  ", 4));
    }
}
