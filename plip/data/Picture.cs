using System.Buffers;
using System.Runtime.Intrinsics;
using SkiaSharp;

namespace Plip.Data;

/// <summary>
/// A decoded picture: 8-bit RGB, rows from the top, no padding between rows. Gray, palette and CMYK files become RGB;
/// an alpha channel is dropped (as PIL's convert("RGB") does, not blended). Colour profiles and the EXIF orientation
/// are not applied: the crops of the person data sets have none, and the published models were trained without.
/// </summary>
public sealed class Picture
{
    /// <summary>Pictures of more pixels are refused from their header, before anything is allocated: 64 megapixels.</summary>
    public const long MaxPixels = 64_000_000;

    /// <summary>Wraps pixels without copying them.</summary>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="rgb">height · width · 3 bytes.</param>
    /// <exception cref="ArgumentException">The sizes do not fit.</exception>
    public Picture(int width, int height, byte[] rgb)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        if (rgb.LongLength != 3L * width * height)
            throw new ArgumentException($"{width}x{height} RGB needs {3L * width * height} bytes, got {rgb.LongLength}", nameof(rgb));
        (Width, Height, Rgb) = (width, height, rgb);
    }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    /// <summary>(Height, Width, 3) bytes.</summary>
    public byte[] Rgb { get; }

    /// <summary>Reads and decodes a JPEG, PNG, BMP, GIF or WebP file.</summary>
    /// <exception cref="DataException">The file is missing, empty, no picture, cut off, or larger than <see cref="MaxPixels"/>.</exception>
    public static Picture Load(string path)
    {
        using var borrowed = Borrow(path);
        return new Picture(borrowed.Width, borrowed.Height, borrowed.Rgb.ToArray());
    }

    /// <summary>As <see cref="Load"/>, into memory from a pool: for pipelines that look at a picture once and let it go.</summary>
    internal static BorrowedPicture Borrow(string path)
    {
        var file = ReadFile(path, out var length);
        try
        {
            return BorrowDecoded(file.AsSpan(0, length), path);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(file);
        }
    }

    /// <summary>A picture's file, in an array from the shared pool.</summary>
    internal static byte[] ReadFile(string path, out int length)
    {
        byte[]? file = null;
        try
        {
            using var handle = File.OpenHandle(path, options: FileOptions.SequentialScan);
            var size = RandomAccess.GetLength(handle);
            if (size > Array.MaxLength) throw new IOException("it is larger than 2 GB");
            file = ArrayPool<byte>.Shared.Rent((int)size);
            int read;
            length = 0;
            while (length < size && (read = RandomAccess.Read(handle, file.AsSpan(length, (int)size - length), length)) > 0) length += read;
            return file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (file != null) ArrayPool<byte>.Shared.Return(file);
            throw e is FileNotFoundException or DirectoryNotFoundException
                ? new DataException(path, null, "the picture is missing", "a JPEG or PNG file", e)
                : new DataException(path, null, "the picture cannot be read: " + e.Message.TrimEnd('.'), "a readable JPEG or PNG file", e);
        }
    }

    /// <summary>Decodes a picture held in memory.</summary>
    /// <param name="data">The bytes of the file.</param>
    /// <param name="name">What errors shall call it: the path.</param>
    /// <exception cref="DataException">As for <see cref="Load"/>.</exception>
    public static Picture Decode(ReadOnlySpan<byte> data, string name)
    {
        using var borrowed = BorrowDecoded(data, name);
        return new Picture(borrowed.Width, borrowed.Height, borrowed.Rgb.ToArray());
    }

    /// <summary>As <see cref="Decode"/>, into memory from a pool.</summary>
    internal static unsafe BorrowedPicture BorrowDecoded(ReadOnlySpan<byte> data, string name)
    {
        if (data.IsEmpty) throw new DataException(name, null, "the file is empty", "a JPEG or PNG picture");
        fixed (byte* pointer = data)
        {
            using var bytes = SKData.Create((nint)pointer, data.Length); // no copy: used inside this block only
            using var codec = SKCodec.Create(bytes)
                ?? throw new DataException(name, null, "the bytes are not a picture", "a JPEG, PNG, BMP, GIF or WebP file");
            int width = codec.Info.Width, height = codec.Info.Height;
            var pixels = (long)width * height;
            if (pixels > MaxPixels)
                throw new DataException(name, null, $"the picture is {width}x{height}", $"at most {MaxPixels / 1_000_000} megapixels");
            var rgba = ArrayPool<byte>.Shared.Rent((int)(4 * pixels));
            try
            {
                // No colour space in the target: the stored values come out as they are, as PIL gives them.
                var info = new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
                SKCodecResult result;
                fixed (byte* target = rgba) result = codec.GetPixels(info, (nint)target);
                // SKBitmap.Decode would hand out a half gray picture here without a word.
                if (result != SKCodecResult.Success)
                    throw new DataException(name, null, $"the picture is damaged or cut off ({result}, {data.Length} bytes)", $"a whole {codec.EncodedFormat} of {width}x{height}");
                DropAlpha(rgba, (int)pixels);
                return new BorrowedPicture(width, height, rgba);
            }
            catch
            {
                ArrayPool<byte>.Shared.Return(rgba);
                throw;
            }
        }
    }

    /// <summary>RGBA to RGB in place, four pixels at once: what is written lies at or before what is read next.</summary>
    private static void DropAlpha(Span<byte> rgba, int pixels)
    {
        var i = 0;
        for (; i + 4 <= pixels; i += 4)
        {
            var four = Vector128.Create<byte>(rgba.Slice(4 * i, 16));
            // The last four bytes written are zeros, and stand where those of the next four pixels will.
            Vector128.Shuffle(four, Vector128.Create((byte)0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255)).CopyTo(rgba[(3 * i)..]);
        }
        for (; i < pixels; i++) (rgba[3 * i], rgba[3 * i + 1], rgba[3 * i + 2]) = (rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]);
    }

    /// <summary>Writes a JPEG.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="quality">1 to 100.</param>
    public void SaveJpeg(string path, int quality = 90) => Save(path, SKEncodedImageFormat.Jpeg, quality);

    /// <summary>Writes a PNG, which loses nothing.</summary>
    /// <param name="path">Where to.</param>
    public void SavePng(string path) => Save(path, SKEncodedImageFormat.Png, 100);

    private unsafe void Save(string path, SKEncodedImageFormat format, int quality)
    {
        var rgba = ArrayPool<byte>.Shared.Rent(4 * Width * Height);
        try
        {
            for (int i = 0, j = 0; j < Rgb.Length; i += 4, j += 3)
            {
                rgba[i] = Rgb[j];
                rgba[i + 1] = Rgb[j + 1];
                rgba[i + 2] = Rgb[j + 2];
                rgba[i + 3] = 255;
            }
            fixed (byte* source = rgba)
            {
                var info = new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
                using var pixmap = new SKPixmap(info, (nint)source, 4 * Width);
                using var encoded = pixmap.Encode(format, quality)
                    ?? throw new InvalidOperationException($"Skia could not encode {Width}x{Height} as {format}.");
                using var stream = File.Create(path);
                encoded.SaveTo(stream);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rgba);
        }
    }
}

/// <summary>A decoded picture in memory from a pool, to which disposing gives it back. Copies of the struct share it: dispose once.</summary>
internal readonly struct BorrowedPicture : IDisposable
{
    private readonly byte[] memory;

    internal BorrowedPicture(int width, int height, byte[] memory) => (Width, Height, this.memory) = (width, height, memory);

    internal int Width { get; }

    internal int Height { get; }

    /// <summary>(Height, Width, 3) bytes.</summary>
    internal ReadOnlySpan<byte> Rgb => memory.AsSpan(0, 3 * Width * Height);

    public void Dispose() => ArrayPool<byte>.Shared.Return(memory);
}
