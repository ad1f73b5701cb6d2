using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Plip.Evaluation;

/// <summary>
/// Writes NumPy's .npy, version 1.0: little-endian, C order, so that embeddings and ranks can be opened elsewhere.
/// The file appears under its name only when complete, and then it is on the disk.
/// </summary>
public static class NpyWriter
{
    internal const int Alignment = 64; // the format pads the header so that the data can be mapped

    /// <summary>Writes float32 of shape (length) or (rows, columns).</summary>
    /// <exception cref="ArgumentException">The shape is not of one or two axes, or does not fit the values.</exception>
    public static void Write(string path, ReadOnlySpan<float> values, params ReadOnlySpan<int> shape) => Write(path, values, "<f4", shape);

    /// <summary>Writes int32 of shape (length) or (rows, columns).</summary>
    /// <exception cref="ArgumentException">The shape is not of one or two axes, or does not fit the values.</exception>
    public static void Write(string path, ReadOnlySpan<int> values, params ReadOnlySpan<int> shape) => Write(path, values, "<i4", shape);

    /// <summary>Writes int64 of shape (length) or (rows, columns).</summary>
    /// <exception cref="ArgumentException">The shape is not of one or two axes, or does not fit the values.</exception>
    public static void Write(string path, ReadOnlySpan<long> values, params ReadOnlySpan<int> shape) => Write(path, values, "<i8", shape);

    /// <summary>Writes float32 of shape (rows, columns) as the rows come: of a long file no more is in memory than one piece.</summary>
    /// <param name="rows">Rows that will come.</param>
    /// <param name="columns">Values of a row.</param>
    /// <param name="pieces">The values in order, cut anywhere. Enumerated once, after the file has been opened.</param>
    /// <exception cref="ArgumentException">More or fewer values came than (rows, columns) holds; no file is left then.</exception>
    public static void Write(string path, int rows, int columns, IEnumerable<ReadOnlyMemory<float>> pieces)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        var header = Header("<f4", [rows, columns]);
        var size = (long)rows * columns;
        using var file = new WholeFile(path, header.Length + size * sizeof(float));
        file.Stream.Write(header);
        long written = 0;
        foreach (var piece in pieces)
        {
            written += piece.Length;
            if (written > size) break;
            file.Stream.Write(MemoryMarshal.AsBytes(piece.Span));
        }
        if (written != size) throw new ArgumentException($"{(written > size ? "More than" : $"{written} of")} the {size} values of shape ({rows}, {columns}) came.", nameof(pieces));
        file.Complete();
    }

    private static void Write<T>(string path, ReadOnlySpan<T> values, string type, ReadOnlySpan<int> shape) where T : unmanaged
    {
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException(".npy files are written in the machine's order, which must be little-endian.");
        if (shape.Length is < 1 or > 2) throw new ArgumentException($"A shape of {shape.Length} axes cannot be written; one or two can.", nameof(shape));
        long size = 1;
        foreach (var axis in shape) size *= axis;
        if (size != values.Length || shape.ContainsAnyInRange(int.MinValue, -1))
            throw new ArgumentException($"The shape ({string.Join(", ", shape.ToArray())}) does not fit {values.Length} values.", nameof(shape));

        var header = Header(type, shape);
        var bytes = header.Length + size * Marshal.SizeOf<T>();
        using var file = new WholeFile(path, bytes);
        file.Stream.Write(header);
        const int run = 1 << 20; // bytes of an array above 2 GiB do not fit one span
        for (var start = 0; start < values.Length; start += run)
            file.Stream.Write(MemoryMarshal.AsBytes(values.Slice(start, Math.Min(run, values.Length - start))));
        file.Complete();
    }

    private static byte[] Header(string type, ReadOnlySpan<int> shape)
    {
        var axes = shape.Length == 1
            ? string.Create(CultureInfo.InvariantCulture, $"({shape[0]},)")
            : string.Create(CultureInfo.InvariantCulture, $"({shape[0]}, {shape[1]})");
        var text = $"{{'descr': '{type}', 'fortran_order': False, 'shape': {axes}, }}";
        const int prefix = 10; // magic, version, two bytes of length
        var length = (prefix + text.Length + 1 + Alignment - 1) / Alignment * Alignment - prefix;
        var header = new byte[prefix + length];
        header.AsSpan().Fill((byte)' ');
        "\u0093NUMPY\u0001\0"u8[1..].CopyTo(header); // UTF-8 of U+0093 is C2 93: only its second byte is the magic
        header[8] = (byte)length;
        header[9] = (byte)(length >> 8);
        Encoding.ASCII.GetBytes(text, header.AsSpan(prefix));
        header[^1] = (byte)'\n';
        return header;
    }
}
