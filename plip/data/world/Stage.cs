using System.Collections.Concurrent;
using System.Numerics;

namespace Plip.Data.World;

/// <summary>The buffers one thread needs to render pictures of one size, lent out by <see cref="Rent"/>.</summary>
internal sealed class Stage
{
    private static readonly ConcurrentDictionary<(int, int), ConcurrentBag<Stage>> Idle = new();

    public Mesh Mesh { get; } = new();
    public GBuffer Buffer { get; }
    public Canvas Canvas { get; }
    private readonly byte[] shadow;

    private Stage(int width, int height)
    {
        Buffer = new GBuffer(width * 2, height * 2);
        Canvas = new Canvas(width, height);
        shadow = new byte[width * height];
    }

    public static Stage Rent(int width, int height) =>
        Idle.TryGetValue((width, height), out var bag) && bag.TryTake(out var stage) ? stage : new Stage(width, height);

    public void Return() => Idle.GetOrAdd((Canvas.Width, Canvas.Height), _ => []).Add(this);

    /// <summary>Starts a picture: nothing drawn, no labels.</summary>
    public void Clear()
    {
        Mesh.Clear();
        Buffer.Clear();
        Array.Clear(Canvas.Labels);
    }

    /// <summary>Makes the light of a picture: overcast or sunny, from the front or behind.</summary>
    public static (Light Light, Vector3 Sun) MakeLight(Draw draw, Surroundings place, float pitch)
    {
        var azimuth = draw.Range(-MathF.PI, MathF.PI);
        var elevation = draw.Range(.5f, 1.15f);
        var sun = new Vector3(MathF.Sin(azimuth) * MathF.Cos(elevation), MathF.Sin(elevation), MathF.Cos(azimuth) * MathF.Cos(elevation));
        var frame = new View(pitch, 1, 1, 0, 0);
        Vector3 key = frame.Turn(sun), up = frame.Turn(Vector3.UnitY);
        return (new Light(key, place.Sun, up, Light.Automatic(key, place.Sun, up) * draw.Range(.9f, 1.1f)), sun);
    }

    /// <summary>Darkens the ground where the mesh's triangles, thrown along the sun's rays, fall on it.</summary>
    public void CastShadow(int firstTube, float yaw, Vector2 ground, View view, Vector3 sun, float strength)
    {
        int w = Canvas.Width, h = Canvas.Height;
        Array.Clear(shadow);
        var (sin, cos) = MathF.SinCos(yaw);
        Vector2 Throw(int i)
        {
            var p = Mesh.Positions[i];
            var q = new Vector3(p.X * cos + p.Z * sin + ground.X, p.Y, p.Z * cos - p.X * sin + ground.Y);
            q -= sun * (q.Y / sun.Y);
            var s = view.Project(q);
            return new Vector2(s.X, s.Y);
        }
        for (var t = firstTube; t < Mesh.Tubes.Count; t++)
        {
            var tube = Mesh.Tubes[t];
            var row = tube.Segments + 1;
            // Every third column is enough for an outline that is blurred afterwards.
            for (var r = 0; r + 1 < tube.Rings; r++)
            {
                for (var s = 0; s + 3 <= tube.Segments; s += 3)
                {
                    var a = tube.Start + r * row + s;
                    Vector2 p0 = Throw(a), p1 = Throw(a + 3), p2 = Throw(a + row), p3 = Throw(a + row + 3);
                    Fill(p0, p1, p2);
                    Fill(p1, p3, p2);
                }
            }
        }
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
            {
                var sum = 0;
                for (var dy = -1; dy <= 1; dy++)
                    for (var dx = -1; dx <= 1; dx++)
                        sum += shadow[Math.Clamp(y + dy, 0, h - 1) * w + Math.Clamp(x + dx, 0, w - 1)];
                if (sum == 0) continue;
                var f = 1 - strength * sum / 9f;
                var i = (y * w + x) * 3;
                Canvas.Pixels[i] *= f;
                Canvas.Pixels[i + 1] *= f;
                Canvas.Pixels[i + 2] *= f + (1 - f) * .12f;
            }
        }
    }

    private void Fill(Vector2 a, Vector2 b, Vector2 c)
    {
        int w = Canvas.Width, h = Canvas.Height;
        int x0 = Math.Max(0, (int)MathF.Min(a.X, MathF.Min(b.X, c.X))), x1 = (int)Math.Min(w - 1f, MathF.Max(a.X, MathF.Max(b.X, c.X)));
        int y0 = Math.Max(0, (int)MathF.Min(a.Y, MathF.Min(b.Y, c.Y))), y1 = (int)Math.Min(h - 1f, MathF.Max(a.Y, MathF.Max(b.Y, c.Y)));
        var area = (b.X - a.X) * (c.Y - a.Y) - (b.Y - a.Y) * (c.X - a.X);
        if (MathF.Abs(area) < 1e-6f) return;
        for (var y = y0; y <= y1; y++)
        {
            for (var x = x0; x <= x1; x++)
            {
                float px = x + .5f, py = y + .5f;
                var wb = ((px - a.X) * (c.Y - a.Y) - (py - a.Y) * (c.X - a.X)) / area;
                var wc = ((b.X - a.X) * (py - a.Y) - (b.Y - a.Y) * (px - a.X)) / area;
                if (wb >= 0 && wc >= 0 && wb + wc <= 1) shadow[y * w + x] = 1;
            }
        }
    }

    /// <summary>The dark patches where shoes meet the ground, in any light.</summary>
    public void ContactShadow(Pose pose, float yaw, Vector2 ground, View view, float stature = 1)
    {
        var (sin, cos) = MathF.SinCos(yaw);
        for (var i = 0; i < 2; i++)
        {
            var p = (pose.Heel[i] + pose.Toe[i]) / 2 * stature;
            var q = view.Project(new Vector3(p.X * cos + p.Z * sin + ground.X, 0, p.Z * cos - p.X * sin + ground.Y));
            var s = view.Scale * stature;
            Canvas.Ellipse(q.X, q.Y, .075f * s, (.012f + .06f * MathF.Sin(view.Pitch)) * s, new Rgb(.3f, .3f, .32f), .75f * Math.Clamp(1 - p.Y * 8, .2f, 1), .7f, multiply: true);
        }
    }
}
