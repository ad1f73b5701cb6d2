using System.Numerics;

namespace Plip.Data.World;

/// <summary>One person's place in a scene: the visible part's box in whole pixels.</summary>
/// <param name="Identity">Who.</param>
/// <param name="X">Left edge.</param>
/// <param name="Y">Upper edge.</param>
/// <param name="Width">Width.</param>
/// <param name="Height">Height.</param>
public readonly record struct SceneBox(int Identity, int X, int Y, int Width, int Height);

/// <summary>A full camera view with several people, as in person search.</summary>
public sealed record SceneImage
{
    /// <summary>RGB bytes.</summary>
    public required byte[] Rgb { get; init; }
    /// <summary>Width in pixels.</summary>
    public required int Width { get; init; }
    /// <summary>Height in pixels.</summary>
    public required int Height { get; init; }
    /// <summary>For every pixel 1 + the index into <see cref="Boxes"/> of the person seen there, 0 for none.</summary>
    public required byte[] People { get; init; }
    /// <summary>The people of whom enough can be seen.</summary>
    public required IReadOnlyList<SceneBox> Boxes { get; init; }
    /// <summary>The camera.</summary>
    public required CameraStyle Camera { get; init; }

    /// <summary>The picture as the camera's JPEG file.</summary>
    public byte[] EncodeJpeg() => Codec.Jpeg(Rgb, Width, Height, Camera.Quality);
}

/// <summary>Renders whole scenes: one place, several people standing apart, boxes measured from what can really be seen.</summary>
internal static class SceneRenderer
{
    private const int Width = 640, Height = 360;

    public static SceneImage Render(ulong seed, int index, IReadOnlyList<CameraStyle> cameras, int firstIdentity, int identities)
    {
        var draw = new Draw(seed, WorldStream.Scene, index);
        // A scene's camera stands further off and sees more: its people must keep enough pixels to be found again.
        var camera = draw.Pick(cameras);
        camera = camera with { Resolution = MathF.Max(.8f, camera.Resolution), Place = camera.Place with { WallDistance = MathF.Max(4.5f, camera.Place.WallDistance) } };
        var pitch = Math.Clamp(camera.Pitch, .10f, .38f);
        var distance = draw.Range(4.5f, 7.5f);
        var scale = draw.Range(110, 165);
        var view = new View(pitch, distance, scale, Width / 2f, Height * draw.Range(.55f, .68f));
        var fine = view with { Scale = view.Scale * 2, X = view.X * 2, Y = view.Y * 2 };
        var stage = Stage.Rent(Width, Height);
        try
        {
            stage.Clear();
            camera.Place.Paint(stage.Canvas, view, draw, figures: false);
            var (light, sun) = Stage.MakeLight(draw, camera.Place, pitch);
            var people = new List<(int Identity, int LastPart)>();
            var spots = new List<Vector2>();
            for (var n = 4 + draw.Next(7); n > 0; n--)
            {
                var identity = firstIdentity + draw.Next(identities);
                var spot = new Vector2(draw.Range(-2.2f, 2.2f), draw.Range(-2.2f, .9f));
                if (spots.Any(s => Vector2.Distance(s, spot) < .45f) || people.Any(p => p.Identity == identity)) continue;
                spots.Add(spot);
                var person = PersonAppearance.Sample(seed, identity);
                var pose = Pose.Sample(draw, person);
                int firstTube = stage.Mesh.Tubes.Count, firstVertex = stage.Mesh.Count;
                BodyBuilder.Build(stage.Mesh, person, pose);
                stage.Mesh.Transform(firstVertex, p => p * person.Stature);
                if (camera.Place.Sun > .28f) stage.CastShadow(firstTube, pose.Yaw, spot, view, sun, .25f + .45f * camera.Place.Sun);
                stage.ContactShadow(pose, pose.Yaw, spot, view, person.Stature);
                stage.Buffer.Draw(stage.Mesh, firstTube, pose.Yaw, spot, fine);
                people.Add((identity, stage.Mesh.Parts.Count));
            }
            Shading.Resolve(stage.Buffer, stage.Mesh, light, draw.Bits(), stage.Canvas);
            var (map, boxes) = Measure(stage.Buffer, people);
            return new SceneImage { Rgb = Lens.Develop(stage.Canvas, camera, draw, 1), Width = Width, Height = Height, People = map, Boxes = boxes, Camera = camera };
        }
        finally
        {
            stage.Return();
        }
    }

    /// <summary>Boxes of visible pixels; those of whom fewer than 250 pixels are left, behind others or outside, get none.</summary>
    private static (byte[] Map, List<SceneBox> Boxes) Measure(GBuffer buffer, List<(int Identity, int LastPart)> people)
    {
        var map = new byte[Width * Height];
        var found = new (int X0, int Y0, int X1, int Y1, int Count)[people.Count];
        Array.Fill(found, (Width, Height, -1, -1, 0));
        for (var y = 0; y < Height; y++)
        {
            for (var x = 0; x < Width; x++)
            {
                var part = buffer.Part[y * 2 * buffer.Width + x * 2];
                if (part == 0) continue;
                var who = 0;
                while (part > people[who].LastPart) who++;
                map[y * Width + x] = (byte)(who + 1);
                var f = found[who];
                found[who] = (Math.Min(f.X0, x), Math.Min(f.Y0, y), Math.Max(f.X1, x), Math.Max(f.Y1, y), f.Count + 1);
            }
        }
        var boxes = new List<SceneBox>();
        var renumber = new byte[people.Count + 1];
        for (var i = 0; i < people.Count; i++)
        {
            var f = found[i];
            if (f.Count < 250) continue;
            boxes.Add(new SceneBox(people[i].Identity, f.X0, f.Y0, f.X1 - f.X0 + 1, f.Y1 - f.Y0 + 1));
            renumber[i + 1] = (byte)boxes.Count;
        }
        for (var i = 0; i < map.Length; i++) map[i] = renumber[map[i]];
        return (map, boxes);
    }
}
