namespace Plip.Data.World;

/// <summary>A float RGB picture (interleaved, display values of about 0..1) and the LIP label of every pixel; reused between pictures.</summary>
internal sealed class Canvas(int width, int height)
{
    public int Width { get; } = width;
    public int Height { get; } = height;
    public float[] Pixels { get; } = new float[width * height * 3];
    public byte[] Labels { get; } = new byte[width * height];
    public float[] Scratch { get; } = new float[width * height * 3];

    public void Set(int x, int y, Rgb c)
    {
        var i = (y * Width + x) * 3;
        Pixels[i] = c.R;
        Pixels[i + 1] = c.G;
        Pixels[i + 2] = c.B;
    }

    public void Blend(int x, int y, Rgb c, float alpha)
    {
        var i = (y * Width + x) * 3;
        Pixels[i] += (c.R - Pixels[i]) * alpha;
        Pixels[i + 1] += (c.G - Pixels[i + 1]) * alpha;
        Pixels[i + 2] += (c.B - Pixels[i + 2]) * alpha;
    }

    /// <summary>A filled rectangle with soft (one pixel) edges; coordinates may lie outside. <paramref name="occludes"/> clears labels.</summary>
    public void Rectangle(float x0, float y0, float x1, float y1, Rgb c, float alpha = 1, bool occludes = false)
    {
        for (var y = Math.Max(0, (int)y0); y < Math.Min(Height, (int)MathF.Ceiling(y1)); y++)
        {
            var ay = MathF.Min(1, MathF.Min(y + 1 - y0, y1 - y));
            for (var x = Math.Max(0, (int)x0); x < Math.Min(Width, (int)MathF.Ceiling(x1)); x++)
            {
                var a = alpha * ay * MathF.Min(1, MathF.Min(x + 1 - x0, x1 - x));
                Blend(x, y, c, a);
                if (occludes && a > .5f) Labels[y * Width + x] = 0;
            }
        }
    }

    /// <summary>A soft-edged line of a given width in pixels.</summary>
    public void Line(float ax, float ay, float bx, float by, float width, Rgb c, float alpha = 1, bool occludes = false)
    {
        float dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy, half = width / 2;
        int x0 = Math.Max(0, (int)(MathF.Min(ax, bx) - half - 1)), x1 = Math.Min(Width - 1, (int)(MathF.Max(ax, bx) + half + 1));
        int y0 = Math.Max(0, (int)(MathF.Min(ay, by) - half - 1)), y1 = Math.Min(Height - 1, (int)(MathF.Max(ay, by) + half + 1));
        for (var y = y0; y <= y1; y++)
        {
            for (var x = x0; x <= x1; x++)
            {
                var t = length < 1e-6f ? 0 : Math.Clamp(((x + .5f - ax) * dx + (y + .5f - ay) * dy) / length, 0, 1);
                float ex = x + .5f - ax - t * dx, ey = y + .5f - ay - t * dy;
                var a = Math.Clamp(half + .5f - MathF.Sqrt(ex * ex + ey * ey), 0, 1) * MathF.Min(1, width) * alpha;
                if (a <= 0) continue;
                Blend(x, y, c, a);
                if (occludes && a > .5f) Labels[y * Width + x] = 0;
            }
        }
    }

    /// <summary>A soft ellipse: opaque in the middle, gone at <paramref name="soft"/> beyond its edge (in radii).</summary>
    public void Ellipse(float cx, float cy, float rx, float ry, Rgb c, float alpha, float soft, bool multiply = false)
    {
        var reach = 1 + soft;
        for (var y = Math.Max(0, (int)(cy - ry * reach)); y <= Math.Min(Height - 1, (int)(cy + ry * reach)); y++)
        {
            for (var x = Math.Max(0, (int)(cx - rx * reach)); x <= Math.Min(Width - 1, (int)(cx + rx * reach)); x++)
            {
                float u = (x + .5f - cx) / rx, v = (y + .5f - cy) / ry;
                var d = MathF.Sqrt(u * u + v * v);
                var a = Math.Clamp((reach - d) / (soft * 2), 0, 1) * alpha;
                if (a <= 0) continue;
                if (!multiply)
                {
                    Blend(x, y, c, a);
                    continue;
                }
                var i = (y * Width + x) * 3;
                Pixels[i] *= 1 - a * (1 - c.R);
                Pixels[i + 1] *= 1 - a * (1 - c.G);
                Pixels[i + 2] *= 1 - a * (1 - c.B);
            }
        }
    }
}
