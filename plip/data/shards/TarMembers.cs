using System.Text;

namespace Plip.Data;

/// <summary>A file in a tar archive.</summary>
/// <param name="Name">Its path, without a leading "./".</param>
/// <param name="Offset">Where its bytes start in the archive; its header is the 512 bytes before.</param>
/// <param name="Length">How many they are.</param>
internal readonly record struct TarMember(string Name, long Offset, long Length);

/// <summary>
/// Walks through a tar archive's headers by position: USTAR, PAX and GNU long names. The data between them is not read. A
/// walk is over when tar's end mark was found and nothing but zeros follows it; anything that cannot be read as a file is an
/// error that names its byte, for a member passed over in silence would be a picture nobody trains on.
/// </summary>
/// <remarks>System.Formats.Tar reads the same archives, but its errors give no place, and it takes an archive cut off between two members for a whole one.</remarks>
internal sealed class TarMembers(Shard shard)
{
    private const int Window = 4096, LongestExtension = 1 << 20, LongestTail = 1 << 20;

    private readonly long length = shard.Length;
    private byte[] window = new byte[Window];
    private long windowAt;
    private int windowCount;
    private long position;

    /// <summary>The next file; false at the end.</summary>
    /// <exception cref="DataException">The archive is cut off or damaged, or holds a link, a sparse file or a device.</exception>
    internal bool Next(out TarMember member)
    {
        member = default;
        string? longName = null;
        while (true)
        {
            var at = position;
            if (length - at < TarHeader.Block)
                throw Wrong(at, "the archive ends without tar's end mark", "two blocks of zeros at the end; the archive was cut off while it was written or copied");
            var block = Read(at, TarHeader.Block);
            if (block.IndexOfAnyExcept((byte)0) < 0)
            {
                RequireZeros(at);
                return false;
            }
            if (TarHeader.TryParse(block, out var header) is { } fault) throw Wrong(at, fault, "a tar header; the archive is damaged or no tar file (compressed archives must be unpacked: .tar, not .tar.gz)");
            // Folders and links have no data, whatever their size says.
            var data = header.Type is '0' or '7' or 'x' or 'g' or 'L' or 'K' ? header.Size : 0;
            if (data > length - at - TarHeader.Block || TarHeader.Padded(data) > length - at - TarHeader.Block)
                throw Wrong(at, FormattableString.Invariant($"member {longName ?? header.Name} has {data} bytes, and the archive ends {length - at - TarHeader.Block} bytes after its header"), "a whole archive; it was cut off while it was written or copied");
            position = at + TarHeader.Block + TarHeader.Padded(data);
            switch (header.Type)
            {
                case '0' or '7' when !(longName ?? header.Name).EndsWith('/'): // in the oldest format a folder is a file whose name ends so
                    member = new TarMember(Trim(longName ?? header.Name), at + TarHeader.Block, data);
                    return true;
                case '0' or '7' or '5':
                    longName = null;
                    break;
                case 'x':
                    longName = PaxPath(at, Extension(at, data)) ?? longName;
                    break;
                case 'g':
                    if (PaxPath(at, Extension(at, data)) != null) throw Wrong(at, "a global PAX header gives every member one path", "paths of their own");
                    break;
                case 'L':
                    longName = Encoding.UTF8.GetString(Extension(at, data)).TrimEnd('\0');
                    break;
                case 'K':
                    break; // where a link points to; the link itself follows
                default:
                    throw Wrong(at, $"member {longName ?? header.Name} is {Kind(header.Type)}", "plain files; GNU tar's --hard-dereference and --dereference store links as files");
            }
        }
    }

    /// <summary>A member's bytes, valid until the next call.</summary>
    internal ReadOnlySpan<byte> Data(in TarMember member) => Read(member.Offset, (int)member.Length);

    internal DataException Wrong(long at, string found, string expected, Exception? inner = null) =>
        new(shard.Path, FormattableString.Invariant($"byte {at}"), found, expected, inner);

    private ReadOnlySpan<byte> Extension(long at, long size) => size <= LongestExtension
        ? Read(at + TarHeader.Block, (int)size)
        : throw Wrong(at, FormattableString.Invariant($"an extended header has {size} bytes"), FormattableString.Invariant($"at most {LongestExtension}"));

    /// <summary>The "path" of PAX records "length key=value\n", or null.</summary>
    private string? PaxPath(long at, ReadOnlySpan<byte> records)
    {
        string? path = null;
        while (!records.IsEmpty)
        {
            var blank = records.IndexOf((byte)' ');
            if (blank < 1 || !int.TryParse(records[..blank], out var size) || size <= blank + 1 || size > records.Length || records[size - 1] != '\n')
                throw Wrong(at, "a PAX record is malformed", "\"length key=value\" and a line end");
            var record = records[(blank + 1)..(size - 1)];
            var equals = record.IndexOf((byte)'=');
            if (equals < 1) throw Wrong(at, "a PAX record is malformed", "\"length key=value\" and a line end");
            if (record[..equals].SequenceEqual("path"u8)) path = Encoding.UTF8.GetString(record[(equals + 1)..]);
            if (record[..equals].SequenceEqual("size"u8)) throw Wrong(at, "a PAX header gives the next member's size", "members below 8 GiB, whose size stands in their own header");
            if (record.StartsWith("GNU.sparse."u8)) throw Wrong(at, "the next member is a sparse file", "plain files; make the archive without --sparse");
            records = records[size..];
        }
        return path;
    }

    /// <summary>Behind the end mark stand zeros up to the record's end; members there (archives joined with cat) would be lost in silence.</summary>
    private void RequireZeros(long at)
    {
        var tail = length - at;
        if (tail <= LongestTail)
        {
            if (tail < 2 * TarHeader.Block) throw Wrong(at, "the archive ends in the middle of tar's end mark", "two blocks of zeros at the end; the archive was cut off while it was written or copied");
            var other = Read(at, (int)tail).IndexOfAnyExcept((byte)0);
            if (other < 0) return;
            at += other;
        }
        throw Wrong(at, "there is something behind tar's end mark", "one archive in a file (archives cannot be joined with cat)");
    }

    private ReadOnlySpan<byte> Read(long at, int count)
    {
        if (at < windowAt || at + count > windowAt + windowCount)
        {
            if (count > window.Length) window = new byte[count];
            windowAt = at;
            windowCount = shard.Read(window.AsSpan(0, (int)Math.Min(Math.Max(count, Window), length - at)), at);
            if (windowCount < count) throw Wrong(at, "the file became shorter while it was read", "a file that nobody writes to");
        }
        return window.AsSpan((int)(at - windowAt), count);
    }

    private static string Trim(string name) => name.StartsWith("./", StringComparison.Ordinal) ? name[2..] : name;

    private static string Kind(char type) => type switch
    {
        '1' => "a hard link",
        '2' => "a symbolic link",
        '3' or '4' or '6' => "a device",
        'S' => "a sparse file",
        _ => $"of type '{type}'",
    };
}
