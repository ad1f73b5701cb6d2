using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Plip.Data;

/// <summary>What an index remembers a shard by.</summary>
/// <param name="Name">The file's name.</param>
/// <param name="Size">Its bytes.</param>
/// <param name="Changed">When it was last written, in ticks of UTC.</param>
internal readonly record struct ShardStamp(string Name, long Size, long Changed)
{
    internal static ShardStamp Of(string path) => new FileInfo(path) is var file ? new(file.Name, file.Length, file.LastWriteTimeUtc.Ticks) : default;
}

/// <summary>
/// The file "shards.index": a table of shards, then for each shard a section with its pictures. Table and sections have a
/// SHA-256 each, so that a damaged index is never believed, and one shard's section can be read without the others.
/// </summary>
/// <remarks>
/// Little-endian. "PLIPSHRD", version, number of shards, bytes of the table, the table's SHA-256; the table's rows are name,
/// size, time, pictures, other members, offset and length of the section, its SHA-256. A text is its length in UTF-8 plus
/// two as a varint and its bytes; 1 is the text before it in the same column, 0 none. Sections are 250 bytes a picture of SYNTH-PEDES.
/// </remarks>
internal sealed class ShardIndexFile : IDisposable
{
    private const int Version = 1, HeaderBytes = 8 + 4 + 4 + 4 + 32, LargestTable = 1 << 28;
    private static ReadOnlySpan<byte> Magic => "PLIPSHRD"u8;

    private readonly SafeFileHandle file;
    private readonly Dictionary<ShardStamp, Row> rows;

    private ShardIndexFile(SafeFileHandle file, Dictionary<ShardStamp, Row> rows) => (this.file, this.rows) = (file, rows);

    /// <summary>Shards in it.</summary>
    internal int Count => rows.Count;

    /// <summary>Opens an index; null if there is none that can be used: missing, of another version, damaged.</summary>
    internal static ShardIndexFile? TryOpen(string path)
    {
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            if (ReadTable(file) is { } rows) return new ShardIndexFile(file, rows);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            // Not believed: the shards themselves are asked.
        }
        file?.Dispose();
        return null;
    }

    /// <summary>The pictures of a shard; null if it is not in the index as it is now, or its section is damaged.</summary>
    internal (List<PersonImage> Images, int Others)? TryRead(in ShardStamp stamp, Shard shard)
    {
        if (!rows.TryGetValue(stamp, out var row)) return null;
        var bytes = ArrayPool<byte>.Shared.Rent(row.Length);
        try
        {
            var section = bytes.AsSpan(0, row.Length);
            if (ReadAll(file, section, row.Offset) && SHA256.HashData(section).AsSpan().SequenceEqual(row.Hash))
                return (new Section(section, shard).Read(row.Pictures), row.Others);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            // Not believed.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
        return null;
    }

    /// <summary>Writes an index beside its place and moves it there: who reads meanwhile finds the old one or the new one.</summary>
    /// <exception cref="IOException">It cannot be written there.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    internal static void Write(string path, IReadOnlyList<(ShardStamp Stamp, List<PersonImage> Images, int Others)> shards)
    {
        var temporary = FormattableString.Invariant($"{path}.{Environment.ProcessId}.tmp");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            {
                var table = new ByteWriter();
                var length = shards.Sum(s => 4 + Encoding.UTF8.GetByteCount(s.Stamp.Name) + 8 + 8 + 4 + 4 + 8 + 4 + 32);
                stream.Position = HeaderBytes + length;
                foreach (var (stamp, images, others) in shards)
                {
                    var section = new ByteWriter();
                    section.Write(images);
                    var name = Encoding.UTF8.GetBytes(stamp.Name);
                    table.Int(name.Length);
                    table.Bytes(name);
                    table.Long(stamp.Size);
                    table.Long(stamp.Changed);
                    table.Int(images.Count);
                    table.Int(others);
                    table.Long(stream.Position);
                    table.Int(section.Written.Length);
                    table.Bytes(SHA256.HashData(section.Written));
                    stream.Write(section.Written);
                }
                var head = new ByteWriter();
                head.Bytes(Magic);
                head.Int(Version);
                head.Int(shards.Count);
                head.Int(table.Written.Length);
                head.Bytes(SHA256.HashData(table.Written));
                stream.Position = 0;
                stream.Write(head.Written);
                stream.Write(table.Written);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private static Dictionary<ShardStamp, Row>? ReadTable(SafeFileHandle file)
    {
        var head = new byte[HeaderBytes];
        if (!ReadAll(file, head, 0) || !head.AsSpan().StartsWith(Magic) || BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8)) != Version) return null;
        var (count, length) = (BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(12)), BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(16)));
        if (length is < 0 or > LargestTable || (uint)count > length) return null;
        var table = new byte[length];
        if (!ReadAll(file, table, HeaderBytes) || !SHA256.HashData(table).AsSpan().SequenceEqual(head.AsSpan(20))) return null;
        var rows = new Dictionary<ShardStamp, Row>(count);
        var bytes = new Fields(table);
        for (var i = 0; i < count; i++)
        {
            var stamp = new ShardStamp(Encoding.UTF8.GetString(bytes.Take(bytes.Int())), bytes.Long(), bytes.Long());
            rows[stamp] = new Row(bytes.Int(), bytes.Int(), bytes.Long(), bytes.Int(), bytes.Take(32).ToArray());
        }
        return rows;
    }

    private static bool ReadAll(SafeFileHandle file, Span<byte> to, long offset)
    {
        var count = 0;
        int read;
        while (count < to.Length && (read = RandomAccess.Read(file, to[count..], offset + count)) > 0) count += read;
        return count == to.Length;
    }

    private readonly record struct Row(int Pictures, int Others, long Offset, int Length, byte[] Hash);

    /// <summary>Takes fields from bytes; too few are an error of the file, never of memory.</summary>
    private ref struct Fields(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> left = bytes;

        internal ReadOnlySpan<byte> Take(int count)
        {
            if ((uint)count > (uint)left.Length) throw new InvalidDataException();
            var taken = left[..count];
            left = left[count..];
            return taken;
        }

        internal int Int() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

        internal long Long() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

        internal int Varint()
        {
            var (value, shift) = (0u, 0);
            while (true)
            {
                var b = Take(1)[0];
                value |= (uint)(b & 127) << shift;
                if (b < 128) return value <= int.MaxValue ? (int)value : throw new InvalidDataException();
                if ((shift += 7) > 28) throw new InvalidDataException();
            }
        }
    }

    /// <summary>A shard's pictures out of its section.</summary>
    private ref struct Section(ReadOnlySpan<byte> bytes, Shard shard)
    {
        private Fields fields = new(bytes);
        private string? path, attributes, split;
        private string[] captions = [], prompts = [];

        internal List<PersonImage> Read(int count)
        {
            var images = new List<PersonImage>(count);
            for (var i = 0; i < count; i++)
            {
                var (offset, length, identity) = (fields.Long(), fields.Int(), fields.Int());
                path = Text(path) ?? throw new InvalidDataException();
                attributes = Text(attributes);
                split = Text(split) is { } name ? string.Intern(name) : null;
                captions = Texts(captions);
                prompts = Texts(prompts);
                images.Add(new PersonImage(shard.Path, path, identity, captions, prompts, attributes, split, i) { Shard = shard, Offset = offset, Length = length });
            }
            return images;
        }

        private string? Text(string? before) => fields.Varint() switch
        {
            0 => null,
            1 => before,
            var size => Encoding.UTF8.GetString(fields.Take(size - 2)),
        };

        /// <summary>Number plus one, or 0 for the same list as before; then the texts.</summary>
        private string[] Texts(string[] before)
        {
            var count = fields.Varint() - 1;
            if (count < 0) return before;
            if (count == 0) return [];
            var texts = new string[count];
            for (var i = 0; i < count; i++) texts[i] = Text(i < before.Length ? before[i] : null) ?? throw new InvalidDataException();
            return texts;
        }
    }

    private sealed class ByteWriter
    {
        private readonly ArrayBufferWriter<byte> bytes = new(1 << 12);

        internal ReadOnlySpan<byte> Written => bytes.WrittenSpan;

        internal void Bytes(ReadOnlySpan<byte> value) => bytes.Write(value);

        internal void Int(int value)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.GetSpan(4), value);
            bytes.Advance(4);
        }

        internal void Long(long value)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.GetSpan(8), value);
            bytes.Advance(8);
        }

        internal void Write(List<PersonImage> images)
        {
            (string? path, string? attributes, string? split) = (null, null, null);
            string[] captions = [], prompts = [];
            foreach (var image in images)
            {
                Long(image.Offset);
                Int(image.Length);
                Int(image.Identity);
                Text(path, path = image.RelativePath);
                Text(attributes, attributes = image.Attributes);
                Text(split, split = image.Split);
                Texts(captions, captions = image.Captions);
                Texts(prompts, prompts = image.PromptCaptions);
            }
        }

        private void Text(string? before, string? value)
        {
            if (value == null) Varint(0);
            else if (value == before) Varint(1);
            else
            {
                var size = Encoding.UTF8.GetByteCount(value);
                Varint(size + 2);
                bytes.Advance(Encoding.UTF8.GetBytes(value, bytes.GetSpan(size)));
            }
        }

        private void Texts(string[] before, string[] values)
        {
            // An empty list is its own encoding: "as before" would need one before the first.
            if (values.Length > 0 && values.AsSpan().SequenceEqual(before))
            {
                Varint(0);
                return;
            }
            Varint(values.Length + 1);
            for (var i = 0; i < values.Length; i++) Text(i < before.Length ? before[i] : null, values[i]);
        }

        private void Varint(int value)
        {
            var span = bytes.GetSpan(5);
            var (left, count) = ((uint)value, 0);
            for (; left >= 128; left >>= 7) span[count++] = (byte)(left | 128);
            span[count++] = (byte)left;
            bytes.Advance(count);
        }
    }
}
