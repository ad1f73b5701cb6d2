using System.Formats.Tar;
using System.Text;
using Plip.Data;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Data;

/// <summary>Archives written by System.Formats.Tar in every format are walked through; damaged ones are one error that names the byte.</summary>
public sealed class TarMembersTests
{
    private static readonly string Long = string.Join('/', Enumerable.Range(0, 30).Select(i => $"folder{i:D3}"));

    private static byte[] Archive(TarEntryFormat format, params (string Name, byte[] Data)[] members)
    {
        var stream = new MemoryStream();
        using (var writer = new TarWriter(stream, format, leaveOpen: true))
        {
            foreach (var (name, data) in members)
            {
                TarEntry entry = format switch
                {
                    TarEntryFormat.V7 => new V7TarEntry(name.EndsWith('/') ? TarEntryType.Directory : TarEntryType.V7RegularFile, name),
                    TarEntryFormat.Ustar => new UstarTarEntry(name.EndsWith('/') ? TarEntryType.Directory : TarEntryType.RegularFile, name),
                    TarEntryFormat.Gnu => new GnuTarEntry(name.EndsWith('/') ? TarEntryType.Directory : TarEntryType.RegularFile, name),
                    _ => new PaxTarEntry(name.EndsWith('/') ? TarEntryType.Directory : TarEntryType.RegularFile, name),
                };
                if (!name.EndsWith('/')) entry.DataStream = new MemoryStream(data);
                writer.WriteEntry(entry);
            }
        }
        return stream.ToArray();
    }

    private static List<(string Name, byte[] Data)> Walk(string path)
    {
        var shard = new Shard(path, new OpenShards());
        var members = new TarMembers(shard);
        var found = new List<(string, byte[])>();
        while (members.Next(out var member))
        {
            var data = new byte[member.Length];
            Assert.Equal(data.Length, shard.Read(data, member.Offset));
            Assert.Equal(data, members.Data(member).ToArray());
            found.Add((member.Name, data));
        }
        shard.Close();
        return found;
    }

    private static byte[] Bytes(int seed, int count) => [.. Enumerable.Range(0, count).Select(i => (byte)(seed * 31 + i * 7))];

    [Theory]
    [InlineData(TarEntryFormat.V7)]
    [InlineData(TarEntryFormat.Ustar)]
    [InlineData(TarEntryFormat.Gnu)]
    [InlineData(TarEntryFormat.Pax)]
    public void Every_format_gives_names_places_and_lengths(TarEntryFormat format)
    {
        using var tiny = new TinyData();
        var name = format switch
        {
            TarEntryFormat.V7 => "plain/name.jpg",
            TarEntryFormat.Ustar => Long[..140] + "/b.jpg", // needs the prefix field
            _ => Long + "/übergroß 字.jpg",
        };
        (string, byte[])[] members = [("a.jpg", Bytes(1, 511)), ("folder/", []), (name, Bytes(2, 512)), ("a.json", Bytes(3, 513)), ("empty", []), ("large", Bytes(4, 100_000)), ("last", Bytes(5, 1))];
        File.WriteAllBytes(tiny.At("x.tar"), Archive(format, members));
        Assert.Equal(members.Where(m => m.Item1 != "folder/"), Walk(tiny.At("x.tar")), (a, b) => a.Item1 == b.Item1 && a.Item2.SequenceEqual(b.Item2));
    }

    [Fact]
    public void Links_are_refused_by_name()
    {
        using var tiny = new TinyData();
        var stream = new MemoryStream();
        using (var writer = new TarWriter(stream, TarEntryFormat.Ustar, leaveOpen: true))
        {
            writer.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "a.jpg") { DataStream = new MemoryStream([1, 2, 3]) });
            writer.WriteEntry(new UstarTarEntry(TarEntryType.HardLink, "b.jpg") { LinkName = "a.jpg" });
        }
        File.WriteAllBytes(tiny.At("x.tar"), stream.ToArray());
        var error = Assert.Throws<DataException>(() => Walk(tiny.At("x.tar")));
        Assert.Equal((tiny.At("x.tar"), "byte 1024"), (error.File, error.Place));
        Assert.Contains("b.jpg is a hard link", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Cut anywhere before tar's end mark is whole, an archive is an error; never a shorter archive.</summary>
    [Fact]
    public void Cut_off_anywhere_is_an_error()
    {
        using var tiny = new TinyData();
        var whole = Archive(TarEntryFormat.Pax, ("a.jpg", Bytes(1, 700)), ("a.json", Bytes(2, 40)));
        var end = whole.AsSpan().LastIndexOfAnyExcept((byte)0) / 512 * 512 + 512 + 1024;
        for (var length = 0; length < end; length += length % 512 == 511 ? 1 : 73)
        {
            File.WriteAllBytes(tiny.At("x.tar"), whole[..length]);
            var error = Assert.Throws<DataException>(() => Walk(tiny.At("x.tar")));
            Assert.Contains("byte", error.Place!, StringComparison.Ordinal);
        }
        File.WriteAllBytes(tiny.At("x.tar"), whole[..end]);
        Assert.Equal(2, Walk(tiny.At("x.tar")).Count);
    }

    [Fact]
    public void Joined_archives_and_compressed_ones_are_refused()
    {
        using var tiny = new TinyData();
        var one = Archive(TarEntryFormat.Ustar, ("a.jpg", Bytes(1, 10)));
        File.WriteAllBytes(tiny.At("two.tar"), [.. one, .. one]);
        Assert.Contains("behind tar's end mark", Assert.Throws<DataException>(() => Walk(tiny.At("two.tar"))).Message, StringComparison.Ordinal);
        File.WriteAllBytes(tiny.At("gz.tar"), [0x1F, 0x8B, .. Bytes(3, 2000)]);
        Assert.Contains(".tar.gz", Assert.Throws<DataException>(() => Walk(tiny.At("gz.tar"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damage_is_an_error_that_names_the_file_or_changes_data_alone()
    {
        using var tiny = new TinyData();
        var whole = Archive(TarEntryFormat.Gnu, ("a.jpg", Bytes(1, 300)), (Long + "/b.json", Bytes(2, 40)), ("c.jpg", Bytes(3, 90)));
        var refused = 0;
        for (uint i = 0; i < 600; i++)
        {
            File.WriteAllBytes(tiny.At("x.tar"), Mutation.Of(whole, i));
            try
            {
                Assert.InRange(Walk(tiny.At("x.tar")).Count, 0, 3);
            }
            catch (DataException e)
            {
                Assert.Contains("x.tar", e.Message, StringComparison.Ordinal);
                refused++;
            }
        }
        Assert.InRange(refused, 100, 600);
    }

    [Fact]
    public void What_is_written_is_read_by_others()
    {
        var block = new byte[2048];
        TarHeader.Write(block, "000000007.json", 5);
        Encoding.ASCII.GetBytes("hello").CopyTo(block, 512);
        using var reader = new TarReader(new MemoryStream(block));
        var entry = reader.GetNextEntry()!;
        Assert.Equal(("000000007.json", 5L, TarEntryType.RegularFile, TarEntryFormat.Ustar), (entry.Name, entry.Length, entry.EntryType, entry.Format));
        Assert.Equal("hello", new StreamReader(entry.DataStream!).ReadToEnd());
        Assert.Null(reader.GetNextEntry());
    }
}
