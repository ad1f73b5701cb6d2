using System.Numerics;

namespace Plip.Data.World;

/// <summary>A world of rendered pedestrians: identities with clothes of their own, cameras with ways of their own.</summary>
/// <remarks>Thread-safe. Every picture is a pure function of (options, identity, index).</remarks>
public sealed class World
{
    private readonly CameraStyle[] cameras;

    /// <summary>The world these options describe.</summary>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public World(WorldOptions options)
    {
        options.Validate();
        Options = options;
        cameras = [.. Enumerable.Range(0, options.Cameras).Select(c => CameraStyle.Sample(options.Seed, c))];
    }

    /// <summary>The options it was made with.</summary>
    public WorldOptions Options { get; }

    /// <summary>Its cameras.</summary>
    public IReadOnlyList<CameraStyle> Cameras => cameras;

    /// <summary>Picture <paramref name="imageIndex"/> of an identity; identities and indices beyond the options' counts exist too.</summary>
    public WorldImage Render(int identity, int imageIndex)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(imageIndex);
        var person = PersonAppearance.Sample(Options.Seed, identity);
        var draw = new Draw(Options.Seed, WorldStream.Image, identity, imageIndex);
        var camera = cameras[CameraOf(identity, imageIndex)];
        int height = Options.Height, width = height / 2;
        var stage = Stage.Rent(width, height);
        try
        {
            var pose = PersonRenderer.Render(stage, person, camera, draw, Options.Seed);
            var rgb = Lens.Develop(stage.Canvas, camera, draw);
            var labels = stage.Canvas.Labels.ToArray();
            var captioner = new Captioner(new Draw(Options.Seed, WorldStream.Caption, identity, imageIndex), person, pose.Walking);
            var six = Attributes.Six(person, labels);
            return new WorldImage
            {
                Rgb = rgb,
                Width = width,
                Height = height,
                Labels = labels,
                Appearance = person,
                Yaw = pose.Yaw,
                Camera = camera,
                Captions = [captioner.Write(0), captioner.Write(1)],
                Prompt = captioner.Prompt(six),
                SixAttributes = six,
                Pedestrian = Attributes.Pedestrian(person, pose.Yaw),
                Quality = Math.Clamp(camera.Quality + draw.Next(9) - 4, 45, 98),
            };
        }
        finally
        {
            stage.Return();
        }
    }

    /// <summary>Full scene <paramref name="index"/>: several identities of the test split, or of all where there is none.</summary>
    public SceneImage RenderScene(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var count = Options.TestIdentities > 0 ? Options.TestIdentities : Options.Identities;
        return SceneRenderer.Render(Options.Seed, index, cameras, Options.Identities - count, count);
    }

    /// <summary>Each identity starts at a camera of its own and strides through the others before it meets one again.</summary>
    private int CameraOf(int identity, int imageIndex)
    {
        var draw = new Draw(Options.Seed, WorldStream.Camera, identity, offset: 1);
        int start = draw.Next(cameras.Length), stride = 1 + draw.Next(Math.Max(1, cameras.Length - 1));
        while (BigInteger.GreatestCommonDivisor(stride, cameras.Length) != 1) stride++;
        return (int)((start + (long)imageIndex * stride) % cameras.Length);
    }
}
