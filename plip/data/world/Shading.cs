using System.Numerics;

namespace Plip.Data.World;

/// <summary>The light of one picture, in camera axes.</summary>
/// <param name="Key">Unit vector towards sun or brightest sky.</param>
/// <param name="KeyStrength">Its share; the rest is light from all round.</param>
/// <param name="Up">World up in camera axes.</param>
/// <param name="Exposure">Overall factor on people.</param>
internal readonly record struct Light(Vector3 Key, float KeyStrength, Vector3 Up, float Exposure)
{
    /// <summary>
    /// The exposure a camera settles on: it makes good most, not all, of what a surface facing it lacks of full light, so that
    /// people against the sun are darker, but not black.
    /// </summary>
    public static float Automatic(Vector3 key, float strength, Vector3 up)
    {
        var facing = (1 - strength) * (.72f + .28f * up.Z) + strength * 1.55f * MathF.Max(0, (key.Z + .25f) / 1.25f);
        return MathF.Pow(MathF.Max(.12f, facing), -.8f);
    }
}

/// <summary>Gives every pixel of a <see cref="GBuffer"/> its colour and averages the samples into a <see cref="Picture"/>.</summary>
internal static class Shading
{
    private const int Samples = 2; // per axis

    /// <summary>Shades people over what the picture holds already. Labels are the majority of a pixel's four samples.</summary>
    public static void Resolve(GBuffer buffer, Mesh mesh, Light light, uint creaseSeed, Canvas picture)
    {
        var creases = creaseSeed % 997 * .37f;
        Span<byte> votes = stackalloc byte[4];
        for (var y = 0; y < picture.Height; y++)
        {
            for (var x = 0; x < picture.Width; x++)
            {
                votes.Clear();
                float r = 0, g = 0, b = 0;
                var hits = 0;
                var corner = y * Samples * buffer.Width + x * Samples;
                var first = buffer.Part[corner];
                // Inside one surface the two samples of a diagonal do: most of a person is inside, and shading is most of the cost.
                var uniform = first == buffer.Part[corner + 1] && first == buffer.Part[corner + buffer.Width] && first == buffer.Part[corner + buffer.Width + 1];
                if (uniform && first == 0)
                {
                    picture.Labels[y * picture.Width + x] = 0;
                    continue;
                }
                for (var k = 0; k < Samples * Samples; k++)
                {
                    if (uniform && k is (1 or 2))
                    {
                        votes[k] = votes[0];
                        continue;
                    }
                    var at = corner + k / Samples * buffer.Width + k % Samples;
                    var part = buffer.Part[at];
                    if (part == 0) continue;
                    var colour = Shade(buffer, at, mesh.Parts[part - 1], light, creases, out var label);
                    r += colour.R;
                    g += colour.G;
                    b += colour.B;
                    votes[k] = label;
                    hits++;
                }
                if (uniform) (r, g, b, hits) = (r * 2, g * 2, b * 2, 4);
                var pixel = y * picture.Width + x;
                picture.Labels[pixel] = hits < 2 ? (byte)0 : Majority(votes);
                if (hits == 0) continue;
                var rest = 4 - hits;
                picture.Pixels[pixel * 3] = (r + picture.Pixels[pixel * 3] * rest) * .25f;
                picture.Pixels[pixel * 3 + 1] = (g + picture.Pixels[pixel * 3 + 1] * rest) * .25f;
                picture.Pixels[pixel * 3 + 2] = (b + picture.Pixels[pixel * 3 + 2] * rest) * .25f;
            }
        }
    }

    private static byte Majority(ReadOnlySpan<byte> votes)
    {
        byte best = 0;
        var most = 0;
        foreach (var vote in votes)
        {
            var n = 0;
            foreach (var v in votes) n += v == vote ? 1 : 0;
            if (n > most || (n == most && vote > best)) (best, most) = (vote, n);
        }
        return best;
    }

    private static Rgb Shade(GBuffer buffer, int at, Part part, Light light, float creases, out byte label)
    {
        var material = part.Material;
        var uv = buffer.Coordinate[at];
        var colour = material.Albedo(uv.X, uv.Y, out var special);
        label = part.Other ? (byte)0 : (byte)(special ?? part.Label);
        var n = Vector3.Normalize(buffer.Normal[at]);
        var inside = n.Z < -.05f; // the far wall of an open garment: its lining
        if (inside) n = -n;
        var tilt = material.Tilt(uv.X, uv.Y, creases);
        if (tilt != default)
        {
            // Tangents in camera axes: along the tube is near vertical for most of a standing body.
            var across = Vector3.Normalize(new Vector3(n.Z + .001f, 0, -n.X));
            var along = Vector3.Cross(n, across);
            n = Vector3.Normalize(n + across * tilt.X + along * tilt.Y);
        }
        var sky = .72f + .28f * Vector3.Dot(n, light.Up);
        var key = MathF.Max(0, (Vector3.Dot(n, light.Key) + .25f) / 1.25f);
        var lit = ((1 - light.KeyStrength) * sky + light.KeyStrength * 1.55f * key) * light.Exposure;
        lit *= .80f + .20f * MathF.Max(0, n.Z); // edges turn away from the camera and grey out
        if (inside) lit *= .5f;
        lit *= Occlusion(buffer, at);
        var half = Vector3.Normalize(light.Key + Vector3.UnitZ);
        var (gloss, power) = material.Fabric switch
        {
            Fabric.Leather => (.22f, 14),
            Fabric.Puffer or Fabric.Nylon => (.13f, 10),
            Fabric.Silk or Fabric.Rubber => (.10f, 16),
            Fabric.Hair => (.10f, 10),
            Fabric.Skin => (.06f, 8),
            _ => (0f, 1),
        };
        var shine = 0f;
        if (gloss > 0)
        {
            shine = MathF.Max(0, Vector3.Dot(n, half));
            var s = shine;
            for (var i = 1; i < power; i += i) s *= s;
            shine = gloss * s * (.4f + light.KeyStrength);
        }
        // Even black cloth scatters a little of the sky.
        var haze = .018f * sky;
        var f = lit * 1.12f;
        return new Rgb(colour.R * f + shine + haze, colour.G * f + shine + haze, colour.B * f + shine + haze * 1.1f);
    }

    /// <summary>Darkens what has something nearer close above or beside it: under arms, chins, hems and straps.</summary>
    private static float Occlusion(GBuffer buffer, int at)
    {
        int x = at % buffer.Width, y = at / buffer.Width;
        var step = Math.Max(1, buffer.Height / 100);
        var near = buffer.Near[at];
        var dark = 0f;
        for (var k = 0; k < 5; k++)
        {
            var (dx, dy, weight) = k switch { 0 => (0, -2, .10f), 1 => (0, -4, .07f), 2 => (-2, -1, .07f), 3 => (2, -1, .07f), _ => (0, -7, .05f) };
            int nx = x + dx * step, ny = y + dy * step;
            if ((uint)nx >= (uint)buffer.Width || (uint)ny >= (uint)buffer.Height) continue;
            var other = ny * buffer.Width + nx;
            if (buffer.Part[other] == 0 || buffer.Part[other] == buffer.Part[at]) continue;
            var gap = buffer.Near[other] - near;
            if (gap > .006f) dark += weight * Math.Clamp(gap / .03f, 0, 1) * Math.Clamp(2 - gap / .2f, 0, 1);
        }
        return 1 - MathF.Min(.34f, dark);
    }
}
