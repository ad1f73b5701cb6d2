using System.Numerics;
using SkiaSharp;

namespace Plip.Data.World;

/// <summary>Which pictures get a part mask on disk.</summary>
public enum MaskScope
{
    /// <summary>None.</summary>
    None,
    /// <summary>Those of the test split.</summary>
    Test,
    /// <summary>All.</summary>
    All,
}

/// <summary>What world to make. The same options give the same bytes, for any number of threads.</summary>
public sealed record WorldOptions
{
    /// <summary>How many identities in all, test and validation included.</summary>
    public int Identities { get; init; } = 2000;
    /// <summary>The seed everything follows from.</summary>
    public ulong Seed { get; init; } = 1;
    /// <summary>Pictures of each identity; they come from different cameras as long as there are enough.</summary>
    public int ImagesPerIdentity { get; init; } = 5;
    /// <summary>Picture height in pixels, 64 to 512; the width is half of it.</summary>
    public int Height { get; init; } = 128;
    /// <summary>How many cameras the world has.</summary>
    public int Cameras { get; init; } = 12;
    /// <summary>The last so many identities are the test split.</summary>
    public int TestIdentities { get; init; } = 200;
    /// <summary>The so many identities before those are the validation split.</summary>
    public int ValIdentities { get; init; }
    /// <summary>Which pictures get part masks.</summary>
    public MaskScope Masks { get; init; } = MaskScope.Test;
    /// <summary>How many full scenes of several test identities to make.</summary>
    public int Scenes { get; init; }
    /// <summary>Worker threads; 0 for as many as there are cores. Never changes a byte.</summary>
    public int Threads { get; init; }

    /// <summary>"train", "val" or "test".</summary>
    public string SplitOf(int identity) => identity >= Identities - TestIdentities ? "test" : identity >= Identities - TestIdentities - ValIdentities ? "val" : "train";

    /// <summary>Checks all values.</summary>
    /// <exception cref="ArgumentException">Names the option, what was given and what is allowed.</exception>
    public void Validate()
    {
        Check(Identities >= 1, nameof(Identities), Identities, "at least 1");
        Check(ImagesPerIdentity is >= 1 and <= 100, nameof(ImagesPerIdentity), ImagesPerIdentity, "1 to 100");
        Check(Height is >= 64 and <= 512 && Height % 2 == 0, nameof(Height), Height, "an even number from 64 to 512");
        Check(Cameras is >= 1 and <= 1000, nameof(Cameras), Cameras, "1 to 1000");
        Check(TestIdentities >= 0 && ValIdentities >= 0 && TestIdentities + ValIdentities <= Identities, "TestIdentities + ValIdentities", TestIdentities + ValIdentities, $"0 to {Identities}, the number of identities");
        Check(Scenes is >= 0 and <= 100_000, nameof(Scenes), Scenes, "0 to 100000");
        Check(Threads >= 0, nameof(Threads), Threads, "0 or more");

        static void Check(bool good, string name, int given, string allowed)
        {
            if (!good) throw new ArgumentException($"World option {name} is {given}; it must be {allowed}.");
        }
    }
}

/// <summary>One rendered picture with everything that is known of it.</summary>
public sealed record WorldImage
{
    /// <summary>RGB bytes, height × width × 3, rows from the top.</summary>
    public required byte[] Rgb { get; init; }
    /// <summary>Width in pixels.</summary>
    public required int Width { get; init; }
    /// <summary>Height in pixels.</summary>
    public required int Height { get; init; }
    /// <summary>The <see cref="LipLabel"/> of every pixel.</summary>
    public required byte[] Labels { get; init; }
    /// <summary>Who it is.</summary>
    public required PersonAppearance Appearance { get; init; }
    /// <summary>Turn from facing the camera, in radians: 0 front, ±π back.</summary>
    public required float Yaw { get; init; }
    /// <summary>The camera that took it.</summary>
    public required CameraStyle Camera { get; init; }
    /// <summary>Two free captions of different style.</summary>
    public required IReadOnlyList<Caption> Captions { get; init; }
    /// <summary>The caption made from the six attributes.</summary>
    public required Caption Prompt { get; init; }
    /// <summary>SYNTH-PEDES's six attributes.</summary>
    public required IReadOnlyList<string> SixAttributes { get; init; }
    /// <summary>PA-100K's 26 labels, in the order of <see cref="Attributes.Pa100k"/>.</summary>
    public required IReadOnlyList<bool> Pedestrian { get; init; }
    /// <summary>JPEG quality of the camera's file.</summary>
    public required int Quality { get; init; }

    /// <summary>The picture as the camera's JPEG file.</summary>
    public byte[] EncodeJpeg() => Codec.Jpeg(Rgb, Width, Height, Quality);
}

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
            var rgb = Lens.Develop(stage.Picture, camera, draw);
            var labels = stage.Picture.Labels.ToArray();
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

/// <summary>JPEG and PNG by Skia.</summary>
internal static class Codec
{
    public static byte[] Jpeg(ReadOnlySpan<byte> rgb, int width, int height, int quality)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var to = bitmap.GetPixelSpan();
        for (var i = 0; i < width * height; i++)
        {
            to[i * 4] = rgb[i * 3];
            to[i * 4 + 1] = rgb[i * 3 + 1];
            to[i * 4 + 2] = rgb[i * 3 + 2];
            to[i * 4 + 3] = 255;
        }
        using var data = bitmap.Encode(SKEncodedImageFormat.Jpeg, quality);
        return data.ToArray();
    }

    /// <summary>An 8-bit grey PNG whose values are the bytes themselves.</summary>
    public static byte[] GreyPng(ReadOnlySpan<byte> values, int width, int height)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Gray8, SKAlphaType.Opaque));
        for (var y = 0; y < height; y++) values.Slice(y * width, width).CopyTo(bitmap.GetPixelSpan()[(y * bitmap.RowBytes)..]);
        using var data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }
}
