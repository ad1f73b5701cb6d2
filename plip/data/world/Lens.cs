using System.Numerics;

namespace Plip.Data.World;

/// <summary>Everything between the light and the file: exposure, blur, resolution, sharpening, colour and noise, in place.</summary>
internal static class Lens
{
    /// <summary>Turns a picture into RGB bytes as this camera would. Costs about 0.5 ms at 64×128. <paramref name="unitOfBlur"/> is how many pixels one pixel of a 128-high cut-out is.</summary>
    public static byte[] Develop(Canvas picture, CameraStyle camera, Draw draw, float? unitOfBlur = null)
    {
        int w = picture.Width, h = picture.Height;
        var pixels = picture.Pixels;
        var unit = unitOfBlur ?? h / 128f;
        var resolution = camera.Resolution * draw.Range(.75f, 1.15f);
        if (resolution < .95f) Coarsen(picture, Math.Max(16, (int)(w * resolution)), Math.Max(32, (int)(h * resolution)));
        var blur = camera.Blur * draw.Range(.4f, 1.3f) * unit;
        if (blur > .25f) Blur(picture, blur, draw.Chance(.12) ? draw.Range(1.5f, 2.5f) : 1);
        if (camera.Sharpening > 0) Sharpen(picture, camera.Sharpening * draw.Range(.6f, 1.2f));

        // Light falls unevenly: a gradient over the picture and an exposure of its own.
        float gx = draw.Range(-.14f, .14f), gy = draw.Range(-.10f, .10f), exposure = draw.Range(.87f, 1.2f);
        float red = camera.Balance.Red * draw.Range(.97f, 1.03f), blue = camera.Balance.Blue * draw.Range(.97f, 1.03f);
        var saturation = camera.Saturation * draw.Range(.92f, 1.08f);
        var contrast = camera.Contrast * draw.Range(.95f, 1.05f);
        var lift = draw.Range(-.03f, .03f);
        var noise = camera.Noise * draw.Range(.5f, 1.4f) * 2.45f; // the sum of two uniforms has deviation 0.41
        var gamma = Curve(camera.Gamma * draw.Range(.95f, 1.05f));
        var seed = draw.Bits();
        var bytes = new byte[w * h * 3];
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
            {
                var i = (y * w + x) * 3;
                var e = exposure * (1 + gx * (2f * x / w - 1) + gy * (2f * y / h - 1));
                float r = Look(gamma, pixels[i] * e * red), g = Look(gamma, pixels[i + 1] * e), b = Look(gamma, pixels[i + 2] * e * blue);
                var grey = .3f * r + .59f * g + .11f * b;
                var grain = (Noise.Hash(seed, x, y) + Noise.Hash(seed + 1, x, y) - 1) * noise;
                for (var c = 0; c < 3; c++)
                {
                    var v = grey + ((c == 0 ? r : c == 1 ? g : b) - grey) * saturation;
                    var colourGrain = (Noise.Hash(seed + 2 + (uint)c, x, y) - .5f) * noise;
                    v = (v - .5f) * contrast + .5f + lift + grain + colourGrain * .7f;
                    bytes[i + c] = (byte)(Math.Clamp(v, 0, 1) * 255 + .5f);
                }
            }
        }
        return bytes;
    }

    private static float[] Curve(float gamma)
    {
        var table = new float[513];
        for (var i = 0; i < table.Length; i++)
        {
            var v = MathF.Pow(i / 256f, gamma);
            table[i] = v < .85f ? v : .85f + .15f * (1 - MathF.Exp(-(v - .85f) / .15f)); // highlights roll off
        }
        return table;
    }

    private static float Look(float[] table, float value)
    {
        var x = Math.Clamp(value, 0, 1.999f) * 256;
        var k = (int)x;
        return table[k] + (table[k + 1] - table[k]) * (x - k);
    }

    /// <summary>Down to w×h by area and up again by linear interpolation: a small sensor's picture enlarged.</summary>
    private static void Coarsen(Canvas picture, int w, int h)
    {
        int width = picture.Width, height = picture.Height;
        if (w >= width || h >= height) return;
        Span<float> weight = new float[w * h];
        var small = picture.Scratch.AsSpan(0, w * h * 3);
        small.Clear();
        var pixels = picture.Pixels;
        for (var y = 0; y < height; y++)
        {
            var fy = (y + .5f) * h / height - .5f;
            for (var x = 0; x < width; x++)
            {
                var fx = (x + .5f) * w / width - .5f;
                var (iy, ix) = ((int)MathF.Floor(fy + .5f), (int)MathF.Floor(fx + .5f));
                var to = Math.Min(iy, h - 1) * w + Math.Min(ix, w - 1);
                var from = (y * width + x) * 3;
                small[to * 3] += pixels[from];
                small[to * 3 + 1] += pixels[from + 1];
                small[to * 3 + 2] += pixels[from + 2];
                weight[to]++;
            }
        }
        for (var i = 0; i < w * h; i++)
        {
            var s = 1 / MathF.Max(1, weight[i]);
            small[i * 3] *= s;
            small[i * 3 + 1] *= s;
            small[i * 3 + 2] *= s;
        }
        for (var y = 0; y < height; y++)
        {
            var fy = Math.Clamp((y + .5f) * h / height - .5f, 0, h - 1.001f);
            var iy = (int)fy;
            fy -= iy;
            for (var x = 0; x < width; x++)
            {
                var fx = Math.Clamp((x + .5f) * w / width - .5f, 0, w - 1.001f);
                var ix = (int)fx;
                fx -= ix;
                var a = (iy * w + ix) * 3;
                var b = a + w * 3;
                var to = (y * width + x) * 3;
                for (var c = 0; c < 3; c++)
                {
                    var top = small[a + c] + (small[a + 3 + c] - small[a + c]) * fx;
                    var bottom = small[b + c] + (small[b + 3 + c] - small[b + c]) * fx;
                    pixels[to + c] = top + (bottom - top) * fy;
                }
            }
        }
    }

    /// <summary>A Gaussian blur, wider across by <paramref name="smear"/> (movement).</summary>
    private static void Blur(Canvas picture, float sigma, float smear)
    {
        Pass(picture.Pixels, picture.Scratch, picture.Width, picture.Height, 3, sigma * smear, picture.Width);
        Pass(picture.Scratch, picture.Pixels, picture.Height, picture.Width, picture.Width * 3, sigma, picture.Width);
    }

    /// <summary>One direction: <paramref name="length"/> pixels a line, <paramref name="step"/> floats apart.</summary>
    private static void Pass(float[] from, float[] to, int length, int lines, int step, float sigma, int width)
    {
        var radius = Math.Clamp((int)MathF.Ceiling(sigma * 2.2f), 1, 12);
        Span<float> kernel = stackalloc float[radius * 2 + 1];
        var sum = 0f;
        for (var k = -radius; k <= radius; k++) sum += kernel[k + radius] = MathF.Exp(-k * k / (2 * sigma * sigma));
        for (var k = 0; k < kernel.Length; k++) kernel[k] /= sum;
        var lineStep = step == 3 ? width * 3 : 3;
        for (var l = 0; l < lines; l++)
        {
            for (var i = 0; i < length; i++)
            {
                float r = 0, g = 0, b = 0;
                for (var k = -radius; k <= radius; k++)
                {
                    var at = l * lineStep + Math.Clamp(i + k, 0, length - 1) * step;
                    var f = kernel[k + radius];
                    r += f * from[at];
                    g += f * from[at + 1];
                    b += f * from[at + 2];
                }
                var o = l * lineStep + i * step;
                to[o] = r;
                to[o + 1] = g;
                to[o + 2] = b;
            }
        }
    }

    /// <summary>Unsharp masking against the four neighbours.</summary>
    private static void Sharpen(Canvas picture, float amount)
    {
        int w = picture.Width, h = picture.Height;
        Array.Copy(picture.Pixels, picture.Scratch, picture.Pixels.Length);
        var s = picture.Scratch;
        var row = w * 3;
        for (var y = 1; y < h - 1; y++)
        {
            for (var i = y * row + 3; i < (y + 1) * row - 3; i++)
                picture.Pixels[i] = MathF.Max(0, s[i] + amount * (s[i] - .25f * (s[i - 3] + s[i + 3] + s[i - row] + s[i + row])));
        }
    }
}
