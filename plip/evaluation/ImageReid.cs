using System.Text.Json;
using Plip.Data;

namespace Plip.Evaluation;

/// <summary>
/// Image→image retrieval of one split (person re-identification by the embeddings as they are): every picture searches all others, by the
/// protocol of Market-1501: a picture's own identity under its own camera is taken out of its ranking, itself with it. Where the cameras
/// are not known every picture counts as a camera of its own, so that only the query itself is removed; the protocol's words say which.
/// </summary>
public static class ImageReid
{
    /// <summary>Evaluates embeddings of a split.</summary>
    /// <param name="images">The split's pictures, in its order.</param>
    /// <param name="cameras">The camera of each (<see cref="Cameras"/>); null where they are not known.</param>
    /// <param name="split">For the protocol's words: "test split".</param>
    /// <exception cref="ArgumentException">There are not as many cameras as pictures.</exception>
    public static RetrievalOutcome Evaluate(Embeddings images, int[]? cameras, string split)
    {
        if (cameras != null && cameras.Length != images.Count) throw new ArgumentException($"{cameras.Length} cameras for {images.Count} pictures.", nameof(cameras));
        var each = cameras ?? [.. Enumerable.Range(0, images.Count)];
        return Retrieval.Evaluate(images.Values, images.Identities, images.Dim, [new GalleryChunk(images.Values, images.Identities, each)], new RetrievalOptions
        {
            Direction = $"image→image, {split}{(cameras == null ? ", each picture a camera of its own" : "")}",
            QueryCameras = each,
        });
    }

    /// <summary>
    /// The camera of each picture of a data set, from the truth a rendered world keeps beside its pictures (garments.json: "file_path",
    /// "camera"); null where there is no such file.
    /// </summary>
    /// <exception cref="DataException">The file is damaged, or lacks one of the pictures.</exception>
    public static int[]? Cameras(PersonDataset data)
    {
        var file = Path.Combine(data.Root, "garments.json");
        if (!File.Exists(file)) return null;
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        try
        {
            using var stream = File.OpenRead(file);
            using var json = JsonDocument.Parse(stream);
            foreach (var entry in json.RootElement.EnumerateArray())
                known[entry.GetProperty("file_path").GetString()!] = entry.GetProperty("camera").GetInt32();
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentNullException)
        {
            throw new DataException(file, null, "it is no list of pictures and their cameras: " + e.Message.TrimEnd('.'), "the file that the world was made with: make the world again", e);
        }
        return [.. data.Images.Select(i => known.TryGetValue(i.RelativePath, out var camera)
            ? camera
            : throw new DataException(file, null, $"it does not have {i.RelativePath}", "an entry for every picture: make the world again"))];
    }
}
