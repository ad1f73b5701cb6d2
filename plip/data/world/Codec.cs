using SkiaSharp;

namespace Plip.Data.World;

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
