using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace Plip.Engine;

/// <summary>
/// The header of a safetensors file, checked in full before anything is read: lengths, UTF-8, JSON, duplicate keys,
/// shapes, and that the entries cover the data without gap or overlap.
/// </summary>
internal sealed class SafeTensorsHeader
{
    /// <summary>The format's own limit.</summary>
    public const int MaxBytes = 100_000_000;

    private readonly string _path;
    private readonly long _dataBytes;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    private SafeTensorsHeader(string path, int jsonBytes, long dataBytes) => (_path, DataStart, _dataBytes) = (path, 8 + jsonBytes, dataBytes);

    /// <summary>Where the data begins in the file.</summary>
    public long DataStart { get; }

    /// <summary>Entries in the order of the header.</summary>
    public List<Entry> Entries { get; } = [];

    /// <summary>The metadata in the order of the header.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Where each value of the metadata stands in the file, its quotes included.</summary>
    public Dictionary<string, (long Start, int Length)> MetadataPlaces { get; } = new(StringComparer.Ordinal);

    /// <summary>Reads and checks a header.</summary>
    /// <param name="read">Fills a span from a position of the file.</param>
    /// <exception cref="FileFormatException">Anything that the format does not allow.</exception>
    public static SafeTensorsHeader Read(string path, long fileBytes, Action<long, Span<byte>> read)
    {
        if (fileBytes < 8) throw new FileFormatException(path, "", $"is {fileBytes} bytes long; a safetensors file has at least 8. The copy or download was cut short");
        Span<byte> prefix = stackalloc byte[8];
        read(0, prefix);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxBytes)
            throw new FileFormatException(path, "header", $"claims {length} bytes, the format allows {MaxBytes}; this is not a safetensors file");
        if ((long)length > fileBytes - 8)
            throw new FileFormatException(path, "header", $"claims {length} bytes, the file holds {fileBytes - 8} after the length; it was cut short, or is no safetensors file");
        var json = new byte[length];
        read(8, json);
        if (!Utf8.IsValid(json)) throw new FileFormatException(path, "header", "is not UTF-8; this is not a safetensors file, or it is damaged");
        var header = new SafeTensorsHeader(path, json.Length, fileBytes - 8 - json.Length);
        try
        {
            header.Parse(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: escapes such as \ud800 that are no text.
            throw new FileFormatException(path, "header", $"is not the JSON of a safetensors file ({e.Message})", e);
        }
        header.RequireCover();
        return header;
    }

    private void Parse(byte[] json)
    {
        if (json.Length == 0 || json[0] != (byte)'{') throw Error("header", "does not begin with '{'; this is not a safetensors file, or it is damaged");
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!_names.Add(name)) throw Error(name, "stands twice in the header");
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject) throw Error(name, "is not an object");
            if (name == "__metadata__") ParseMetadata(ref reader);
            else ParseEntry(ref reader, name);
        }
        reader.Read(); // throws if anything but blanks follows
    }

    private void ParseMetadata(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw Error($"__metadata__.{key}", "is not a string");
            if (!Metadata.TryAdd(key, reader.GetString()!)) throw Error($"__metadata__.{key}", "stands twice");
            MetadataPlaces[key] = (8 + reader.TokenStartIndex, (int)(reader.BytesConsumed - reader.TokenStartIndex));
        }
    }

    private void ParseEntry(ref Utf8JsonReader reader, string name)
    {
        string? typeName = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            switch (key)
            {
                case "dtype" when typeName == null && reader.TokenType == JsonTokenType.String:
                    typeName = reader.GetString();
                    break;
                case "shape" when shape == null && reader.TokenType == JsonTokenType.StartArray:
                    shape = Numbers(ref reader, name, key);
                    break;
                case "data_offsets" when offsets == null && reader.TokenType == JsonTokenType.StartArray:
                    offsets = Numbers(ref reader, name, key);
                    break;
                default:
                    throw Error(name, $"\"{key}\" is unknown, stands twice or has the wrong kind of value; expected one each of dtype, shape, data_offsets");
            }
        }
        if (typeName == null || shape == null || offsets == null) throw Error(name, "lacks one of dtype, shape, data_offsets");
        var type = SafeTensorType.Find(typeName) ?? throw Error(name, $"elements of type \"{typeName}\" cannot be read; known are {SafeTensorType.Known}");
        if (offsets.Count != 2) throw Error(name, $"data_offsets has {offsets.Count} numbers instead of 2");
        var (begin, end) = (offsets[0], offsets[1]);
        if (begin > end || end > _dataBytes)
            throw Error(name, $"data_offsets [{begin}, {end}] do not lie within the {_dataBytes} bytes of data; the file is cut short or damaged");
        Entries.Add(new Entry(name, type, ToShape(name, shape, type, end - begin), begin, end));
    }

    private Shape ToShape(string name, List<long> extents, SafeTensorType type, long bytes)
    {
        var dims = new int[extents.Count];
        Int128 count = 1;
        for (var i = 0; i < dims.Length; i++)
        {
            if (extents[i] > int.MaxValue) throw Error(name, $"extent {extents[i]} is beyond {int.MaxValue}, the largest this program handles");
            dims[i] = (int)extents[i];
            // Capped, so that no number of large extents can wrap around; a zero further on still makes it zero.
            count = Int128.Min(count * dims[i], long.MaxValue);
        }
        var shape = $"({string.Join(", ", dims)})";
        return count * type.Size == bytes ? new Shape(dims) : throw Error(name, $"{type.Name} of shape {shape} does not take {bytes} bytes, as its data_offsets say");
    }

    private List<long> Numbers(ref Utf8JsonReader reader, string name, string key)
    {
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var n) || n < 0)
                throw Error(name, $"{key} holds something other than whole numbers from 0 up");
            numbers.Add(n);
        }
        return numbers;
    }

    private void RequireCover()
    {
        long end = 0;
        foreach (var e in Entries.OrderBy(e => e.Begin).ThenBy(e => e.End))
        {
            if (e.Begin != end)
                throw Error(e.Name, $"its data begins at {e.Begin}, {(e.Begin < end ? "inside another's" : "after a gap")}: the data before it ends at {end}");
            end = e.End;
        }
        if (end != _dataBytes) throw Error("", $"holds {_dataBytes} bytes of data, its entries account for {end}; the file is damaged or has a foreign tail");
    }

    private FileFormatException Error(string place, string problem) => new(_path, place, problem);

    /// <summary>One tensor.</summary>
    /// <param name="Begin">First byte, from the start of the data.</param>
    public sealed record Entry(string Name, SafeTensorType Type, Shape Shape, long Begin, long End);
}
