using System.Buffers.Binary;
using System.Text;

namespace Plip.Data;

/// <summary>
/// The 512 bytes before a tar member's data (POSIX.1-1988 "ustar", with GNU's base-256 sizes). The checksum is the sum of
/// all bytes, its own eight taken as blanks.
/// </summary>
/// <param name="Name">The path, prefix included; a longer one stands in an extension before it.</param>
/// <param name="Type">'0' or NUL for a file, '5' for a folder, 'x' and 'g' for PAX, 'L' and 'K' for GNU's long names.</param>
/// <param name="Size">Bytes of data that follow, before padding to whole blocks.</param>
internal readonly record struct TarHeader(string Name, char Type, long Size)
{
    /// <summary>Tar counts in blocks of so many bytes.</summary>
    internal const int Block = 512;

    private const int NameLength = 100, SizeAt = 124, SizeLength = 12, ChecksumAt = 148, ChecksumLength = 8, TypeAt = 156, MagicAt = 257, PrefixAt = 345, PrefixLength = 155;

    /// <summary>Bytes that data of a size takes in the archive.</summary>
    internal static long Padded(long size) => (size + Block - 1) / Block * Block;

    /// <summary>Reads a header; what is wrong with it in words where it is none.</summary>
    internal static string? TryParse(ReadOnlySpan<byte> block, out TarHeader header)
    {
        header = default;
        if (Number(block.Slice(ChecksumAt, ChecksumLength)) is not { } stated || stated != Checksum(block)) return "the checksum of a member's header is wrong";
        if (Number(block.Slice(SizeAt, SizeLength)) is not { } size) return "the size in a member's header is no number";
        var name = Text(block[..NameLength]);
        // GNU's older format keeps times where ustar has the prefix; its magic ends in a blank.
        if (block.Slice(MagicAt, 6).SequenceEqual("ustar\0"u8) && Text(block.Slice(PrefixAt, PrefixLength)) is { Length: > 0 } prefix) name = $"{prefix}/{name}";
        header = new TarHeader(name, block[TypeAt] == 0 ? '0' : (char)block[TypeAt], size);
        return null;
    }

    /// <summary>Writes the header of a file: no owner, no time, so that the same members give the same bytes anywhere.</summary>
    /// <param name="block">512 bytes.</param>
    /// <param name="name">ASCII, at most 100 characters.</param>
    /// <param name="size">Below 8 GiB.</param>
    internal static void Write(Span<byte> block, string name, long size)
    {
        block.Clear();
        Encoding.ASCII.GetBytes(name, block[..NameLength]);
        Octal(block.Slice(100, 8), 0x1A4); // rw-r--r--
        Octal(block.Slice(108, 8), 0);
        Octal(block.Slice(116, 8), 0);
        Octal(block.Slice(SizeAt, SizeLength), size);
        Octal(block.Slice(136, 12), 0);
        block[TypeAt] = (byte)'0';
        "ustar\000"u8.CopyTo(block[MagicAt..]);
        Octal(block.Slice(ChecksumAt, ChecksumLength - 1), Checksum(block));
        block[ChecksumAt + ChecksumLength - 1] = (byte)' ';
    }

    private static long Checksum(ReadOnlySpan<byte> block)
    {
        long sum = ChecksumLength * ' ';
        foreach (var b in block[..ChecksumAt]) sum += b;
        foreach (var b in block[(ChecksumAt + ChecksumLength)..Block]) sum += b;
        return sum;
    }

    /// <summary>Octal digits ended by a blank or NUL, or, with the top bit set, a big-endian number; null for anything else.</summary>
    private static long? Number(ReadOnlySpan<byte> field)
    {
        if (field[0] == 0x80) return field.Length == SizeLength && field[1..4].IndexOfAnyExcept((byte)0) < 0 && BinaryPrimitives.ReadInt64BigEndian(field[4..]) is >= 0 and var large ? large : null;
        var digits = field.Trim(" \0"u8);
        long value = 0;
        foreach (var d in digits)
        {
            if (d is < (byte)'0' or > (byte)'7') return null;
            value = value * 8 + (d - '0');
        }
        return digits.IsEmpty ? null : value;
    }

    private static void Octal(Span<byte> field, long value)
    {
        for (var i = field.Length - 2; i >= 0; i--, value >>= 3) field[i] = (byte)('0' + (value & 7));
    }

    private static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }
}
