using System.Text.Json;

namespace Plip.Data;

/// <summary>What an annotation says of a picture.</summary>
/// <param name="Path">The picture's path; null where the format does not ask for one and none is given.</param>
/// <param name="Identity">The person.</param>
/// <param name="Captions">Written captions.</param>
/// <param name="Prompts">Captions made from attributes.</param>
/// <param name="Attributes">SYNTH-PEDES' six, as one string; null for none.</param>
/// <param name="Split">Its split; null for none.</param>
internal readonly record struct Entry(string? Path, int Identity, string[] Captions, string[] Prompts, string? Attributes, string? Split);

/// <summary>Reads one entry of an annotation file, a JSON object; who reads the file around it says where an error is.</summary>
internal abstract class EntryReader(string folder, AnnotationFormat format)
{
    /// <summary>What paths start from.</summary>
    protected string Folder { get; } = folder;

    /// <summary>Reads the object whose brace was just read; false if the buffer ends before it does.</summary>
    protected bool TryEntry(ref Utf8JsonReader reader, out Entry entry)
    {
        entry = default;
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
        if (path is null && format.NeedsPath) throw Missing(format.PathKey, "the picture's path");
        if (captions is null) throw Missing("captions", "a list of sentences");
        if (format.HasSplits && split is null) throw Missing("split", "\"train\", \"val\" or \"test\"");
        entry = new Entry(path, id.Value, captions, prompts, attributes, split);
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
        return usable ? path.Replace('\\', '/') : throw Wrong(reader, $"\"{format.PathKey}\" is {Show(reader)}", $"a path inside {Folder}, without \"..\"");
    }

    /// <summary>The error of a place in the bytes that are being read.</summary>
    protected abstract DataException Wrong(long position, string found, string expected, Exception? inner = null);

    protected DataException Wrong(in Utf8JsonReader reader, string found, string expected) => Wrong(reader.TokenStartIndex, found, expected);

    private static string Show(in Utf8JsonReader reader)
    {
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.Number)) return Name(reader.TokenType);
        var bytes = reader.ValueSpan;
        var text = System.Text.Encoding.UTF8.GetString(bytes[..Math.Min(60, bytes.Length)]);
        return reader.TokenType == JsonTokenType.String ? $"\"{text}\"" : text;
    }

    protected static string Name(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.Null => "null",
        _ => "true or false",
    };
}
