using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Plip.Engine;

/// <summary>
/// Writes the safetensors format. The same state gives the same bytes. Entries stand in the header in the state's order; their data
/// lies with the widest elements first, so every tensor is aligned for readers that map the file.
/// </summary>
public static class SafeTensorsWriter
{
    /// <summary>Writes a file in place; <see cref="Checkpoint.Save"/> is the one that survives a power cut.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, StateDict tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        using var stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        Write(stream, tensors, metadata);
    }

    /// <summary>Writes a file beside its place and renames it there when it is on the disk: a failure leaves what stood there.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Replace(string path, StateDict tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        DurableFile.Replace(path, stream => Write(stream, tensors, metadata));

    /// <summary>Writes to a stream, a piece of a tensor at a time.</summary>
    /// <param name="metadata">Free strings, written in the order of their keys.</param>
    /// <exception cref="ArgumentException">A tensor is named "__metadata__", or the header would exceed the format's 100 MB.</exception>
    public static void Write(Stream stream, StateDict tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var order = tensors.Select(e => e.Value).OrderByDescending(t => t.DType.Size()).ToArray(); // stable
        var begins = new Dictionary<StateTensor, long>(ReferenceEqualityComparer.Instance);
        long end = 0;
        foreach (var t in order)
        {
            if (!begins.TryAdd(t, end)) throw new ArgumentException($"safetensors: one tensor of shape {t.Shape} stands under two names; the format cannot share data");
            end += Bytes(t);
        }
        stream.Write(Header(tensors, metadata, begins));
        foreach (var t in order) t.WriteTo(stream);
    }

    private static long Bytes(StateTensor t) => t.Shape.Count * t.DType.Size();

    private static byte[] Header(StateDict tensors, IReadOnlyDictionary<string, string>? metadata, Dictionary<StateTensor, long> begins)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }
            foreach (var (name, t) in tensors)
            {
                if (name == "__metadata__") throw new ArgumentException("safetensors: a tensor cannot be named \"__metadata__\"");
                json.WriteStartObject(name);
                json.WriteString("dtype", SafeTensorType.Of(t.DType).Name);
                json.WriteStartArray("shape");
                foreach (var extent in t.Shape.ToArray()) json.WriteNumberValue(extent);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(begins[t]);
                json.WriteNumberValue(begins[t] + Bytes(t));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        var length = (buffer.WrittenCount + 7) / 8 * 8;
        if (length > SafeTensorsHeader.MaxBytes)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"safetensors: the header would take {length} bytes, the format allows {SafeTensorsHeader.MaxBytes}"));
        var header = new byte[8 + length];
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)length);
        buffer.WrittenSpan.CopyTo(header.AsSpan(8));
        header.AsSpan(8 + buffer.WrittenCount).Fill((byte)' ');
        return header;
    }
}
