using System.Buffers.Binary;
using System.IO.Compression;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Archives as an attacker would write them, and a thousand damaged ones: a clear error each, and nothing else.</summary>
public sealed class HostileTorchTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>What Python's own unpickler would run.</summary>
    [Theory]
    [InlineData("posix", "system")]
    [InlineData("os", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("builtins", "exec")]
    [InlineData("builtins", "getattr")]
    [InlineData("__builtin__", "__import__")]
    [InlineData("subprocess", "Popen")]
    [InlineData("runpy", "_run_code")]
    [InlineData("torch.serialization", "load")]
    [InlineData("torch", "load")]
    [InlineData("torch.hub", "load_state_dict_from_url")]
    [InlineData("numpy.core.multiarray", "_reconstruct")]
    [InlineData("collections", "OrderedDict.fromkeys")]
    [InlineData("__torch__.evil", "Class")]
    public void A_global_that_weights_do_not_need_is_named_and_not_run(string module, string name)
    {
        var mark = _directory / "run";
        var code = new PickleCode().Global(module, name).Op("(").Text($"touch {mark}").Op("tR").End();
        Refused(TorchArchive.Of(code), $"\"{module}.{name}\"");
        var byName = new PickleCode().Text(module).Text(name).Op(0x93).Op("(").Text($"touch {mark}").Op("tR").End();
        Refused(TorchArchive.Of(byName), $"\"{module}.{name}\"");
        Assert.False(File.Exists(mark));
    }

    [Fact]
    public void A_name_cannot_forge_the_message()
    {
        var error = Refused(TorchArchive.Of(new PickleCode().Text("os\n\u001b[2J\u202e").Text("system").Op(0x93).End()), "\"os??[2J?.system\"");
        Assert.DoesNotContain('\u001b', error);
        Refused(TorchArchive.Of(new PickleCode().Global("os", new string('x', 600)).End()), "without an end");
    }

    [Theory]
    [InlineData(7, new long[] { 2, 2 }, new long[] { 2, 1 }, "reaches beyond its storage")] // the last of eight
    [InlineData(0, new long[] { 3, 3 }, new long[] { 3, 1 }, "reaches beyond its storage")]
    [InlineData(-1, new long[] { 2 }, new long[] { 1 }, "reaches beyond its storage")]
    [InlineData(long.MinValue, new long[] { 2 }, new long[] { 1 }, "reaches beyond its storage")]
    [InlineData(0, new long[] { 2, 2 }, new long[] { -2, 1 }, "impossible size or stride")]
    [InlineData(0, new long[] { -1 }, new long[] { 1 }, "impossible size or stride")]
    [InlineData(0, new long[] { 1L << 31 }, new long[] { 0 }, "impossible size or stride")]
    [InlineData(0, new long[] { int.MaxValue, int.MaxValue, 8 }, new long[] { 0, 0, 0 }, "more than once")] // 2⁶⁵ elements
    [InlineData(0, new long[] { 2, 3 }, new long[] { long.MaxValue, long.MaxValue }, "reaches beyond its storage")]
    [InlineData(long.MaxValue, new long[] { 2 }, new long[] { 1 }, "reaches beyond its storage")]
    [InlineData(0, new long[] { 2, 2 }, new long[] { 1 }, "2 sizes and 1 strides")]
    [InlineData(0, new long[] { 16 }, new long[] { 0 }, "more than once")]
    public void A_tensor_outside_its_storage_is_refused(long offset, long[] size, long[] stride, string expected) =>
        Refused(TorchArchive.Of(new PickleCode().Tensor("0", 8, offset, size, stride).End(), new byte[32]), expected);

    [Fact]
    public void A_tensor_inside_its_storage_is_read()
    {
        var path = _directory.Write("fine.pth", TorchArchive.Of(new PickleCode().Tensor("0", 8, 4, [2, 2], [2, 1]).End(), new byte[32]));
        using var file = TorchFile.Open(path);
        Assert.Equal([0f, 0, 0, 0], file.Tensors["tensor"].ToF32());
        var none = _directory.Write("none.pth", TorchArchive.Of(new PickleCode().Tensor("0", 8, long.MaxValue, [0, int.MaxValue], [1, 1]).End(), new byte[32]));
        using var empty = TorchFile.Open(none);
        Assert.Empty(empty.Tensors["tensor"].ToF32());
    }

    [Fact]
    public void Storages_must_be_there_and_as_large_as_they_claim()
    {
        Refused(TorchArchive.Of(new PickleCode().Tensor("1", 8, 0, [8], [1]).End(), new byte[32]), "archive/data/1 is missing");
        Refused(TorchArchive.Of(new PickleCode().Tensor("../data/0", 8, 0, [8], [1]).End(), new byte[32]), "is missing");
        Refused(TorchArchive.Of(new PickleCode().Tensor("0", 1L << 40, 0, [8], [1]).End(), new byte[32]), "should hold 1099511627776 elements of 4 bytes, its entry holds 32 bytes");
        Refused(TorchArchive.Of(new PickleCode().Tensor("0", -8, 0, [8], [1]).End(), new byte[32]), "its entry holds 32 bytes");
        Refused(TorchArchive.Of(new PickleCode().Tensor("0", 8, 0, [8], [1], "DoubleStorage").End(), new byte[32]), "elements of 8 bytes");
        Refused(TorchArchive.Of(new PickleCode().Tensor("0", 8, 0, [8], [1], "system").End(), new byte[32]), "\"torch.system\"");
        Refused(TorchArchive.Of(new PickleCode().Text("storage").Op("Q").End()), "outside the pickle");
    }

    [Theory]
    [InlineData("", "was cut short")]
    [InlineData("}", "was cut short")]
    [InlineData("0.", "empty stack")]
    [InlineData(".", "left over")]
    [InlineData("}}.", "left over")]
    [InlineData("(}.", "left over")]
    [InlineData("}.}", "goes on for 1 bytes")]
    [InlineData("t.", "lacks a mark")]
    [InlineData("}a.", "empty stack")]
    [InlineData("}}a.", "no list")]
    [InlineData("]]]s.", "no dictionary")]
    [InlineData("}(Nu.", "no dictionary")]
    [InlineData("h\u0007.", "asks for memo 7")]
    [InlineData("})R.", "no global")]
    [InlineData("}}R.", "no tuple")]
    [InlineData("})b.", "ends with", true)] // an OrderedDict's state is dropped, whatever it is
    [InlineData("]}b.", "has none")]
    [InlineData("(i", "0x69")]
    [InlineData("P0\n.", "0x50")]
    [InlineData("X\u007f\u007f\u007f\u007fab", "claims 2139062143 bytes")]
    [InlineData("T\u007f\u007f\u007f\u007fab", "claims 2139062143 bytes")]
    [InlineData("B\u007f\u007f\u007f\u007fab", "claims 2139062143 bytes")]
    [InlineData("U\u007fab", "claims 127 bytes")]
    [InlineData("ccollections\nOrderedDict", "without an end")]
    [InlineData("ccollections\nOrderedDict\n(NtR.", "no list of pairs")]
    [InlineData("ccollections\nOrderedDict\n(](NetR.", "no list of pairs")]
    [InlineData("ctorch._utils\n_rebuild_tensor_v2\n)R.", "arguments that it does not take")]
    [InlineData("ctorch\ndevice\n(}tR.", "arguments that it does not take")]
    public void A_broken_pickle_says_where(string instructions, string expected, bool fine = false)
    {
        var bytes = TorchArchive.Of(new PickleCode().Op(instructions).Code());
        if (fine) TorchFile.Open(_directory.Write("fine.pth", bytes)).Dispose();
        else Assert.Contains("archive/data.pkl, byte ", Refused(bytes, expected), StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_that_are_no_names_and_two_of_a_path_are_refused()
    {
        Refused(TorchArchive.Of(new PickleCode().Op("}(}Nu").End()), "neither a short text");
        Refused(TorchArchive.Of(new PickleCode().Op("}(").Text(new string('x', 5000)).Op("Nu").End()), "neither a short text");
        var twice = new PickleCode().Op("}(").Text("a.b").Tensor("0", 8, 0, [8], [1]).Text("a").Op("}").Text("b").Tensor("0", 8, 0, [8], [1]).Op("su").End();
        Refused(TorchArchive.Of(twice, new byte[32]), "a.b: two tensors have this path");
    }

    [Fact]
    public void Protocols_and_lengths_beyond_any_file_are_refused()
    {
        Refused(TorchArchive.Of([0x80, 0, (byte)'}', (byte)'.']), "protocol 0");
        Refused(TorchArchive.Of([0x80, 6, (byte)'}', (byte)'.']), "protocol 6");
        Refused(TorchArchive.Of([0x80, 4, 0x8D, 255, 255, 255, 255, 255, 255, 255, 255, (byte)'.']), "claims -1 bytes");
        Refused(TorchArchive.Of([0x80, 4, 0x8D, 255, 255, 255, 255, 255, 255, 255, 127, (byte)'.']), "claims 9223372036854775807 bytes");
        Refused(TorchArchive.Of([0x80, 4, 0x95, 255, 0, 0, 0, 0, 0, 0, 0, (byte)'}', (byte)'.']), "a frame that is longer");
        Refused(TorchArchive.Of([0x80, 2, 0x8B, 255, 255, 255, 127, (byte)'.']), "claims 2147483647 bytes");
    }

    /// <summary>A few kilobytes that would be gigabytes, or endless.</summary>
    [Fact]
    public void Bombs_cost_no_memory()
    {
        // A list that holds the one before it twice, sixty times: 2⁶⁰ items when it is walked.
        var walked = new PickleCode().Op("]q\u0000");
        for (byte i = 0; i < 60; i++) walked.Op("0](").Op((byte)'h', i).Op((byte)'h', i).Op("e").Op((byte)'q', (byte)(i + 1));
        Cheap(TorchArchive.Of(walked.End()), "so often that they would fill the memory");
        Cheap(TorchArchive.Of(new PickleCode().Op("]q\u0000h\u0000a").End()), "holds itself");
        var deep = new PickleCode();
        for (var i = 0; i < 100_000; i++) deep.Op("]");
        for (var i = 0; i < 99_999; i++) deep.Op("a");
        Cheap(TorchArchive.Of(deep.End()), "nested more than 64 deep");
        // A long list made a dictionary again and again.
        var copies = new PickleCode().Op("](");
        for (var i = 0; i < 20_000; i++) copies.Op("NN").Op(0x86);
        copies.Op("eq\u0000(");
        for (var i = 0; i < 20_000; i++) copies.Global("collections", "OrderedDict").Op("h\u0000").Op(0x85).Op("R");
        Cheap(TorchArchive.Of(copies.Op("t").End()), "made to fill the memory");
        // A long text turned into bytes again and again.
        var texts = new PickleCode().Global("_codecs", "encode").Op("q\u0001").Text(new string('x', 50_000)).Op("q\u0002").Text("latin1").Op("q\u0003").Op("(");
        for (var i = 0; i < 20_000; i++) texts.Op("h\u0001h\u0002h\u0003").Op(0x86).Op("R");
        Cheap(TorchArchive.Of(texts.Op("t").End()), "made to fill the memory");
        // A hundred thousand marks, memos, empty lists: each costs a byte and little more.
        Cheap(TorchArchive.Of(new PickleCode().Op(new string('(', 100_000)).End()), "left over");
        Cheap(TorchArchive.Of(new PickleCode().Op("}").Op([.. Enumerable.Repeat((byte)0x94, 100_000)]).Op("r").Op(255, 255, 255, 255).End()), null);
    }

    [Fact]
    public void A_zip_that_lies_is_refused()
    {
        var pickle = new PickleCode().Tensor("0", 8, 0, [8], [1]).End();
        var archive = new TorchArchive().Add("archive/data.pkl", pickle).Add("archive/data/0", new byte[32]);
        void Lie(string entry, int at, uint value, string expected)
        {
            void Set(string name, byte[] record)
            {
                if (name == entry) BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(at), value);
            }
            Refused(archive.Bytes(central: Set), expected);
        }

        Lie("archive/data/0", 24, 0x7FFFFFFF, "claims 2147483647 bytes and is stored in 32");
        Lie("archive/data/0", 42, 0, "says something else");
        Lie("archive/data/0", 42, 0x7FFFFFFF, "beyond the entries");
        Lie("archive/data/0", 42, uint.MaxValue, "lacks the ZIP64 field");
        Lie("archive/data/0", 8, 1, "is encrypted");
        Lie("archive/data/0", 10, 8, "says something else");
        Refused(archive.Bytes(
            central: (name, record) =>
            {
                if (name != "archive/data/0") return;
                BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(20), 0x7FFFFFF0);
                BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(24), 0x7FFFFFF0);
            }), "claims 2147483632 bytes");
        // The pickle's entry reaches over the storage's.
        Refused(archive.Bytes(
            central: (name, record) =>
            {
                if (name != "archive/data.pkl") return;
                BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(20), pickle.Length + 20);
                BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(24), pickle.Length + 20);
            }), "inside archive/data.pkl");
        Refused(new TorchArchive().Add("archive/data.pkl", pickle).Add("archive/data.pkl", pickle).Bytes(), "stands twice");
        Refused(new TorchArchive().Add("archive/data.pkl", pickle).Add("other/data.pkl", pickle).Bytes(), "holds 2 files named data.pkl");
        Refused(new TorchArchive().Add("weights.npy", pickle).Bytes(), "holds no data.pkl");
        Refused(new TorchArchive().Bytes(), "holds no data.pkl");
        Refused(new TorchArchive().Add("archive/data.pkl", pickle).Add("archive/data/0", new byte[32]).Add("archive/byteorder", "big"u8.ToArray()).Bytes(), "big-endian");
    }

    [Fact]
    public void Sizes_beyond_32_bits_are_read_and_checked_as_others()
    {
        var archive = new TorchArchive().Add("archive/data.pkl", new PickleCode().Tensor("0", 8, 0, [8], [1]).End()).Add("archive/data/0", new byte[32]);
        using (var file = TorchFile.Open(_directory.Write("64.pth", archive.Bytes(zip64: true)))) Assert.Equal(8, file.Tensors["tensor"].Shape.Count);
        void Set(byte[] record, int at, long value) => BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(at), value);
        Refused(archive.Bytes(zip64: true, end64: r => Set(r, 32, long.MaxValue)), "claims 9223372036854775807 entries");
        Refused(archive.Bytes(zip64: true, end64: r => Set(r, 40, long.MaxValue)), "does not lie before its end record");
        Refused(archive.Bytes(zip64: true, end64: r => Set(r, 48, long.MaxValue)), "does not lie before its end record");
        Refused(archive.Bytes(zip64: true, end64: r => Set(r, 48, -1)), "do not fit together");
        Refused(archive.Bytes(zip64: true, end64: r => r[0] = 0), "do not fit together");
        Refused(archive.Bytes(zip64: true, central: (_, r) => r[30] = 20), "");
        Refused(archive.Bytes(zip64: true)[^22..], "do not fit together");
    }

    [Fact]
    public void A_zip_bomb_is_not_inflated()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            using var entry = zip.CreateEntry("archive/data.pkl", CompressionLevel.SmallestSize).Open();
            var zeros = new byte[1 << 20];
            for (var i = 0; i < 100; i++) entry.Write(zeros);
        }
        Cheap(stream.ToArray(), "is compressed (method 8)");
    }

    [Fact]
    public void A_truncated_archive_is_refused_at_every_length()
    {
        var whole = File.ReadAllBytes(Golden.Torch("views.pth"));
        for (var length = 4; length < whole.Length; length++) Refused(whole[..length], "");
    }

    /// <summary>Damage of every kind to files of PyTorch's own: each opens, or gives the typed error, with memory in proportion, and leaves nothing behind.</summary>
    [Theory]
    [InlineData("types.pth")]
    [InlineData("views.pth")]
    [InlineData("protocol2.pth")]
    [InlineData("protocol4.pth")]
    [InlineData("script.pt")]
    public void A_thousand_damaged_files_open_or_give_the_typed_error(string name)
    {
        var bytes = File.ReadAllBytes(Golden.Torch(name));
        var (opened, refused) = (0, 0);
        for (var i = 0; i < 1000; i++)
        {
            var damaged = Mutation.Of(bytes, (uint)i);
            var path = _directory.Write("fuzz.pth", damaged);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using var file = WeightsFile.Open(path);
                foreach (var (_, t) in file.Tensors) _ = t.ToF32();
                opened++;
            }
            catch (FileFormatException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', e.Message);
                refused++;
            }
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < Allowed(damaged.Length), $"mutation {i} of {name} cost {allocated} bytes");
        }
        Assert.True(opened > 100 && refused > 100, $"{opened} opened, {refused} refused: the mutations miss a side");
        Assert.Equal([_directory / "fuzz.pth"], Directory.GetFileSystemEntries(_directory.Path));
    }

    /// <summary>A hundred bytes of objects for a byte of the file, and what any file costs: an error's text, buffers of the file system.</summary>
    private static long Allowed(long fileBytes) => 400 * fileBytes + 1_000_000;

    private void Cheap(byte[] bytes, string? expected)
    {
        var path = _directory.Write("bomb.pth", bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        if (expected != null) Assert.Contains(expected, Assert.Throws<FileFormatException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);
        else
            try
            {
                TorchFile.Open(path).Dispose();
            }
            catch (FileFormatException)
            {
                // Either will do: what counts is the memory.
            }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < Allowed(bytes.Length), $"{bytes.Length} bytes cost {allocated}");
    }

    private string Refused(byte[] bytes, string expected)
    {
        var path = _directory.Write("hostile.pth", bytes);
        var error = Assert.Throws<FileFormatException>(() => TorchFile.Open(path));
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }
}
