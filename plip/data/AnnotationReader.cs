using System.Text.Json;

namespace Plip.Data;

/// <summary>
/// Reads an annotation file, a JSON list of objects, as a stream: one 1 MiB buffer (more only if one entry is larger) and
/// the entries themselves, so that SYNTH-PEDES' 4.8 million entries never stand in memory as text as well.
/// </summary>
/// <remarks>
/// An entry cut by the end of the buffer is read again from its start once more bytes are there: at most one entry per
/// buffer is parsed twice, and the parser needs no state of its own between buffers.
/// </remarks>
internal sealed class AnnotationReader(string file, string folder, AnnotationFormat format) : EntryReader(folder, format)
{
    private const string ListOfEntries = "a list of entries: [{\"id\": 1, …}, …]";
    private readonly List<PersonImage> images = [];
    private long offset; // of buffer[0] in the file

    /// <exception cref="DataException">The file is missing, is not JSON, or an entry lacks something.</exception>
    internal List<PersonImage> Read()
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1, FileOptions.SequentialScan);
            Read(stream);
            return images;
        }
        catch (JsonException e)
        {
            var message = e.Message.Split(" LineNumber:")[0].TrimEnd('.');
            throw new DataException(file, $"entry {images.Count}, line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}",
                "the JSON is broken: " + message, "well-formed JSON; the file may have been cut off while it was copied", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(file, null, "cannot be read: " + e.Message.TrimEnd('.'), "a readable annotation file", e);
        }
    }

    private enum Where
    {
        BeforeList,
        InList,
        AfterList,
    }

    private void Read(FileStream stream)
    {
        var buffer = new byte[1 << 20];
        var filled = stream.ReadAtLeast(buffer, 3, throwOnEndOfStream: false);
        if (filled == 0) throw new DataException(file, null, "the file is empty", ListOfEntries);
        if (buffer.AsSpan(0, filled).StartsWith("\uFEFF"u8)) Discard(3);
        var final = false;
        var where = Where.BeforeList;
        JsonReaderState state = default;
        while (true)
        {
            var reader = new Utf8JsonReader(buffer.AsSpan(0, filled), final, state);
            var consumed = ReadEntries(ref reader, ref where, ref state);
            if (final) return; // the parser has thrown if the list did not end or text follows it
            Discard(consumed);
            if (filled == buffer.Length) Array.Resize(ref buffer, buffer.Length * 2);
            var more = stream.Read(buffer, filled, buffer.Length - filled);
            filled += more;
            final = more == 0;
        }

        void Discard(int count)
        {
            buffer.AsSpan(count, filled - count).CopyTo(buffer);
            filled -= count;
            offset += count;
        }
    }

    /// <summary>Takes all whole entries of the buffer and says how many bytes they were.</summary>
    private int ReadEntries(ref Utf8JsonReader reader, ref Where where, ref JsonReaderState state)
    {
        var consumed = 0;
        while (reader.Read())
        {
            if (where == Where.BeforeList)
            {
                if (reader.TokenType != JsonTokenType.StartArray) throw Wrong(reader, $"found {Name(reader.TokenType)}", ListOfEntries);
                where = Where.InList;
            }
            else if (reader.TokenType == JsonTokenType.EndArray)
            {
                where = Where.AfterList;
            }
            else
            {
                if (reader.TokenType != JsonTokenType.StartObject)
                    throw Wrong(reader, $"found {Name(reader.TokenType)}", "an entry: {\"id\": 1, …}");
                if (!TryEntry(ref reader, out var entry)) break;
                images.Add(new PersonImage(Folder, entry.Path!, entry.Identity, entry.Captions, entry.Prompts, entry.Attributes, entry.Split, images.Count));
            }
            state = reader.CurrentState;
            consumed = (int)reader.BytesConsumed;
        }
        return consumed;
    }

    protected override DataException Wrong(long position, string found, string expected, Exception? inner = null)
    {
        var (line, column) = Locate(offset + position);
        return new DataException(file, $"entry {images.Count}, line {line}, byte {column}", found, expected, inner);
    }

    /// <summary>Line and byte in the line, both from 1; read from the file again, since only an error asks.</summary>
    private (long Line, long Column) Locate(long position)
    {
        using var stream = new BufferedStream(File.OpenRead(file), 1 << 16);
        var (line, column) = (1L, 1L);
        for (var i = 0L; i < position; i++)
            (line, column) = stream.ReadByte() == '\n' ? (line + 1, 1) : (line, column + 1);
        return (line, column);
    }
}
