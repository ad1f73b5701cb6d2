using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Plip.Evaluation;

/// <summary>
/// Reads NumPy's .npy, versions 1.0 to 3.0: little-endian float32, int32 and int64 in C order with one or two axes.
/// Every method throws <see cref="NpyException"/>, naming the file, for anything else: another type or order, a damaged
/// header, a file that is too short or too long.
/// </summary>
public static class NpyReader
{
    /// <summary>Reads float32.</summary>
    public static NpyArray<float> ReadFloat(string path) => Read<float>(path, "<f4", "float32");

    /// <summary>Reads int32.</summary>
    public static NpyArray<int> ReadInt(string path) => Read<int>(path, "<i4", "int32");

    /// <summary>Reads int64.</summary>
    public static NpyArray<long> ReadLong(string path) => Read<long>(path, "<i8", "int64");

    private static NpyArray<T> Read<T>(string path, string type, string name) where T : unmanaged
    {
        using var file = File.OpenRead(path);
        var (descr, shape, start) = ReadHeader(file, path);
        if (descr != type)
            throw new NpyException($"{path}: holds '{descr}', but {name} ('{type}') was expected. Convert it with array.astype('{name}').");
        long size = 1;
        foreach (var axis in shape) size *= axis;
        var bytes = size * Marshal.SizeOf<T>();
        if (file.Length != start + bytes)
            throw new NpyException($"{path}: the shape ({string.Join(", ", shape)}) needs {bytes} bytes after the header, but {file.Length - start} are there. The file is cut short or damaged; write it again.");
        if (size > Array.MaxLength) throw new NpyException($"{path}: {size} values are more than one array can hold; split the file.");
        var values = new T[size];
        const int run = 1 << 20;
        for (var at = 0; at < values.Length; at += run)
            file.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan(at, Math.Min(run, values.Length - at))));
        return new NpyArray<T>(values, shape);
    }

    private static (string Descr, int[] Shape, long Start) ReadHeader(FileStream file, string path)
    {
        Span<byte> prefix = stackalloc byte[12];
        var got = file.ReadAtLeast(prefix, 10, throwOnEndOfStream: false);
        if (got < 10 || prefix[0] != 0x93 || !prefix[1..6].SequenceEqual("NUMPY"u8))
            throw new NpyException($"{path}: is not a .npy file: it does not begin with \\x93NUMPY.");
        var (major, minor) = (prefix[6], prefix[7]);
        if (major is < 1 or > 3 || minor != 0 || (major > 1 && got < 12))
            throw new NpyException($"{path}: .npy version {major}.{minor} is not known; 1.0 to 3.0 are.");
        var start = major == 1 ? 10 : 12;
        var length = major == 1 ? prefix[8] | prefix[9] << 8 : BitConverter.ToInt32(prefix[8..12]);
        if (length < 0 || start + (long)length > file.Length)
            throw new NpyException($"{path}: the header says it is {(uint)length} bytes long, but the file ends before.");
        var bytes = new byte[length];
        file.Position = start;
        file.ReadExactly(bytes);
        var header = Encoding.UTF8.GetString(bytes);

        if (Value(header, "fortran_order", path) is not "False")
            throw new NpyException($"{path}: is in Fortran order; write it with numpy.ascontiguousarray.");
        var descr = Value(header, "descr", path).Trim('\'', '"');
        return (descr, ParseShape(Value(header, "shape", path), path), start + (long)length);
    }

    // The value after 'key': up to the comma, or for a tuple up to its closing parenthesis.
    private static string Value(string header, string key, string path)
    {
        var at = header.IndexOf($"'{key}':", StringComparison.Ordinal);
        if (at < 0) throw new NpyException($"{path}: the header has no '{key}': {header.Trim()}");
        var rest = header[(at + key.Length + 3)..].TrimStart();
        var end = rest.StartsWith('(') ? rest.IndexOf(')') + 1 : rest.AsSpan().IndexOfAny(',', '}');
        if (end <= 0) throw new NpyException($"{path}: the header breaks off in '{key}': {header.Trim()}");
        return rest[..end].Trim();
    }

    private static int[] ParseShape(string text, string path)
    {
        var parts = text.Trim('(', ')').Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (!text.StartsWith('(') || parts.Length is < 1 or > 2)
            throw new NpyException($"{path}: the shape {text} is not of one or two axes.");
        var shape = new int[parts.Length];
        for (var i = 0; i < parts.Length; i++)
            if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out shape[i]))
                throw new NpyException($"{path}: \"{parts[i]}\" in the shape {text} is not a length.");
        return shape;
    }
}
