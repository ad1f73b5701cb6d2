using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Plip.Engine;

namespace Plip.Data;

/// <summary>What becomes of a picture on its way to the encoder; the defaults are the paper's (section 1 of its recipe).</summary>
public sealed record ImageSettings
{
    /// <summary>Height in pixels.</summary>
    public int Height { get; init; } = 256;

    /// <summary>Width in pixels.</summary>
    public int Width { get; init; } = 128;

    /// <summary>Probability of a horizontal flip in training.</summary>
    public float FlipProbability { get; init; } = .5f;

    /// <summary>In training, shift by a whole number in [-n, n] each way, edges repeated; 0 (the paper) for none.</summary>
    public int ShiftPixels { get; init; }

    /// <summary>Mean per channel of values in [0, 1], RGB.</summary>
    public float[] Mean { get; init; } = [.357f, .323f, .328f];

    /// <summary>Standard deviation per channel, RGB.</summary>
    public float[] Std { get; init; } = [.252f, .242f, .239f];
}

/// <summary>One draw of the augmentation; <c>default</c> leaves the picture as it is.</summary>
/// <param name="Flip">Mirror left and right.</param>
/// <param name="Dx">The output at x reads the input at x + Dx (before the flip).</param>
/// <param name="Dy">The output at y reads the input at y + Dy.</param>
public readonly record struct Augmentation(bool Flip, int Dx, int Dy);

/// <summary>Resize, flip, shift and normalise: a picture becomes (Height, Width, 3) floats. Thread-safe.</summary>
public sealed class ImageTransform
{
    private readonly float[] scale, offset; // of one row, so that the vector loop needs no modulo 3

    /// <summary>Prepares a transform.</summary>
    /// <exception cref="ArgumentException">A size, probability, shift, mean or deviation makes no sense.</exception>
    public ImageTransform(ImageSettings settings)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(settings.Height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(settings.Width);
        ArgumentOutOfRangeException.ThrowIfNegative(settings.ShiftPixels);
        if (settings.FlipProbability is not (>= 0 and <= 1))
            throw new ArgumentException($"the flip probability is {settings.FlipProbability}, not in [0, 1]", nameof(settings));
        if (settings.Mean.Length != 3 || settings.Std.Length != 3 || !settings.Mean.All(float.IsFinite) || !settings.Std.All(s => s > 0))
            throw new ArgumentException("mean and std hold three numbers each, RGB, and every std is positive", nameof(settings));
        Settings = settings;
        (scale, offset) = (new float[3 * settings.Width], new float[3 * settings.Width]);
        for (var i = 0; i < scale.Length; i++)
        {
            scale[i] = (float)(1 / (255.0 * settings.Std[i % 3]));
            offset[i] = (float)(-(double)settings.Mean[i % 3] / settings.Std[i % 3]);
        }
    }

    /// <summary>The settings.</summary>
    public ImageSettings Settings { get; }

    /// <summary>Number of bytes of a resized picture and of floats of a normalised one: Height · Width · 3.</summary>
    public int Size => 3 * Settings.Height * Settings.Width;

    /// <summary>The bicubic resize alone, rounded to bytes: the part worth caching.</summary>
    /// <param name="picture">Any size.</param>
    /// <param name="resized"><see cref="Size"/> bytes.</param>
    public void Resize(Picture picture, Span<byte> resized) =>
        BicubicResizer.Resize(picture, Settings.Height, Settings.Width, resized);

    /// <inheritdoc cref="Resize(Picture, Span{byte})"/>
    internal void Resize(in BorrowedPicture picture, Span<byte> resized) =>
        BicubicResizer.Resize(picture.Rgb, picture.Height, picture.Width, Settings.Height, Settings.Width, resized);

    /// <summary>Draws sample <paramref name="position"/>'s augmentation: a pure function of the generator and the position.</summary>
    public Augmentation Draw(Philox random, long position)
    {
        var element = (ulong)position * 4;
        var (n, span) = (Settings.ShiftPixels, 2 * Settings.ShiftPixels + 1);
        return new(random.Uniform(element) < Settings.FlipProbability,
            random.Next(element + 1, span) - n, random.Next(element + 2, span) - n);
    }

    /// <summary>Flip, shift and (x/255 − mean)/std.</summary>
    /// <param name="resized"><see cref="Size"/> bytes, RGB.</param>
    /// <param name="augmentation">The draw; <c>default</c> in evaluation.</param>
    /// <param name="destination"><see cref="Size"/> floats, (Height, Width, 3).</param>
    public void Normalise(ReadOnlySpan<byte> resized, Augmentation augmentation, Span<float> destination)
    {
        if (resized.Length != Size || destination.Length != Size)
            throw new ArgumentException($"a picture of {Settings.Height}x{Settings.Width} has {Size} values; got {resized.Length} bytes and room for {destination.Length} floats");
        int height = Settings.Height, stride = 3 * Settings.Width;
        var moved = ArrayPool<byte>.Shared.Rent(2 * stride);
        for (var y = 0; y < height; y++)
        {
            var row = resized.Slice(Math.Clamp(y + augmentation.Dy, 0, height - 1) * stride, stride);
            if (augmentation.Dx != 0)
            {
                Shift(row, augmentation.Flip ? -augmentation.Dx : augmentation.Dx, moved.AsSpan(0, stride));
                row = moved.AsSpan(0, stride);
            }
            if (augmentation.Flip)
            {
                Mirror(row, moved.AsSpan(stride, stride));
                row = moved.AsSpan(stride, stride);
            }
            NormaliseRow(row, destination.Slice(y * stride, stride));
        }
        ArrayPool<byte>.Shared.Return(moved);
    }

    /// <summary>Resize and normalise in one call.</summary>
    /// <param name="picture">Any size.</param>
    /// <param name="augmentation">The draw; <c>default</c> in evaluation.</param>
    /// <param name="destination"><see cref="Size"/> floats, (Height, Width, 3).</param>
    public void Apply(Picture picture, Augmentation augmentation, Span<float> destination) =>
        Apply(picture.Rgb, picture.Height, picture.Width, augmentation, destination);

    /// <inheritdoc cref="Apply(Picture, Augmentation, Span{float})"/>
    internal void Apply(in BorrowedPicture picture, Augmentation augmentation, Span<float> destination) =>
        Apply(picture.Rgb, picture.Height, picture.Width, augmentation, destination);

    private void Apply(ReadOnlySpan<byte> rgb, int height, int width, Augmentation augmentation, Span<float> destination)
    {
        var resized = ArrayPool<byte>.Shared.Rent(Size);
        BicubicResizer.Resize(rgb, height, width, Settings.Height, Settings.Width, resized.AsSpan(0, Size));
        Normalise(resized.AsSpan(0, Size), augmentation, destination);
        ArrayPool<byte>.Shared.Return(resized);
    }

    /// <summary>Output x is row[clamp(x + dx)].</summary>
    private static void Shift(ReadOnlySpan<byte> row, int dx, Span<byte> moved)
    {
        var from = MemoryMarshal.Cast<byte, Rgb>(row);
        var to = MemoryMarshal.Cast<byte, Rgb>(moved);
        var width = from.Length;
        var shift = Math.Clamp(dx, -width, width);
        var (first, end) = (Math.Max(0, -shift), Math.Min(width, width - shift)); // where x + shift lies inside the row
        to[..first].Fill(from[0]);
        from[(first + shift)..(end + shift)].CopyTo(to[first..]);
        to[end..].Fill(from[^1]);
    }

    /// <summary>The pixels of a row in reverse, five at once; the row and its mirror image do not overlap, or a load would wait for the store before it.</summary>
    private static void Mirror(ReadOnlySpan<byte> row, Span<byte> mirrored)
    {
        var i = 0;
        // Sixteen bytes are read and written for fifteen; the next five pixels write over the sixteenth.
        for (; i + 16 <= row.Length; i += 15)
        {
            var five = Vector128.Create<byte>(row.Slice(row.Length - i - 16, 16));
            Vector128.Shuffle(five, Vector128.Create((byte)13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, 0)).CopyTo(mirrored[i..]);
        }
        for (; i < row.Length; i += 3) row.Slice(row.Length - i - 3, 3).CopyTo(mirrored[i..]);
    }

    private readonly record struct Rgb(byte R, byte G, byte B);

    /// <summary>Multiply, then add, in the vector loop and in its tail: the same bits at every vector width.</summary>
    private void NormaliseRow(ReadOnlySpan<byte> row, Span<float> output)
    {
        ref var b = ref MemoryMarshal.GetReference(row);
        ref var o = ref MemoryMarshal.GetReference(output);
        ref var s = ref scale[0];
        ref var t = ref offset[0];
        var lanes = Vector<float>.Count;
        var i = 0;
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
        {
            Vector.Widen(Vector.LoadUnsafe(ref b, (nuint)i), out var low, out var high);
            Vector.Widen(low, out var v0, out var v1);
            Vector.Widen(high, out var v2, out var v3);
            Store(v0, i, ref s, ref t, ref o);
            Store(v1, i + lanes, ref s, ref t, ref o);
            Store(v2, i + 2 * lanes, ref s, ref t, ref o);
            Store(v3, i + 3 * lanes, ref s, ref t, ref o);
        }
        for (; i < row.Length; i++) output[i] = row[i] * scale[i] + offset[i];

        static void Store(Vector<uint> bytes, int i, ref float s, ref float t, ref float o)
        {
            var product = Vector.ConvertToSingle(Vector.AsVectorInt32(bytes)) * Vector.LoadUnsafe(ref s, (nuint)i);
            (product + Vector.LoadUnsafe(ref t, (nuint)i)).StoreUnsafe(ref o, (nuint)i);
        }
    }
}
