using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Plip.Engine;

// Not System.IO.Compression: what is wanted of an entry is its place in the file, which ZipArchive does not give, and what must never happen is
// what it does by default, to inflate. Here nothing is inflated, so there is no zip bomb, and every size is held against the file before a byte is
// reserved for it. CRCs are not compared: torch.save can be told not to compute them, and they would cost a pass over a file that is read in parts.

/// <summary>The entries of a ZIP file, ZIP64 included, checked in full when it is opened: stored ones lie within the file, none overlaps another.</summary>
internal sealed class StoredZip
{
    private const uint EndMark = 0x06054B50, End64Mark = 0x06064B50, Locator64Mark = 0x07064B50, CentralMark = 0x02014B50, LocalMark = 0x04034B50;
    private const int EndBytes = 22, Locator64Bytes = 20, End64Bytes = 56, CentralBytes = 46, LocalBytes = 30, MaxComment = 65535;
    private const int Encrypted = 1 | 1 << 6 | 1 << 13;

    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly long _length;
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    private StoredZip(string path, SafeFileHandle file) => (_path, _file, _length) = (path, file, RandomAccess.GetLength(file));

    /// <summary>The entries by name.</summary>
    public IReadOnlyDictionary<string, Entry> Entries => _entries;

    /// <summary>Reads the directory.</summary>
    /// <exception cref="FileFormatException">Cut short, of several parts, encrypted, overlapping, or with sizes the file does not have.</exception>
    public static StoredZip Read(string path, SafeFileHandle file)
    {
        var zip = new StoredZip(path, file);
        zip.ReadDirectory();
        return zip;
    }

    /// <summary>One entry.</summary>
    /// <param name="Start">First byte of its data in the file.</param>
    /// <param name="Size">Bytes of its data in the file.</param>
    /// <param name="Method">0 is stored, all else compressed.</param>
    public readonly record struct Entry(string Name, long Start, long Size, int Method);

    private void ReadDirectory()
    {
        var (count, start, size, limit) = FindDirectory();
        if (start > limit || size > limit - start) throw Error("", $"its directory of {size} bytes at byte {start} does not lie before its end record at {limit}; the file is damaged or was cut short");
        if (count > size / CentralBytes) throw Error("", $"claims {count} entries, and a directory of {size} bytes holds {size / CentralBytes} at most; the file is damaged");
        if (size > int.MaxValue / 2) throw Error("", $"its directory takes {size} bytes, more than this program reads");
        var directory = new byte[size];
        Fill(start, directory);
        var places = new List<(long Local, long End, string Name)>();
        var at = 0;
        for (long i = 0; i < count; i++) ReadEntry(directory, ref at, start, places);
        if (at != size) throw Error("", $"its directory goes on for {size - at} bytes after its {count} entries; the file is damaged");
        places.Sort((a, b) => a.Local.CompareTo(b.Local));
        for (var i = 1; i < places.Count; i++)
            if (places[i].Local < places[i - 1].End)
                throw Error(places[i].Name, $"begins at byte {places[i].Local}, inside {Printable.Text(places[i - 1].Name)}, which ends at {places[i - 1].End}; no program writes such a file");
    }

    /// <summary>Where the directory is, and where what it may lie in ends.</summary>
    private (long Count, long Start, long Size, long Limit) FindDirectory()
    {
        var tail = new byte[Math.Min(_length, EndBytes + MaxComment)];
        Fill(_length - tail.Length, tail);
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            var end = tail.AsSpan(at);
            if (U32(end) != EndMark || U16(end[20..]) != end.Length - EndBytes) continue;
            var place = _length - tail.Length + at;
            if (U16(end[4..]) is not (0 or 0xFFFF) || U16(end[6..]) is not (0 or 0xFFFF)) throw Error("", "is one part of several ZIP parts; join them first");
            long count = U16(end[10..]), size = U32(end[12..]), start = U32(end[16..]);
            return count == 0xFFFF || size == uint.MaxValue || start == uint.MaxValue ? FindDirectory64(place) : (count, start, size, place);
        }
        throw Error("", "is a ZIP archive without an end record: it was cut short. Copy or download it again");
    }

    private (long Count, long Start, long Size, long Limit) FindDirectory64(long end)
    {
        var broken = Error("", "is a ZIP64 archive whose end records do not fit together; it is damaged or was cut short");
        if (end < Locator64Bytes + End64Bytes) throw broken;
        Span<byte> record = stackalloc byte[End64Bytes];
        Fill(end - Locator64Bytes, record[..Locator64Bytes]);
        var place = U64(record[8..]);
        if (U32(record) != Locator64Mark || place < 0 || place > end - Locator64Bytes - End64Bytes) throw broken;
        Fill(place, record);
        if (U32(record) != End64Mark) throw broken;
        var (count, size, start) = (U64(record[32..]), U64(record[40..]), U64(record[48..]));
        return count < 0 || size < 0 || start < 0 ? throw broken : (count, start, size, place);
    }

    private void ReadEntry(byte[] directory, ref int at, long directoryStart, List<(long Local, long End, string Name)> places)
    {
        var header = directory.AsSpan(at);
        if (header.Length < CentralBytes || U32(header) != CentralMark) throw Error("", $"its directory is broken at byte {directoryStart + at}; the file is damaged");
        var (flags, method) = (U16(header[8..]), U16(header[10..]));
        long stored = U32(header[20..]), size = U32(header[24..]), local = U32(header[42..]);
        int nameBytes = U16(header[28..]), extraBytes = U16(header[30..]), commentBytes = U16(header[32..]);
        var whole = CentralBytes + nameBytes + extraBytes + commentBytes;
        if (header.Length < whole) throw Error("", $"its directory is broken at byte {directoryStart + at}; the file is damaged");
        var nameRaw = header.Slice(CentralBytes, nameBytes);
        var name = Encoding.UTF8.GetString(nameRaw);
        Widen(header.Slice(CentralBytes + nameBytes, extraBytes), name, ref size, ref stored, ref local);
        if ((flags & Encrypted) != 0) throw Error(name, "is encrypted; torch.save never encrypts. Unpack the archive with its password and save the weights again");
        if (method == 0 && stored != size) throw Error(name, $"claims {size} bytes and is stored in {stored}; the file is damaged");
        var start = DataStart(name, nameRaw, local, directoryStart, method);
        if (stored > directoryStart - start) throw Error(name, $"claims {stored} bytes from byte {start} on, and the file's entries end at {directoryStart}; it is damaged or was cut short");
        if (!_entries.TryAdd(name, new Entry(name, start, stored, method))) throw Error(name, "stands twice in the archive; no program writes such a file");
        places.Add((local, start + stored, name));
        at += whole;
    }

    /// <summary>The local header must say what the directory says: a file that tells two readers two things is refused.</summary>
    private long DataStart(string name, ReadOnlySpan<byte> nameRaw, long local, long limit, int method)
    {
        if (local < 0 || local > limit - LocalBytes - nameRaw.Length) throw Error(name, $"is said to begin at byte {local}, beyond the entries, which end at {limit}; the file is damaged or was cut short");
        var header = new byte[LocalBytes + nameRaw.Length];
        Fill(local, header);
        if (U32(header) != LocalMark || U16(header.AsSpan(8)) != method || U16(header.AsSpan(26)) != nameRaw.Length || !header.AsSpan(LocalBytes).SequenceEqual(nameRaw))
            throw Error(name, $"its own header at byte {local} says something else than the directory; the file is damaged");
        var start = local + header.Length + U16(header.AsSpan(28));
        return start <= limit ? start : throw Error(name, $"its header at byte {local} reaches beyond the entries, which end at {limit}; the file is damaged");
    }

    /// <summary>Takes the sizes that do not fit 32 bits from the ZIP64 extra field.</summary>
    private void Widen(ReadOnlySpan<byte> extra, string name, ref long size, ref long stored, ref long local)
    {
        if (size != uint.MaxValue && stored != uint.MaxValue && local != uint.MaxValue) return;
        while (extra.Length >= 4)
        {
            var (id, length) = (U16(extra), U16(extra[2..]));
            if (length > extra.Length - 4) break;
            var field = extra.Slice(4, length);
            extra = extra[(4 + length)..];
            if (id != 1) continue;
            if (Take(ref size, ref field) && Take(ref stored, ref field) && Take(ref local, ref field)) return;
            break;
        }
        throw Error(name, "lacks the ZIP64 field that its sizes call for; the file is damaged");

        static bool Take(ref long value, ref ReadOnlySpan<byte> field)
        {
            if (value != uint.MaxValue) return true;
            if (field.Length < 8 || U64(field) < 0) return false;
            value = U64(field);
            field = field[8..];
            return true;
        }
    }

    private void Fill(long at, Span<byte> to) => SafeTensors.Fill(_path, _file, at, to);

    private FileFormatException Error(string place, string problem) => new(_path, Printable.Text(place), problem);

    private static int U16(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt16LittleEndian(from);

    private static uint U32(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt32LittleEndian(from);

    private static long U64(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadInt64LittleEndian(from);
}
