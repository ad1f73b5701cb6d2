using System.Numerics;

namespace Plip.Data.World;

/// <summary>Composes one person's picture, as a detector would have cut it out of a camera's view.</summary>
internal static class PersonRenderer
{
    /// <summary>Renders into <paramref name="stage"/>; returns the pose. What is drawn depends on the arguments alone.</summary>
    public static Pose Render(Stage stage, PersonAppearance person, CameraStyle camera, Draw draw, ulong seed)
    {
        stage.Clear();
        var picture = stage.Canvas;
        float w = picture.Width, h = picture.Height;
        var pose = Pose.Sample(draw, person);
        var body = BodyBuilder.Build(stage.Mesh, person, pose);

        var pitch = Math.Max(0, camera.Pitch + draw.Range(-.06f, .06f));
        var unit = new View(pitch, camera.Distance, 1, 0, 0);
        var (x0, y0, x1, y1) = GBuffer.Bounds(stage.Mesh, 0, body.BodyVertices, pose.Yaw, default, unit);
        // Detectors' boxes are loose or tight, sometimes off; wide strides are squeezed by the fixed aspect.
        var share = draw.Chance(.08) ? draw.Range(1.0f, 1.12f) : draw.Range(.82f, .97f);
        var scale = MathF.Min(h * share / (y1 - y0), w * 1.12f / (x1 - x0));
        var spare = h - scale * (y1 - y0);
        var top = spare * (spare > 0 ? draw.Range(.2f, .8f) : draw.Range(0, .6f));
        var view = new View(pitch, camera.Distance, scale, w / 2 + draw.Range(-.07f, .07f) * w - scale * (x0 + x1) / 2, top - scale * y0);

        var place = camera.Place;
        place.Paint(picture, view, draw);
        var (light, sun) = Stage.MakeLight(draw, place, pitch);
        if (place.Sun > .28f) stage.CastShadow(0, pose.Yaw, default, view, sun, .25f + .45f * place.Sun);
        stage.ContactShadow(pose, pose.Yaw, default, view);

        var fine = new View(pitch, camera.Distance, scale * 2, view.X * 2, view.Y * 2);
        stage.Buffer.Draw(stage.Mesh, 0, pose.Yaw, default, fine);
        Bystander(stage, draw, seed, fine, view);
        Shading.Resolve(stage.Buffer, stage.Mesh, light, draw.Bits(), picture);
        Surroundings.Occlude(picture, draw);
        return pose;
    }

    /// <summary>One picture in four shows part of somebody else, mostly behind and to one side, rarely in front.</summary>
    private static void Bystander(Stage stage, Draw draw, ulong seed, View fine, View view)
    {
        if (!draw.Chance(.25)) return;
        var who = PersonAppearance.Sample(new Draw(seed, WorldStream.Bystander, draw.Next(int.MaxValue)), 0);
        var pose = Pose.Sample(draw, who);
        var inFront = draw.Chance(.14);
        var side = draw.Chance(.5) ? 1 : -1;
        var ground = new Vector2(side * draw.Range(inFront ? .30f : .24f, .46f), inFront ? draw.Range(.25f, .5f) : draw.Range(-2.2f, -.3f));
        var firstTube = stage.Mesh.Tubes.Count;
        BodyBuilder.Build(stage.Mesh, who, pose, other: true);
        stage.ContactShadow(pose, pose.Yaw, ground, view);
        stage.Buffer.Draw(stage.Mesh, firstTube, pose.Yaw, ground, fine);
    }
}
