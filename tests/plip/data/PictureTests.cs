using System.Buffers.Binary;
using System.IO.Compression;
using Plip.Data;
using SkiaSharp;
using Xunit;

namespace Plip.Tests.Data;

public class PictureTests
{
    // 8x8 CMYK JPEG of (0, 200, 200, 30), Adobe-inverted, written by PIL, which reads it back as (226, 48, 48).
    private const string Cmyk = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpCeo6utq2eAvMm6pseZqKuk/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAUG/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwCmEiTr/9k=";

    [Fact]
    public void A_png_comes_back_as_it_was_and_a_jpeg_nearly()
    {
        using var tiny = new TinyData();
        var picture = TinyData.Paint(3, 37, 53);
        picture.SavePng(tiny.At("a.png"));
        var png = Picture.Load(tiny.At("a.png"));
        Assert.Equal((37, 53), (png.Width, png.Height));
        Assert.Equal(picture.Rgb, png.Rgb);
        picture.SaveJpeg(tiny.At("a.jpg"), 95);
        var jpeg = Picture.Load(tiny.At("a.jpg"));
        // Quality 95 with halved chroma: a mean error of some levels, where a swap of channels gives about 60.
        Assert.InRange(jpeg.Rgb.Zip(picture.Rgb, (a, b) => Math.Abs(a - b)).Average(), 0, 8);
    }

    [Fact]
    public void Alpha_is_dropped_at_any_number_of_pixels()
    {
        using var tiny = new TinyData();
        for (var width = 1; width < 12; width++)
        {
            var picture = TinyData.Paint(width, width, 3);
            picture.SavePng(tiny.At("x.png"));
            Assert.Equal(picture.Rgb, Picture.Load(tiny.At("x.png")).Rgb);
        }
    }

    [Fact]
    public void Gray_becomes_rgb()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(4, 4, SKColorType.Gray8, SKAlphaType.Opaque));
        bitmap.Erase(new SKColor(90, 90, 90));
        using var data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        Assert.All(Picture.Decode(data.ToArray(), "gray").Rgb, v => Assert.Equal(90, v));
    }

    [Fact]
    public void Alpha_is_dropped_not_blended()
    {
        var png = RgbaPng(2, 2, [200, 100, 50, 128]);
        Assert.Equal([200, 100, 50], Picture.Decode(png, "rgba").Rgb[..3]);
    }

    [Fact]
    public void Cmyk_becomes_rgb()
    {
        var picture = Picture.Decode(Convert.FromBase64String(Cmyk), "cmyk");
        Assert.Equal((8, 8), (picture.Width, picture.Height));
        // Two roundings of 8 bits stand between PIL's conversion and Skia's.
        Assert.InRange(picture.Rgb[0], 226 - 3, 226 + 3);
        Assert.InRange(picture.Rgb[1], 48 - 3, 48 + 3);
        Assert.InRange(picture.Rgb[2], 48 - 3, 48 + 3);
    }

    [Fact]
    public void A_missing_file_an_empty_one_and_noise_each_name_the_file()
    {
        using var tiny = new TinyData();
        Error(tiny.At("nowhere/a.jpg"), "missing");
        Error(tiny.Write("empty.jpg", ""), "empty");
        Error(tiny.Write("text.jpg", "this is not a picture at all"), "not a picture");
        File.WriteAllBytes(tiny.At("short.jpg"), [0xFF, 0xD8]);
        Error(tiny.At("short.jpg"), "not a picture");
        Error(tiny.Root, "cannot be read");
    }

    [Fact]
    public void A_cut_jpeg_is_an_error_wherever_it_is_cut()
    {
        using var tiny = new TinyData();
        TinyData.Paint(1, 64, 128).SaveJpeg(tiny.At("a.jpg"));
        var whole = File.ReadAllBytes(tiny.At("a.jpg"));
        foreach (var part in new[] { .1, .3, .5, .7, .9, .99 })
        {
            File.WriteAllBytes(tiny.At("cut.jpg"), whole[..(int)(part * whole.Length)]);
            var error = Assert.Throws<DataException>(() => Picture.Load(tiny.At("cut.jpg")));
            Assert.Equal(tiny.At("cut.jpg"), error.File);
        }
    }

    [Fact]
    public void A_cut_png_is_an_error()
    {
        using var tiny = new TinyData();
        TinyData.Paint(1, 64, 128).SavePng(tiny.At("a.png"));
        var whole = File.ReadAllBytes(tiny.At("a.png"));
        File.WriteAllBytes(tiny.At("cut.png"), whole[..(whole.Length / 2)]);
        Error(tiny.At("cut.png"), "damaged or cut off");
    }

    [Fact]
    public void A_picture_of_900_megapixels_is_refused_before_anything_is_allocated()
    {
        var png = RgbaPng(30_000, 30_000, []);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<DataException>(() => Picture.Decode(png, "huge.png"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.Contains("30000x30000", error.Message);
        Assert.Contains("64 megapixels", error.Message);
    }

    [Fact]
    public void The_wrong_number_of_bytes_is_refused() =>
        Assert.Contains("needs 12 bytes", Assert.Throws<ArgumentException>(() => new Picture(2, 2, new byte[16])).Message);

    private static void Error(string path, string found)
    {
        var error = Assert.Throws<DataException>(() => Picture.Load(path));
        Assert.Equal(path, error.File);
        Assert.Contains(found, error.Found);
    }

    /// <summary>A PNG with an alpha channel, every pixel the same; no pixels at all if <paramref name="rgba"/> is empty.</summary>
    private static byte[] RgbaPng(int width, int height, byte[] rgba)
    {
        using var png = new MemoryStream();
        png.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (8, 6);
        Chunk("IHDR"u8, header);
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            for (var y = 0; y < height && rgba.Length > 0; y++)
            {
                zlib.WriteByte(0);
                for (var x = 0; x < width; x++) zlib.Write(rgba);
            }
        Chunk("IDAT"u8, packed.ToArray());
        Chunk("IEND"u8, []);
        return png.ToArray();

        void Chunk(ReadOnlySpan<byte> type, ReadOnlySpan<byte> body)
        {
            byte[] all = [.. type, .. body];
            var crc = uint.MaxValue;
            foreach (var b in all)
            {
                crc ^= b;
                for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
            }
            Span<byte> number = stackalloc byte[4];
            BinaryPrimitives.WriteInt32BigEndian(number, body.Length);
            png.Write(number);
            png.Write(all);
            BinaryPrimitives.WriteUInt32BigEndian(number, ~crc);
            png.Write(number);
        }
    }
}
