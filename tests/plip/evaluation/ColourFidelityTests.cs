using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class ColourFidelityTests
{
    private const int Width = 8, Height = 16;

    // The garment is rows 4..9; everything else is a colour of its own.
    private static readonly bool[] Mask = [.. Enumerable.Range(0, Width * Height).Select(i => i / Width is >= 4 and < 10)];

    private static float[] Picture((float R, float G, float B) garment, (float R, float G, float B) rest) =>
        [.. Mask.SelectMany(m => m ? new[] { garment.R, garment.G, garment.B } : [rest.R, rest.G, rest.B])];

    private static (float R, float G, float B) Mix(NamedColour colour, float share) =>
        (0.45f + share * (colour.R / 255f - 0.45f), 0.45f + share * (colour.G / 255f - 0.45f), 0.45f + share * (colour.B / 255f - 0.45f));

    public static TheoryData<string> Colours => [.. ColourVocabulary.SwapColours.Select(c => c.Name)];

    [Theory, MemberData(nameof(Colours))]
    public void A_garment_tinted_with_the_named_colour_has_moved_toward_it_and_back_is_away(string name)
    {
        var target = ColourVocabulary.SwapColours.Single(c => c.Name == name);
        float[] plain = Picture((0.45f, 0.45f, 0.45f), (0.2f, 0.6f, 0.3f)), tinted = Picture(Mix(target, 0.3f), (0.2f, 0.6f, 0.3f));
        var fidelity = new ColourFidelity();
        Assert.True(fidelity.Add(plain, tinted, Mask, target).MovedToward);
        Assert.False(fidelity.Add(tinted, plain, Mask, target).MovedToward);
        Assert.False(fidelity.Add(plain, plain, Mask, target).MovedToward); // deaf to the caption
        Assert.Equal((3, 1), (fidelity.Result().Swaps, fidelity.Result().Toward));
    }

    [Fact]
    public void Only_the_garment_counts()
    {
        var red = ColourVocabulary.SwapColours[0];
        var outcome = new ColourFidelity().Add(Picture((0.4f, 0.4f, 0.4f), (0.5f, 0.5f, 0.5f)), Picture((0.4f, 0.4f, 0.4f), (0.9f, 0.1f, 0.1f)), Mask, red);
        Assert.False(outcome.MovedToward);
        Assert.Equal(outcome.Before, outcome.After);
    }

    [Fact]
    public void A_swap_is_judged_against_the_prediction_for_the_original_word()
    {
        var blue = ColourVocabulary.SwapColours[1];
        // Still rather red, yet less so than before: that is a step toward blue.
        var outcome = new ColourFidelity().Add(Picture((0.8f, 0.1f, 0.1f), default), Picture((0.6f, 0.15f, 0.3f), default), Mask, blue);
        Assert.True(outcome.MovedToward);
    }

    [Fact]
    public void Results_are_counted_for_each_colour()
    {
        var (red, pink) = (ColourVocabulary.SwapColours[0], ColourVocabulary.SwapColours[6]);
        var fidelity = new ColourFidelity();
        var gray = Picture((0.45f, 0.45f, 0.45f), default);
        fidelity.Add(gray, Picture(Mix(pink, 0.5f), default), Mask, pink);
        fidelity.Add(gray, Picture(Mix(red, 0.5f), default), Mask, red);
        fidelity.Add(gray, gray, Mask, red);
        var result = fidelity.Result();
        Assert.Equal([("red", 2, 0.5), ("pink", 1, 1.0)], result.PerColour);
        Assert.Equal(2.0 / 3, result.Share, 1e-12);
        Assert.True(result.MeanMove > 0);
    }

    // Reference values of CIE Lab (D65) for sRGB, as published tables give them, to two decimals.
    [Theory]
    [InlineData(255, 255, 255, 100, 0, 0)]
    [InlineData(0, 0, 0, 0, 0, 0)]
    [InlineData(255, 0, 0, 53.24, 80.09, 67.20)]
    [InlineData(0, 255, 0, 87.73, -86.18, 83.18)]
    [InlineData(0, 0, 255, 32.30, 79.19, -107.86)]
    public void Lab_has_its_published_values(byte r, byte g, byte b, float l, float a, float labB)
    {
        var lab = Lab.FromRgb(r, g, b);
        Assert.Equal(l, lab.L, 0.02f);
        Assert.Equal(a, lab.A, 0.02f);
        Assert.Equal(labB, lab.B, 0.02f);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        var picture = Picture(default, default);
        Assert.Throws<ArgumentException>(() => ColourFidelity.MeanColour(picture, new bool[Mask.Length]));
        Assert.Throws<ArgumentException>(() => ColourFidelity.MeanColour(picture, new bool[3]));
        picture[3 * 4 * Width] = float.NaN;
        Assert.Throws<ArgumentException>(() => ColourFidelity.MeanColour(picture, Mask));
    }
}
