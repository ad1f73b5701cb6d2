namespace Plip.Data.World;

/// <summary>
/// How one camera renders what it sees: place (its height gives the pitch), white balance, tone, sharpness, noise and
/// compression. Every identity is seen by several cameras; a camera keeps its ways for all of them.
/// </summary>
public sealed record CameraStyle
{
    /// <summary>The camera's number.</summary>
    public required int Camera { get; init; }
    /// <summary>How far it looks down, in radians.</summary>
    public required float Pitch { get; init; }
    /// <summary>Distance in body heights.</summary>
    public required float Distance { get; init; }
    /// <summary>Gain of red and of blue against green.</summary>
    public required (float Red, float Blue) Balance { get; init; }
    /// <summary>Exponent applied to display values.</summary>
    public required float Gamma { get; init; }
    /// <summary>Saturation factor.</summary>
    public required float Saturation { get; init; }
    /// <summary>Contrast factor about mid grey.</summary>
    public required float Contrast { get; init; }
    /// <summary>Share of the full resolution the sensor really has (1 and above: all of it).</summary>
    public required float Resolution { get; init; }
    /// <summary>Optical blur in pixels of a picture 128 high.</summary>
    public required float Blur { get; init; }
    /// <summary>Strength of in-camera sharpening, the pale rims of cheap cameras.</summary>
    public required float Sharpening { get; init; }
    /// <summary>Sensor noise, standard deviation of display values.</summary>
    public required float Noise { get; init; }
    /// <summary>JPEG quality.</summary>
    public required int Quality { get; init; }
    internal Surroundings Place { get; init; } = new();

    /// <summary>Camera <paramref name="camera"/> of the world with this seed.</summary>
    public static CameraStyle Sample(ulong seed, int camera)
    {
        var draw = new Draw(seed, WorldStream.Camera, camera);
        return new CameraStyle
        {
            Camera = camera,
            Pitch = draw.Range(.03f, .52f),
            Distance = draw.Range(3.5f, 9),
            Balance = (draw.Range(.92f, 1.09f), draw.Range(.90f, 1.10f)),
            Gamma = MathF.Exp(draw.Range(-.20f, .20f)),
            Saturation = draw.Range(.72f, 1.28f),
            Contrast = draw.Range(.92f, 1.22f),
            Resolution = draw.Range(.48f, 1.3f),
            Blur = draw.Range(.0f, .65f),
            Sharpening = draw.Chance(.5) ? draw.Range(.2f, 1.2f) : 0,
            Noise = draw.Range(0, .028f),
            Quality = 62 + draw.Next(34),
            Place = Surroundings.Sample(draw),
        };
    }
}
