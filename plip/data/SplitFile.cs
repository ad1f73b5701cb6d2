using System.Text.Json;

namespace Plip.Data;

/// <summary>An external split: {"train":[identities],"val":[...],"test":[...]}; lists of other names set identities aside.</summary>
internal static class SplitFile
{
    /// <summary>Gives each image the split of its identity.</summary>
    /// <exception cref="DataException">The file is missing or malformed, an identity is in two lists, or an image's identity in none.</exception>
    internal static List<PersonImage> Apply(string splitFile, string annotationFile, List<PersonImage> images)
    {
        var splits = Read(splitFile);
        for (var i = 0; i < images.Count; i++)
        {
            if (!splits.TryGetValue(images[i].Identity, out var split))
                throw new DataException(splitFile, null, $"identity {images[i].Identity} (entry {images[i].Entry} of {annotationFile}) is in no list",
                    "every identity in one list; put those to leave out into a list of another name, such as \"unused\"");
            images[i] = images[i] with { Split = split };
        }
        return images;
    }

    private static Dictionary<int, string> Read(string path)
    {
        const string Expected = "{\"train\":[identities],\"val\":[...],\"test\":[...]}";
        var splits = new Dictionary<int, string>();
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw new DataException(path, null, "not a JSON object", Expected);
            foreach (var list in json.RootElement.EnumerateObject())
            {
                if (list.Value.ValueKind != JsonValueKind.Array) throw new DataException(path, $"\"{list.Name}\"", "not a list", Expected);
                foreach (var id in list.Value.EnumerateArray())
                {
                    if (id.ValueKind != JsonValueKind.Number || !id.TryGetInt32(out var identity))
                        throw new DataException(path, $"\"{list.Name}\"", $"{id.GetRawText()} is no identity", Expected);
                    if (!splits.TryAdd(identity, list.Name) && splits[identity] != list.Name)
                        throw new DataException(path, $"\"{list.Name}\"", $"identity {identity} is also in \"{splits[identity]}\"",
                            "each identity in one split, or the test would know its people");
                }
            }
            return splits;
        }
        catch (JsonException e)
        {
            throw new DataException(path, $"line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}", "the JSON is broken", Expected, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(path, null, "the split file cannot be read: " + e.Message.TrimEnd('.'), Expected, e);
        }
    }
}
