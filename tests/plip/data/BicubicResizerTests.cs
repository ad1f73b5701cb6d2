using Plip.Data;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Data;

public class BicubicResizerTests
{
    /// <summary>Shrinking, growing, mixed, extreme, by one, and widths around vector lengths.</summary>
    [Theory]
    [InlineData(50, 20, 32, 16)]
    [InlineData(384, 128, 256, 128)]
    [InlineData(37, 53, 64, 41)]
    [InlineData(200, 9, 24, 48)]
    [InlineData(1, 1, 8, 8)]
    [InlineData(3, 2, 7, 1)]
    [InlineData(97, 65, 96, 64)]
    [InlineData(500, 300, 2, 3)]
    [InlineData(33, 11, 33, 5)]
    public void Is_the_bicubic_sum_in_double_precision(int fromHeight, int fromWidth, int height, int width)
    {
        var source = Noise(fromHeight, fromWidth);
        var output = new byte[3 * height * width];
        BicubicResizer.Resize(source, height, width, output);
        for (var y = 0; y < height; y++)
            for (var x = 0; x < width; x++)
                for (var c = 0; c < 3; c++)
                {
                    var exact = Math.Clamp(Oracle(source, height, width, y, x, c), 0, 255);
                    // Rounding to a byte is half a level; 0.001 is the float sums' part (some hundred terms of 2^-24 · 255).
                    Assert.InRange(output[3 * (y * width + x) + c] - exact, -.501, .501);
                }
    }

    /// <summary>
    /// The vectors' bytes are those of plain loops in single precision, rows first, taps in order, nothing fused: whatever the widths
    /// and the number of taps, which differ at the edges.
    /// </summary>
    [Fact]
    public void Has_the_bytes_of_plain_loops()
    {
        foreach (var (fromHeight, fromWidth, height, width) in from h in new[] { 1, 3, 40, 90 } from w in new[] { 1, 2, 5, 10, 11, 43, 130 } from to in new[] { (7, 1), (24, 2), (16, 3), (33, 5), (64, 30), (20, 131) } select (h, w, to.Item1, to.Item2))
        {
            var source = Noise(fromHeight, fromWidth);
            var output = new byte[3 * height * width];
            BicubicResizer.Resize(source, height, width, output);
            Assert.Equal(Plain(source, height, width), output);
        }
    }

    private static byte[] Plain(Picture source, int height, int width)
    {
        if ((source.Height, source.Width) == (height, width)) return source.Rgb;
        var output = new byte[3 * height * width];
        var row = new float[3 * source.Width];
        for (var y = 0; y < height; y++)
        {
            Array.Clear(row);
            foreach (var (i, weight) in Taps(source.Height, height, y))
                for (var c = 0; c < row.Length; c++)
                {
                    var product = weight * source.Rgb[i * row.Length + c];
                    row[c] += product;
                }
            for (var x = 0; x < width; x++)
                for (var c = 0; c < 3; c++)
                {
                    var sum = 0f;
                    foreach (var (i, weight) in Taps(source.Width, width, x))
                    {
                        var product = weight * row[3 * i + c];
                        sum += product;
                    }
                    output[3 * (y * width + x) + c] = (byte)(Math.Clamp(sum, 0f, 255f) + .5f);
                }
        }
        return output;

        static List<(int Index, float Weight)> Taps(int from, int to, int at)
        {
            var scale = (double)from / to;
            var (stretch, centre) = (Math.Max(1, scale), (at + .5) * scale);
            var taps = new List<(int Index, double Weight)>();
            for (var i = Math.Max(0, (int)(centre - 2 * stretch + .5)); i < Math.Min(from, (int)(centre + 2 * stretch + .5)); i++)
            {
                var x = Math.Abs((i + .5 - centre) / stretch);
                taps.Add((i, x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-.5 * x + 2.5) * x - 4) * x + 2 : 0));
            }
            var sum = taps.Sum(t => t.Weight);
            return [.. taps.Select(t => (t.Index, (float)(t.Weight / sum)))];
        }
    }

    [Fact]
    public void The_same_size_is_a_copy()
    {
        var source = Noise(31, 17);
        var output = new byte[source.Rgb.Length];
        BicubicResizer.Resize(source, 31, 17, output);
        Assert.Equal(source.Rgb, output);
    }

    [Fact]
    public void One_even_colour_stays_that_colour()
    {
        var source = new Picture(40, 77, [.. Enumerable.Repeat<byte[]>([3, 128, 254], 40 * 77).SelectMany(p => p)]);
        var output = new byte[3 * 50 * 19];
        BicubicResizer.Resize(source, 50, 19, output);
        Assert.All(output.Chunk(3), p => Assert.Equal(new byte[] { 3, 128, 254 }, p));
    }

    /// <summary>A hard edge overshoots below 0 and above 255: the bytes must stop there and not wrap round.</summary>
    [Fact]
    public void Overshoot_is_clipped()
    {
        var source = new Picture(2, 1, [0, 0, 0, 255, 255, 255]);
        var output = new byte[3 * 16];
        BicubicResizer.Resize(source, 1, 16, output);
        Assert.Equal(0, output[0]);
        Assert.Equal(255, output[^1]);
        for (var i = 3; i < output.Length; i++) Assert.True(output[i] >= output[i - 3]);
    }

    /// <summary>An answer from outside: PIL 9.4's resize((2, 3), BICUBIC) of the 5x4 ramp 12·y + 9·x in mode "F", which does not
    /// round between its two passes.</summary>
    [Fact]
    public void Agrees_with_pil_on_a_ramp()
    {
        var rgb = new byte[3 * 5 * 4];
        for (var i = 0; i < 20; i++) rgb.AsSpan(3 * i, 3).Fill((byte)(12 * (i / 5) + 9 * (i % 5)));
        var output = new byte[3 * 3 * 2];
        BicubicResizer.Resize(new Picture(5, 4, rgb), 3, 2, output);
        double[] pil = [9.9902, 30.5682, 25.711, 46.289, 41.4318, 62.0098];
        for (var i = 0; i < pil.Length; i++) Assert.InRange(output[3 * i] - pil[i], -.501, .501);
    }

    private static Picture Noise(int height, int width)
    {
        var random = new Philox(11, 3);
        var rgb = new byte[3 * height * width];
        for (var i = 0; i < rgb.Length; i++) rgb[i] = (byte)random.Next((ulong)i, 256);
        return new Picture(width, height, rgb);
    }

    /// <summary>The definition as one double sum over the plane, with nothing shared with the code under test.</summary>
    private static double Oracle(Picture p, int height, int width, int y, int x, int c)
    {
        double sum = 0, total = 0;
        double sy = (double)p.Height / height, sx = (double)p.Width / width;
        double cy = (y + .5) * sy, cx = (x + .5) * sx;
        for (var j = 0; j < p.Height; j++)
        {
            var wy = Kernel((j + .5 - cy) / Math.Max(1, sy));
            if (wy == 0) continue;
            for (var i = 0; i < p.Width; i++)
            {
                var w = wy * Kernel((i + .5 - cx) / Math.Max(1, sx));
                sum += w * p.Rgb[3 * (j * p.Width + i) + c];
                total += w;
            }
        }
        return sum / total;

        static double Kernel(double t)
        {
            const double A = -.5;
            t = Math.Abs(t);
            if (t <= 1) return (A + 2) * t * t * t - (A + 3) * t * t + 1;
            return t < 2 ? A * t * t * t - 5 * A * t * t + 8 * A * t - 4 * A : 0;
        }
    }
}
