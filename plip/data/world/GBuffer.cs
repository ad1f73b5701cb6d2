using System.Numerics;
using System.Runtime.CompilerServices;

namespace Plip.Data.World;

/// <summary>Where the camera stands relative to one person's ground point, and where that point falls in the picture.</summary>
/// <param name="Pitch">How far it looks down, in radians.</param>
/// <param name="Distance">Distance in body heights; nearness gives the taller head of a high camera.</param>
/// <param name="Scale">Pixels per body height.</param>
/// <param name="X">Picture x of the body's middle.</param>
/// <param name="Y">Picture y of the body's middle.</param>
internal readonly record struct View(float Pitch, float Distance, float Scale, float X, float Y)
{
    /// <summary>The middle of the body in its own frame: what (X, Y) shows.</summary>
    private const float Middle = .5f;

    /// <summary>Picture x and y, and nearness (larger is nearer), of a point in the frame whose z faces the camera.</summary>
    public Vector3 Project(Vector3 p)
    {
        var (sin, cos) = MathF.SinCos(Pitch);
        var y = (p.Y - Middle) * cos - p.Z * sin;
        var near = p.Z * cos + (p.Y - Middle) * sin;
        var s = Scale * Distance / (Distance - near);
        return new Vector3(X + p.X * s, Y - y * s, near);
    }

    /// <summary>A direction in camera axes: right, up, towards the camera.</summary>
    public Vector3 Turn(Vector3 d)
    {
        var (sin, cos) = MathF.SinCos(Pitch);
        return new Vector3(d.X, d.Y * cos - d.Z * sin, d.Z * cos + d.Y * sin);
    }
}

/// <summary>
/// The nearest surface at every (super-sampled) pixel: part, nearness, texture coordinates and normal. Everything is
/// rasterised once and shaded once, so hidden layers of clothing cost little. Reused between pictures.
/// </summary>
internal sealed class GBuffer(int width, int height)
{
    public int Width { get; } = width;
    public int Height { get; } = height;
    /// <summary>1 + the index of the part; 0 where there is nothing.</summary>
    public ushort[] Part { get; } = new ushort[width * height];
    public float[] Near { get; } = new float[width * height];
    public Vector2[] Coordinate { get; } = new Vector2[width * height];
    public Vector3[] Normal { get; } = new Vector3[width * height];
    private Vector3[] projected = new Vector3[4096], turned = new Vector3[4096];

    public void Clear()
    {
        Array.Clear(Part);
        Array.Fill(Near, float.MinValue);
    }

    /// <summary>
    /// Draws the mesh's tubes from <paramref name="firstTube"/> on, turned by <paramref name="yaw"/> and moved on the ground by
    /// <paramref name="ground"/> (x, z).
    /// </summary>
    public void Draw(Mesh mesh, int firstTube, float yaw, Vector2 ground, View view)
    {
        var positions = mesh.Positions;
        if (projected.Length < positions.Length)
        {
            projected = new Vector3[positions.Length * 2];
            turned = new Vector3[positions.Length * 2];
        }
        var (sin, cos) = MathF.SinCos(yaw);
        var from = mesh.Tubes.Count > firstTube ? mesh.Tubes[firstTube].Start : 0;
        for (var i = from; i < positions.Length; i++)
        {
            var p = positions[i];
            projected[i] = view.Project(new Vector3(p.X * cos + p.Z * sin + ground.X, p.Y, p.Z * cos - p.X * sin + ground.Y));
            var n = mesh.Normals[i];
            turned[i] = view.Turn(new Vector3(n.X * cos + n.Z * sin, n.Y, n.Z * cos - n.X * sin));
        }
        for (var t = firstTube; t < mesh.Tubes.Count; t++)
        {
            var tube = mesh.Tubes[t];
            var part = mesh.Parts[tube.Part];
            var hollow = part.Hollow;
            var row = tube.Segments + 1;
            for (var r = 0; r + 1 < tube.Rings; r++)
            {
                for (var s = 0; s < tube.Segments; s++)
                {
                    var a = tube.Start + r * row + s;
                    Triangle(mesh, a, a + 1, a + row, part, tube.Part, hollow);
                    Triangle(mesh, a + 1, a + row + 1, a + row, part, tube.Part, hollow);
                }
            }
        }
    }

    private void Triangle(Mesh mesh, int ia, int ib, int ic, Part part, int index, bool hollow)
    {
        // The far side of a closed surface is behind its near side; only what is cut open or hollow shows its lining.
        if (!hollow && turned[ia].Z < -.3f && turned[ib].Z < -.3f && turned[ic].Z < -.3f) return;
        Vector3 a = projected[ia], b = projected[ib], c = projected[ic];
        int x0 = Math.Max(0, (int)MathF.Ceiling(MathF.Min(a.X, MathF.Min(b.X, c.X)) - .5f)), x1 = Math.Min(Width - 1, (int)MathF.Floor(MathF.Max(a.X, MathF.Max(b.X, c.X)) - .5f));
        int y0 = Math.Max(0, (int)MathF.Ceiling(MathF.Min(a.Y, MathF.Min(b.Y, c.Y)) - .5f)), y1 = Math.Min(Height - 1, (int)MathF.Floor(MathF.Max(a.Y, MathF.Max(b.Y, c.Y)) - .5f));
        if (x0 > x1 || y0 > y1) return;
        var area = (b.X - a.X) * (c.Y - a.Y) - (b.Y - a.Y) * (c.X - a.X);
        if (MathF.Abs(area) < 1e-7f) return;
        var inverse = 1 / area;
        // Weights are affine in x and y: one addition a pixel.
        float bx = (c.Y - a.Y) * inverse, by = -(c.X - a.X) * inverse, cx = -(b.Y - a.Y) * inverse, cy = (b.X - a.X) * inverse;
        float startB = (x0 + .5f - a.X) * bx + (y0 + .5f - a.Y) * by, startC = (x0 + .5f - a.X) * cx + (y0 + .5f - a.Y) * cy;
        float nearB = b.Z - a.Z, nearC = c.Z - a.Z;
        for (var y = y0; y <= y1; y++, startB += by, startC += cy)
        {
            float wb = startB, wc = startC;
            var at = y * Width + x0;
            for (var x = x0; x <= x1; x++, at++, wb += bx, wc += cx)
            {
                if (wb < 0 || wc < 0 || wb + wc > 1) continue;
                var near = a.Z + wb * nearB + wc * nearC;
                if (near <= Near[at]) continue;
                var wa = 1 - wb - wc;
                var coordinates = mesh.Coordinates;
                var uv = wa * coordinates[ia] + wb * coordinates[ib] + wc * coordinates[ic];
                if (part.Cut is { } cut && IsCut(cut, part.CutRange, uv)) continue;
                Near[at] = near;
                Part[at] = (ushort)(index + 1);
                Coordinate[at] = uv;
                Normal[at] = wa * turned[ia] + wb * turned[ib] + wc * turned[ic];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsCut(float[] cut, (float From, float To) range, Vector2 uv)
    {
        var t = Math.Clamp((uv.Y - range.From) / (range.To - range.From), 0, 1) * (cut.Length - 1);
        var k = Math.Min((int)t, cut.Length - 2);
        return MathF.Abs(uv.X - .5f) < cut[k] + (cut[k + 1] - cut[k]) * (t - k);
    }

    /// <summary>The box of projected vertices <paramref name="from"/>..<paramref name="to"/>: x0, y0, x1, y1.</summary>
    public static (float X0, float Y0, float X1, float Y1) Bounds(Mesh mesh, int from, int to, float yaw, Vector2 ground, View view)
    {
        var (sin, cos) = MathF.SinCos(yaw);
        var (x0, y0, x1, y1) = (float.MaxValue, float.MaxValue, float.MinValue, float.MinValue);
        var positions = mesh.Positions;
        for (var i = from; i < to; i++)
        {
            var p = positions[i];
            var q = view.Project(new Vector3(p.X * cos + p.Z * sin + ground.X, p.Y, p.Z * cos - p.X * sin + ground.Y));
            (x0, y0, x1, y1) = (MathF.Min(x0, q.X), MathF.Min(y0, q.Y), MathF.Max(x1, q.X), MathF.Max(y1, q.Y));
        }
        return (x0, y0, x1, y1);
    }
}
