using System.Text.Json;

namespace Plip.Engine;

/// <summary>
/// Weights in several files with an index, as Hugging Face writes them: model.safetensors.index.json or pytorch_model.bin.index.json, whose
/// "weight_map" says of each tensor which file beside the index holds it.
/// </summary>
internal sealed class ShardedWeights : IDisposable
{
    private const int LargestIndex = 100_000_000, MostShards = 4096;

    private readonly Dictionary<string, WeightsFile> _shards = new(StringComparer.Ordinal);

    /// <summary>The tensors that the index names, in its order.</summary>
    public StateDict Tensors { get; } = new();

    /// <summary>The index's own metadata that is text or a number.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Opens an index and every file it names.</summary>
    /// <exception cref="FileFormatException">No index, a name that leads out of its folder, a missing file or tensor.</exception>
    public static ShardedWeights Open(string path)
    {
        if (new FileInfo(path).Length > LargestIndex) throw new FileFormatException(path, "", $"is text of more than {LargestIndex} bytes, too long for an index of weights");
        var result = new ShardedWeights();
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { MaxDepth = 8 });
            result.Read(path, json.RootElement);
            return result;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: escapes that are no text.
            result.Dispose();
            throw new FileFormatException(path, "", $"is text, but no index of weights: not JSON with a \"weight_map\" ({e.Message.ReplaceLineEndings(" ")})", e);
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    private void Read(string path, JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
            throw new FileFormatException(path, "", "is JSON, but no index of weights: it has no \"weight_map\"");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        foreach (var entry in map.EnumerateObject())
        {
            var name = Printable.Text(entry.Name);
            if (entry.Value.ValueKind != JsonValueKind.String) throw new FileFormatException(path, name, "its file is no text");
            if (Tensors.TryGet(entry.Name) != null) throw new FileFormatException(path, name, "stands twice in the weight_map");
            var shard = Shard(path, folder, entry.Value.GetString()!);
            Tensors.Add(entry.Name, shard.Tensors.TryGet(entry.Name) ?? throw new FileFormatException(path, name, $"is not in {shard.Path}, as the weight_map says; the files are of different models or one is incomplete"));
        }
        if (!root.TryGetProperty("metadata", out var metadata) || metadata.ValueKind != JsonValueKind.Object) return;
        foreach (var entry in metadata.EnumerateObject())
            if (entry.Value.ValueKind is JsonValueKind.String or JsonValueKind.Number) Metadata[entry.Name] = entry.Value.ToString();
    }

    private WeightsFile Shard(string path, string folder, string name)
    {
        if (_shards.TryGetValue(name, out var open)) return open;
        // A name and nothing else: no folder, no parent, no drive.
        if (name.Length == 0 || name is "." or ".." || name.AsSpan().IndexOfAny("/\\:") >= 0 || name.Contains('\0'))
            throw new FileFormatException(path, Printable.Text(name), "is no name of a file beside the index; files elsewhere are not opened");
        if (_shards.Count == MostShards) throw new FileFormatException(path, "", $"names more than {MostShards} files");
        var file = Path.Combine(folder, name);
        if (!File.Exists(file)) throw new FileFormatException(path, Printable.Text(name), "is missing: the file should lie beside the index");
        if (WeightsFile.Detect(file) == WeightsFormat.Index) throw new FileFormatException(path, Printable.Text(name), "is an index itself; expected a file of weights");
        return _shards[name] = WeightsFile.Open(file);
    }

    /// <summary>Closes all files.</summary>
    public void Dispose()
    {
        foreach (var shard in _shards.Values) shard.Dispose();
    }
}
