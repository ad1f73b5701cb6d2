using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Plip.Data;

/// <summary>How far packing is.</summary>
/// <param name="Images">Pictures written.</param>
/// <param name="Total">Pictures in all.</param>
public readonly record struct PackProgress(int Images, int Total);

/// <summary>What packing wrote.</summary>
/// <param name="Images">Pictures.</param>
/// <param name="Shards">Archives.</param>
/// <param name="Bytes">Bytes of all archives.</param>
public sealed record PackResult(int Images, int Shards, long Bytes);

/// <summary>
/// Writes a data set of any layout as tar shards (WebDataset style): "000000123.jpg" and "000000123.json" for each picture,
/// identity after identity, an identity never in two shards, so that blocks of identities can be read in one go. The picture
/// files are copied as they are; the same data set gives the same bytes.
/// </summary>
public static class ShardPacker
{
    private const int EndMark = 2 * TarHeader.Block, Record = 10_240; // tar's files are whole records of 20 blocks
    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The default size of a shard: 1 GB, some 100,000 crops.</summary>
    public const long DefaultShardBytes = 1_000_000_000;

    /// <summary>Packs a data set into a new folder. It is written under another name and renamed when it is whole.</summary>
    /// <param name="data">The pictures, all splits that shall be in it.</param>
    /// <param name="folder">Must not be there yet.</param>
    /// <param name="shardBytes">A new shard begins before an identity that would make one larger; only an identity that is larger itself does.</param>
    /// <param name="progress">Told after every identity.</param>
    /// <param name="cancellation">Looked at between identities; what was written is deleted.</param>
    /// <exception cref="DataException">The folder is there, a picture is missing or of a kind that shards do not hold.</exception>
    /// <exception cref="IOException">The disk is full or cannot be written to.</exception>
    public static PackResult Pack(PersonDataset data, string folder, long shardBytes = DefaultShardBytes, IProgress<PackProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shardBytes, Record);
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Directory.Exists(folder) || File.Exists(folder)) throw new DataException(folder, null, "is there already", "a folder that is not there yet: nothing is overwritten");
        var partial = folder + ".partial";
        if (Directory.Exists(partial)) throw new DataException(partial, null, "is there already: packing was interrupted, or is under way", "no such folder; delete it if nobody is packing");
        Directory.CreateDirectory(partial);
        try
        {
            var result = Write(data, partial, shardBytes, progress, cancellation);
            Directory.Move(partial, folder);
            return result;
        }
        catch
        {
            Directory.Delete(partial, recursive: true);
            throw;
        }
    }

    private static PackResult Write(PersonDataset data, string folder, long shardBytes, IProgress<PackProgress>? progress, CancellationToken cancellation)
    {
        var order = Enumerable.Range(0, data.Images.Count).OrderBy(i => data.Labels[i]).ToArray(); // stable: an identity's pictures keep their order
        var (shards, total, number) = (0, 0L, 0);
        var member = new ArrayBufferWriter<byte>(1 << 20);
        FileStream? shard = null;
        try
        {
            for (var first = 0; first < order.Length;)
            {
                cancellation.ThrowIfCancellationRequested();
                var last = first;
                member.Clear();
                for (; last < order.Length && data.Labels[order[last]] == data.Labels[order[first]]; last++, number++) Append(member, data, data.Images[order[last]], number);
                if (shard != null && shard.Position + member.WrittenCount + EndMark > shardBytes) total += End(ref shard);
                shard ??= new FileStream(Path.Combine(folder, FormattableString.Invariant($"shard-{shards++:D5}.tar")), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
                shard.Write(member.WrittenSpan);
                first = last;
                progress?.Report(new PackProgress(first, order.Length));
            }
            if (shard != null) total += End(ref shard);
            return new PackResult(number, shards, total);
        }
        finally
        {
            shard?.Dispose();
        }
    }

    private static long End(ref FileStream? shard)
    {
        var size = (shard!.Position + EndMark + Record - 1) / Record * Record;
        shard.Write(new byte[size - shard.Position]);
        shard.Dispose();
        shard = null;
        return size;
    }

    private static void Append(ArrayBufferWriter<byte> to, PersonDataset data, PersonImage image, int number)
    {
        var (bytes, start, length) = BatchFiller.ReadPicture(data, image);
        try
        {
            var picture = bytes.AsSpan(start, length);
            var name = FormattableString.Invariant($"{number:D9}");
            Member(to, $"{name}.{Kind(data, image, picture)}", picture);
            var json = new ArrayBufferWriter<byte>(1 << 10);
            using (var writer = new Utf8JsonWriter(json, Plain)) Json(writer, image);
            Member(to, $"{name}.json", json.WrittenSpan);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    private static void Member(ArrayBufferWriter<byte> to, string name, ReadOnlySpan<byte> data)
    {
        TarHeader.Write(to.GetSpan(TarHeader.Block), name, data.Length);
        to.Advance(TarHeader.Block);
        to.Write(data);
        var padding = (int)(TarHeader.Padded(data.Length) - data.Length);
        to.GetSpan(padding)[..padding].Clear();
        to.Advance(padding);
    }

    private static void Json(Utf8JsonWriter json, PersonImage image)
    {
        json.WriteStartObject();
        json.WriteNumber("id", image.Identity);
        json.WriteString("file_path", image.RelativePath);
        if (image.Split != null) json.WriteString("split", image.Split);
        Texts("captions", image.Captions);
        if (image.PromptCaptions.Length > 0) Texts("prompt_caption", image.PromptCaptions);
        if (image.Attributes != null) Texts("attributes", [image.Attributes]);
        json.WriteEndObject();

        void Texts(string key, string[] texts)
        {
            json.WriteStartArray(key);
            foreach (var text in texts) json.WriteStringValue(text);
            json.WriteEndArray();
        }
    }

    /// <summary>The ending that fits the bytes: files are named wrongly often enough, and other readers go by the name.</summary>
    private static string Kind(PersonDataset data, PersonImage image, ReadOnlySpan<byte> bytes)
    {
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF])) return "jpg";
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G'])) return "png";
        if (bytes.Length > 12 && bytes.StartsWith("RIFF"u8) && bytes[8..].StartsWith("WEBP"u8)) return "webp";
        if (bytes.StartsWith("GIF8"u8)) return "gif";
        if (bytes.StartsWith("BM"u8)) return "bmp";
        throw new DataException(image.FullPath, BatchFiller.Place(data, image), "the bytes are not a picture", "a JPEG, PNG, WebP, BMP or GIF file");
    }
}
