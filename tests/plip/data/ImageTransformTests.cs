using Plip.Data;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Data;

public class ImageTransformTests
{
    [Theory]
    [InlineData(false, 0, 0)]
    [InlineData(true, 0, 0)]
    [InlineData(false, 2, -3)]
    [InlineData(true, -2, 1)]
    [InlineData(true, 50, 50)]
    public void Flip_shift_and_normalise_follow_the_formula(bool flip, int dx, int dy)
    {
        // 3 · 13 = 39 bytes a row: the vector loop and its tail both run.
        var settings = new ImageSettings { Height = 9, Width = 13, ShiftPixels = 50 };
        var transform = new ImageTransform(settings);
        var source = TinyData.Paint(4, 13, 9).Rgb;
        var output = new float[transform.Size];
        transform.Normalise(source, new Augmentation(flip, dx, dy), output);
        double[] mean = [.357, .323, .328], std = [.252, .242, .239];
        for (var y = 0; y < 9; y++)
            for (var x = 0; x < 13; x++)
                for (var c = 0; c < 3; c++)
                {
                    var fromY = Math.Clamp(y + dy, 0, 8);
                    var fromX = Math.Clamp(x + dx, 0, 12);
                    if (flip) fromX = 12 - fromX;
                    var expected = (source[3 * (fromY * 13 + fromX) + c] / 255.0 - mean[c]) / std[c];
                    // Values up to 2.8 from two rounded constants, a product and a sum in F32: 4 · 2^-24 · 4.
                    Assert.Equal(expected, output[3 * (y * 13 + x) + c], 1e-6);
                }
    }

    [Fact]
    public void Apply_is_resize_then_normalise()
    {
        var transform = new ImageTransform(new ImageSettings { Height = 32, Width = 16 });
        var picture = TinyData.Paint(5, 20, 50);
        var resized = new byte[transform.Size];
        float[] two = new float[transform.Size], one = new float[transform.Size];
        transform.Resize(picture, resized);
        transform.Normalise(resized, new Augmentation(true, 0, 0), two);
        transform.Apply(picture, new Augmentation(true, 0, 0), one);
        Assert.Equal(two, one);
    }

    [Fact]
    public void Draws_half_flips_and_every_shift_and_repeats_them()
    {
        var transform = new ImageTransform(new ImageSettings { Height = 8, Width = 8, ShiftPixels = 3 });
        var random = new Philox(5, 1);
        var draws = Enumerable.Range(0, 4000).Select(i => transform.Draw(random, i)).ToArray();
        // 4,000 coins: standard deviation 32; five of them on either side.
        Assert.InRange(draws.Count(d => d.Flip), 1840, 2160);
        Assert.Equal(Enumerable.Range(-3, 7), draws.Select(d => d.Dx).Distinct().Order());
        Assert.Equal(Enumerable.Range(-3, 7), draws.Select(d => d.Dy).Distinct().Order());
        Assert.Equal(49, draws.Select(d => (d.Dx, d.Dy)).Distinct().Count());
        Assert.Equal(draws[1234], transform.Draw(random, 1234));
    }

    [Fact]
    public void Without_shift_and_flip_nothing_moves()
    {
        var transform = new ImageTransform(new ImageSettings { FlipProbability = 0 });
        Assert.All(Enumerable.Range(0, 100), i => Assert.Equal(default, transform.Draw(new Philox(1, 1), i)));
        var always = new ImageTransform(new ImageSettings { FlipProbability = 1 });
        Assert.All(Enumerable.Range(0, 100), i => Assert.True(always.Draw(new Philox(1, 1), i).Flip));
    }

    [Fact]
    public void Settings_that_make_no_sense_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageTransform(new ImageSettings { Height = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageTransform(new ImageSettings { ShiftPixels = -1 }));
        Assert.Throws<ArgumentException>(() => new ImageTransform(new ImageSettings { FlipProbability = float.NaN }));
        Assert.Throws<ArgumentException>(() => new ImageTransform(new ImageSettings { Std = [1, 0, 1] }));
        var transform = new ImageTransform(new ImageSettings());
        Assert.Contains("98304", Assert.Throws<ArgumentException>(() => transform.Normalise(new byte[3], default, new float[3])).Message);
    }
}
