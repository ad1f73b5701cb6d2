using System.Numerics;

namespace Plip.Data.World;

/// <summary>One surface of a person: what it is made of, its label, and where it is cut open.</summary>
/// <param name="Material">How it looks.</param>
/// <param name="Label">Its LIP label.</param>
internal sealed record Part(Material Material, LipLabel Label)
{
    /// <summary>
    /// Half-width of the opening round the front (u = ½), in turns, at nine places along v; null for a closed surface.
    /// An open jacket, the face's gap in the hair and a hood are all made this way.
    /// </summary>
    public float[]? Cut { get; init; }

    /// <summary>v at the first and last entry of <see cref="Cut"/>.</summary>
    public (float From, float To) CutRange { get; init; }

    /// <summary>Whether its inside can be seen.</summary>
    public bool Hollow => Cut is not null || Label is LipLabel.Coat or LipLabel.Skirt or LipLabel.Dress or LipLabel.Hat || Material.Detail == Detail.Umbrella;

    /// <summary>Whether it belongs to somebody or something else: drawn, but labelled background.</summary>
    public bool Other { get; init; }
}

/// <summary>One cross-section of a tube: a super-ellipse about <paramref name="Centre"/>.</summary>
/// <param name="Centre">Centre.</param>
/// <param name="Left">Half-axis towards the left (its length is the half-width).</param>
/// <param name="Front">Half-axis towards the front.</param>
/// <param name="V">Place along the tube in body heights, the material's second coordinate.</param>
internal readonly record struct Ring(Vector3 Centre, Vector3 Left, Vector3 Front, float V);

/// <summary>
/// A growing list of tubes, the one primitive of this world: limbs, torsos, heads, hair, bags and umbrellas are all rings
/// joined up. u runs once round (½ is the front, the seam is at the back), v along. Buffers are kept between pictures.
/// </summary>
internal sealed class Mesh
{
    internal readonly record struct Tube(int Start, int Rings, int Segments, int Part);

    private Vector3[] position = new Vector3[4096], normal = new Vector3[4096];
    private Vector2[] coordinate = new Vector2[4096];
    private int count;

    public List<Part> Parts { get; } = [];
    public List<Tube> Tubes { get; } = [];
    public ReadOnlySpan<Vector3> Positions => position.AsSpan(0, count);
    public ReadOnlySpan<Vector3> Normals => normal.AsSpan(0, count);
    public ReadOnlySpan<Vector2> Coordinates => coordinate.AsSpan(0, count);
    public int Count => count;

    public void Clear()
    {
        count = 0;
        Parts.Clear();
        Tubes.Clear();
    }

    public int Add(Part part)
    {
        Parts.Add(part);
        return Parts.Count - 1;
    }

    /// <summary>Adds a tube. <paramref name="square"/> 2 is an ellipse, larger is boxier; <paramref name="crumple"/> wrinkles the outline.</summary>
    public void Add(int part, ReadOnlySpan<Ring> rings, int segments, float square = 2, float crumple = 0, uint seed = 0)
    {
        var start = count;
        var needed = count + rings.Length * (segments + 1);
        if (needed > position.Length)
        {
            var size = Math.Max(needed, position.Length * 2);
            Array.Resize(ref position, size);
            Array.Resize(ref normal, size);
            Array.Resize(ref coordinate, size);
        }
        for (var r = 0; r < rings.Length; r++)
        {
            var ring = rings[r];
            for (var s = 0; s <= segments; s++)
            {
                var u = (float)s / segments;
                var (sin, cos) = MathF.SinCos(MathF.Tau * (u - .5f));
                if (square > 2)
                {
                    var k = MathF.Pow(MathF.Pow(MathF.Abs(sin), square) + MathF.Pow(MathF.Abs(cos), square), -1 / square);
                    sin *= k;
                    cos *= k;
                }
                var swell = crumple == 0 ? 1 : 1 + crumple * (Noise.Value(seed, (s % segments) * .8f, ring.V * 22) - .5f) * 2;
                position[count] = ring.Centre + (ring.Left * sin + ring.Front * cos) * swell;
                coordinate[count] = new Vector2(u, ring.V);
                count++;
            }
        }
        ComputeNormals(start, rings, segments);
        Tubes.Add(new Tube(start, rings.Length, segments, part));
    }

    /// <summary>Moves what was added from vertex <paramref name="from"/> on.</summary>
    public void Transform(int from, Func<Vector3, Vector3> move)
    {
        for (var i = from; i < count; i++) position[i] = move(position[i]);
    }

    /// <summary>Mirrors what was added from vertex <paramref name="from"/> on in the plane between left and right.</summary>
    public void Mirror(int from)
    {
        for (var i = from; i < count; i++)
        {
            position[i].X = -position[i].X;
            normal[i].X = -normal[i].X;
        }
    }

    private void ComputeNormals(int start, ReadOnlySpan<Ring> rings, int segments)
    {
        var row = segments + 1;
        for (var r = 0; r < rings.Length; r++)
        {
            int up = Math.Min(r + 1, rings.Length - 1), down = Math.Max(r - 1, 0);
            for (var s = 0; s <= segments; s++)
            {
                var next = s == segments ? 1 : s + 1;
                var previous = s == 0 ? segments - 1 : s - 1;
                var around = position[start + r * row + next] - position[start + r * row + previous];
                var along = position[start + up * row + s] - position[start + down * row + s];
                var n = Vector3.Cross(along, around);
                var outward = position[start + r * row + s] - rings[r].Centre;
                if (n.LengthSquared() < 1e-14f) n = outward.LengthSquared() > 1e-14f ? outward : along;
                else if (Vector3.Dot(n, outward) < 0) n = -n;
                normal[start + r * row + s] = Vector3.Normalize(n);
            }
        }
    }
}
