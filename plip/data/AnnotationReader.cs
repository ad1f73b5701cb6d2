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
internal sealed class AnnotationReader(string file, string folder, AnnotationFormat format)
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
                if (!TryEntry(ref reader)) break;
            }
            state = reader.CurrentState;
            consumed = (int)reader.BytesConsumed;
        }
        return consumed;
    }

    /// <summary>Reads the object whose brace was just read; false if the buffer ends before it does.</summary>
    private bool TryEntry(ref Utf8JsonReader reader)
    {
        var start = reader.TokenStartIndex;
        int? id = null;
        string? path = null, split = null, attributes = null;
        string[]? captions = null;
        string[] prompts = [];
        while (true)
        {
            if (!reader.Read()) return false;
            if (reader.TokenType == JsonTokenType.EndObject) break;
            if (reader.ValueTextEquals("id"u8))
            {
                if (!reader.Read()) return false;
                if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out var number) || number < 0)
                    throw Wrong(reader, $"\"id\" is {Show(reader)}", "a whole number from 0 to 2147483647");
                id = number;
            }
            else if (reader.ValueTextEquals(format.PathKey))
            {
                if (!reader.Read()) return false;
                path = Relative(reader, Text(reader, format.PathKey));
            }
            else if (reader.ValueTextEquals("split"u8))
            {
                if (!reader.Read()) return false;
                split = string.Intern(Text(reader, "split"));
            }
            else if (reader.ValueTextEquals("captions"u8))
            {
                if (!TryTexts(ref reader, "captions", out captions)) return false;
            }
            else if (reader.ValueTextEquals("prompt_caption"u8))
            {
                if (!TryTexts(ref reader, "prompt_caption", out prompts)) return false;
            }
            else if (reader.ValueTextEquals("attributes"u8))
            {
                if (!TryTexts(ref reader, "attributes", out var list)) return false;
                attributes = list.Length == 0 ? null : string.Join(',', list);
            }
            else if (!reader.TrySkip())
            {
                return false;
            }
        }
        if (id is null) throw Missing("id", "the person's number");
        if (path is null) throw Missing(format.PathKey, "the picture's path");
        if (captions is null) throw Missing("captions", "a list of sentences");
        if (format.HasSplits && split is null) throw Missing("split", "\"train\", \"val\" or \"test\"");
        images.Add(new PersonImage(folder, path, id.Value, captions, prompts, attributes, split, images.Count));
        return true;

        DataException Missing(string key, string expected) => Wrong(start, $"the entry has no \"{key}\"", $"\"{key}\": {expected}");
    }

    /// <summary>A list of strings; null reads as an empty list, and a lone string as a list of one.</summary>
    private bool TryTexts(ref Utf8JsonReader reader, string key, out string[] texts)
    {
        texts = [];
        if (!reader.Read()) return false;
        if (reader.TokenType == JsonTokenType.Null) return true;
        if (reader.TokenType == JsonTokenType.String)
        {
            texts = [Text(reader, key)];
            return true;
        }
        if (reader.TokenType != JsonTokenType.StartArray) throw Wrong(reader, $"\"{key}\" is {Show(reader)}", "a list of strings");
        var list = new List<string>(3);
        while (true)
        {
            if (!reader.Read()) return false;
            if (reader.TokenType == JsonTokenType.EndArray) break;
            list.Add(Text(reader, key));
        }
        texts = [.. list];
        return true;
    }

    private string Text(in Utf8JsonReader reader, string key)
    {
        if (reader.TokenType != JsonTokenType.String) throw Wrong(reader, $"\"{key}\" holds {Show(reader)}", "a string");
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw Wrong(reader.TokenStartIndex, $"\"{key}\" is not valid Unicode", "text in UTF-8", e);
        }
    }

    /// <summary>A path that stays inside the data set: an annotation file from elsewhere must not read other files.</summary>
    private string Relative(in Utf8JsonReader reader, string path)
    {
        var usable = path.Length > 0 && !path.Contains('\0') && !Path.IsPathRooted(path)
            && !path.Split('/', '\\').Contains("..");
        return usable ? path.Replace('\\', '/') : throw Wrong(reader, $"\"{format.PathKey}\" is {Show(reader)}", $"a path inside {folder}, without \"..\"");
    }

    private DataException Wrong(in Utf8JsonReader reader, string found, string expected) => Wrong(reader.TokenStartIndex, found, expected);

    private DataException Wrong(long position, string found, string expected, Exception? inner = null)
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

    private static string Show(in Utf8JsonReader reader)
    {
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.Number)) return Name(reader.TokenType);
        var bytes = reader.ValueSpan;
        var text = System.Text.Encoding.UTF8.GetString(bytes[..Math.Min(60, bytes.Length)]);
        return reader.TokenType == JsonTokenType.String ? $"\"{text}\"" : text;
    }

    private static string Name(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.Null => "null",
        _ => "true or false",
    };
}
