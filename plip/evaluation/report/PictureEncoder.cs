using SkiaSharp;

namespace Plip.Evaluation;

/// <summary>RGB bytes to data URIs. JPEG without chroma subsampling, since colour is what the report is about.</summary>
internal static class PictureEncoder
{
    private const int Quality = 90;

    /// <exception cref="ArgumentException">The bytes do not fit the size.</exception>
    public static string ToDataUri(ReportPicture picture)
    {
        var (width, height, rgb) = picture;
        if (width < 1 || height < 1 || rgb.Length != 3L * width * height)
            throw new ArgumentException($"A picture of {width}×{height} needs {3L * width * height} bytes of RGB, not {rgb.Length}.");
        using var bitmap = new SKBitmap(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        var pixels = bitmap.GetPixelSpan();
        for (var y = 0; y < height; y++)
        {
            var row = pixels[(y * bitmap.RowBytes)..];
            for (var x = 0; x < width; x++)
            {
                var from = 3 * (y * width + x);
                (row[4 * x], row[4 * x + 1], row[4 * x + 2], row[4 * x + 3]) = (rgb[from], rgb[from + 1], rgb[from + 2], byte.MaxValue);
            }
        }
        using var pixmap = bitmap.PeekPixels();
        using var data = pixmap.Encode(new SKJpegEncoderOptions(Quality, SKJpegEncoderDownsample.Downsample444, SKJpegEncoderAlphaOption.Ignore))
            ?? throw new InvalidOperationException($"A picture of {width}×{height} could not be encoded as JPEG.");
        return "data:image/jpeg;base64," + Convert.ToBase64String(data.AsSpan());
    }
}
