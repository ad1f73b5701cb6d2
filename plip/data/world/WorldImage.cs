namespace Plip.Data.World;

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
