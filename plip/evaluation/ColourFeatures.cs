namespace Plip.Evaluation;

/// <summary>
/// A soft histogram over reference colours: a colour is spread over the references near it in Lab, so that navy counts
/// a little as black and a little as blue. Words and pixels go through the same map, which makes their products mean something.
/// </summary>
internal static class ColourFeatures
{
    private const float LightnessWeight = 0.35f; // cloth in shade keeps its hue, not its lightness
    private const float Width = 17;              // Lab units: about half the distance of neighbouring references
    private const int Levels = 32;               // per channel of the table: 8 grey levels are below the width

    // The basic colours of clothing, the greys and denims finer than the rest, since most clothes are one of them.
    private static readonly Lab[] References =
    [
        .. new (byte R, byte G, byte B)[]
        {
            (20, 20, 22), (62, 62, 66), (125, 125, 128), (180, 182, 185), (240, 240, 240),
            (195, 30, 40), (105, 25, 35), (235, 150, 180), (232, 120, 35), (235, 210, 60),
            (95, 62, 40), (200, 178, 140), (45, 135, 65), (55, 72, 50), (120, 50, 140),
            (45, 80, 190), (30, 36, 68), (75, 100, 145), (150, 185, 225), (60, 160, 170),
        }.Select(c => Lab.FromRgb(c.R, c.G, c.B)),
    ];

    private static readonly Lazy<float[]> Table = new(BuildTable);

    /// <summary>Number of references.</summary>
    public static int Count => References.Length;

    /// <summary>Adds one colour's share of each reference (they sum to <paramref name="weight"/>).</summary>
    public static void Add(Lab colour, float weight, Span<float> histogram)
    {
        Span<float> near = stackalloc float[References.Length];
        float sum = 0;
        for (var i = 0; i < near.Length; i++)
        {
            var d = Lab.Distance(colour, References[i], LightnessWeight) / Width;
            near[i] = MathF.Exp(-0.5f * d * d) + 1e-9f; // far from all of them: evenly spread, not 0/0
            sum += near[i];
        }
        for (var i = 0; i < near.Length; i++) histogram[i] += weight * near[i] / sum;
    }

    /// <summary>The same for a pixel, from a table (2.6 MB, built at first use).</summary>
    public static void AddPixel(byte r, byte g, byte b, float weight, Span<float> histogram)
    {
        var row = Table.Value.AsSpan((((r >> 3) * Levels + (g >> 3)) * Levels + (b >> 3)) * References.Length, References.Length);
        for (var i = 0; i < row.Length; i++) histogram[i] += weight * row[i];
    }

    private static float[] BuildTable()
    {
        var table = new float[Levels * Levels * Levels * References.Length];
        Parallel.For(0, Levels, r =>
        {
            for (var g = 0; g < Levels; g++)
                for (var b = 0; b < Levels; b++)
                    Add(Lab.FromRgb((byte)(8 * r + 4), (byte)(8 * g + 4), (byte)(8 * b + 4)), 1,
                        table.AsSpan(((r * Levels + g) * Levels + b) * References.Length, References.Length));
        });
        return table;
    }
}
