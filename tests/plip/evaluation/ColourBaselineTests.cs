using Plip.Engine;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class ColourBaselineTests
{
    private static readonly (string Word, byte R, byte G, byte B)[] Cloth =
    [
        ("black", 25, 25, 27), ("white", 235, 236, 240), ("red", 190, 35, 40), ("blue", 50, 80, 180),
        ("green", 45, 130, 65), ("yellow", 228, 205, 70), ("pink", 230, 150, 180), ("brown", 95, 65, 45), ("grey", 128, 128, 130),
    ];

    // A standing figure before a street: hair, one colour above the hip, one below, shoes; with noise on every pixel.
    private static byte[] Person(int upper, int lower, uint seed)
    {
        const int width = 32, height = 64;
        var random = new Philox(3, seed);
        var rgb = new byte[3 * width * height];
        for (var y = 0; y < height; y++)
            for (var x = 0; x < width; x++)
            {
                var inside = Math.Abs(x - 15.5) < 8;
                var (_, r, g, b) = !inside ? ("", (byte)140, (byte)138, (byte)130)
                    : y < 10 ? ("", (byte)60, (byte)45, (byte)38) : y < 32 ? Cloth[upper] : y < 55 ? Cloth[lower] : ("", (byte)40, (byte)40, (byte)42);
                var noise = random.Uniform((ulong)(y * width + x), -18, 18);
                var p = 3 * (y * width + x);
                (rgb[p], rgb[p + 1], rgb[p + 2]) = ((byte)Math.Clamp(r + noise, 0, 255), (byte)Math.Clamp(g + noise, 0, 255), (byte)Math.Clamp(b + noise, 0, 255));
            }
        return rgb;
    }

    [Fact]
    public void Finds_a_person_among_all_pairs_of_colours_by_the_words_alone()
    {
        var pairs = (from u in Enumerable.Range(0, Cloth.Length) from l in Enumerable.Range(0, Cloth.Length) select (u, l)).ToArray();
        var ids = Enumerable.Range(0, pairs.Length).ToArray();
        var pictures = pairs.SelectMany((p, i) => ColourBaseline.Embed(Person(p.u, p.l, (uint)i), 32, 64)).ToArray();
        var captions = pairs.SelectMany(p => ColourBaseline.Embed($"A man in a {Cloth[p.u].Word} jacket and {Cloth[p.l].Word} trousers.")).ToArray();
        ColourBaseline.Centre(pictures, ColourBaseline.Mean(pictures));
        var outcome = Retrieval.Evaluate(captions, ids, pictures, ids, ColourBaseline.Dimensions);
        Assert.True(outcome.Figures.R1 > 0.9, $"R@1 {outcome.Figures.R1}"); // chance is 1/81
        Assert.True(outcome.Figures.R10 > 0.99, $"R@10 {outcome.Figures.R10}");
    }

    [Fact]
    public void A_colour_counts_where_its_garment_is()
    {
        float[] redAboveBlue = ColourBaseline.Embed(Person(2, 3, 1), 32, 64), blueAboveRed = ColourBaseline.Embed(Person(3, 2, 2), 32, 64);
        var caption = ColourBaseline.Embed("The woman wears blue jeans and a red coat.");
        float Dot(float[] a, float[] b) => a.Zip(b, (x, y) => x * y).Sum();
        Assert.True(Dot(caption, redAboveBlue) > 1.2f * Dot(caption, blueAboveRed));
    }

    [Fact]
    public void A_caption_without_colours_is_zero() => Assert.All(ColourBaseline.Embed("A tall man walks with a paper."), v => Assert.Equal(0, v));

    [Fact]
    public void Bad_sizes_are_refused()
    {
        Assert.Throws<ArgumentException>(() => ColourBaseline.Embed(new byte[10], 2, 2));
        Assert.Throws<ArgumentException>(() => ColourBaseline.Mean([]));
        Assert.Throws<ArgumentException>(() => ColourBaseline.Centre(new float[ColourBaseline.Dimensions], new float[3]));
    }
}
