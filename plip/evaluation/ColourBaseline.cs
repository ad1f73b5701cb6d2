namespace Plip.Evaluation;

/// <summary>
/// The honest weak rival: it compares the colour words of a caption with the colours of a picture, band by band, and
/// knows nothing else. A caption becomes, for each of four bands (head, upper, lower, feet), the colours of the garments
/// that lie there; a picture becomes the colour histogram of the same bands. Both are vectors of
/// <see cref="Dimensions"/> values whose cosine is the score, so they go through the same <see cref="Retrieval"/>.
/// </summary>
public static class ColourBaseline
{
    // Rows of each band as shares of the height, and how much the band says: feet and head are small and often wrong.
    private static readonly (float Top, float Bottom, float Weight)[] Bands =
        [(0.00f, 0.17f, 0.35f), (0.17f, 0.50f, 1.0f), (0.50f, 0.86f, 0.9f), (0.86f, 1.00f, 0.45f)];

    private const float CentreWidth = 0.20f; // of the picture's width: the person stands in the middle, the street beside

    /// <summary>Length of an embedding: bands × reference colours.</summary>
    public static int Dimensions => Bands.Length * ColourFeatures.Count;

    /// <summary>The embedding of a caption; all zero (cosine 0 with every picture) where it names no colour of a garment.</summary>
    public static float[] Embed(string caption)
    {
        var embedding = new float[Dimensions];
        Span<float> word = stackalloc float[ColourFeatures.Count];
        foreach (var mention in CaptionColours.Read(caption))
        {
            word.Clear();
            foreach (var (r, g, b) in mention.Shades) ColourFeatures.Add(Lab.FromRgb(r, g, b), 1f / mention.Shades.Count, word);
            foreach (var (band, share) in BandsOf(mention.Part))
                for (var i = 0; i < word.Length; i++) embedding[band * word.Length + i] += share * word[i];
        }
        for (var band = 0; band < Bands.Length; band++)
            Normalise(embedding.AsSpan(band * ColourFeatures.Count, ColourFeatures.Count), Bands[band].Weight);
        return embedding;
    }

    /// <summary>The embedding of a picture.</summary>
    /// <param name="rgb">(H, W, 3) sRGB bytes.</param>
    /// <param name="width">W.</param>
    /// <param name="height">H.</param>
    /// <exception cref="ArgumentException">The bytes do not fit the size.</exception>
    public static float[] Embed(ReadOnlySpan<byte> rgb, int width, int height)
    {
        if (width < 1 || height < 1 || rgb.Length != 3L * width * height)
            throw new ArgumentException($"A picture of {width}×{height} needs {3L * width * height} bytes, not {rgb.Length}.", nameof(rgb));
        Span<float> columns = width <= 1024 ? stackalloc float[width] : new float[width];
        for (var x = 0; x < width; x++)
        {
            var off = ((x + 0.5f) / width - 0.5f) / CentreWidth;
            columns[x] = MathF.Exp(-0.5f * off * off);
        }
        var embedding = new float[Dimensions];
        for (var y = 0; y < height; y++)
        {
            var at = (y + 0.5f) / height;
            var band = 0;
            while (band < Bands.Length - 1 && at >= Bands[band].Bottom) band++;
            var histogram = embedding.AsSpan(band * ColourFeatures.Count, ColourFeatures.Count);
            for (var x = 0; x < width; x++)
            {
                var p = 3 * (y * width + x);
                ColourFeatures.AddPixel(rgb[p], rgb[p + 1], rgb[p + 2], columns[x], histogram);
            }
        }
        for (var band = 0; band < Bands.Length; band++)
            Normalise(embedding.AsSpan(band * ColourFeatures.Count, ColourFeatures.Count), Bands[band].Weight);
        return embedding;
    }

    /// <summary>
    /// Takes the mean picture away from all pictures: what every picture shows (street, skin, dark trousers) then says
    /// nothing, and a rare colour says much. Captions stay as they are.
    /// </summary>
    /// <param name="pictures">(N, <see cref="Dimensions"/>) embeddings, changed in place.</param>
    /// <param name="mean">The mean embedding of some pictures (of the training split, or of the gallery itself, which uses no label).</param>
    public static void Centre(Span<float> pictures, ReadOnlySpan<float> mean)
    {
        if (mean.Length != Dimensions || pictures.Length % Dimensions != 0)
            throw new ArgumentException($"Embeddings have {Dimensions} values; got a mean of {mean.Length} and pictures of {pictures.Length}.");
        for (var i = 0; i < pictures.Length; i++) pictures[i] -= mean[i % Dimensions];
    }

    /// <summary>The mean of (N, <see cref="Dimensions"/>) embeddings, summed in F64 in their order.</summary>
    public static float[] Mean(ReadOnlySpan<float> pictures)
    {
        if (pictures.IsEmpty || pictures.Length % Dimensions != 0)
            throw new ArgumentException($"Embeddings have {Dimensions} values; {pictures.Length} is no positive multiple of that.", nameof(pictures));
        var sum = new double[Dimensions];
        for (var i = 0; i < pictures.Length; i++) sum[i % Dimensions] += pictures[i];
        var count = pictures.Length / Dimensions;
        return [.. sum.Select(s => (float)(s / count))];
    }

    private static (int Band, float Share)[] BandsOf(BodyPart part) => part switch
    {
        BodyPart.Head => [(0, 1)],
        BodyPart.Upper => [(1, 1)],
        BodyPart.Lower => [(2, 1)],
        BodyPart.Feet => [(3, 1)],
        BodyPart.Body => [(1, 1), (2, 1)],
        BodyPart.Bag => [(1, 0.3f)],
        _ => [],
    };

    // Square roots of shares (Hellinger): a small patch of a colour counts more than its area.
    private static void Normalise(Span<float> histogram, float weight)
    {
        float sum = 0;
        foreach (var h in histogram) sum += h;
        if (sum <= 0) return;
        for (var i = 0; i < histogram.Length; i++) histogram[i] = weight * MathF.Sqrt(histogram[i] / sum);
    }
}
