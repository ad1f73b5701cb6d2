using System.Text;
using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public sealed class NpyTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".npy");

    public void Dispose() => File.Delete(_path);

    // The bytes numpy.save writes: header padded with spaces to 128 bytes, then the values.
    private static byte[] File_(string header, byte[] data, byte major = 1)
    {
        var start = major == 1 ? 10 : 12;
        var text = header.PadRight(127 - start) + "\n";
        byte[] length = major == 1 ? [(byte)text.Length, 0] : [(byte)text.Length, 0, 0, 0];
        return [0x93, .. "NUMPY"u8, major, 0, .. length, .. Encoding.ASCII.GetBytes(text), .. data];
    }

    private static byte[] Floats(params float[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    [Fact]
    public void Round_trips_every_type_and_shape()
    {
        float[] floats = [1.5f, -0f, float.NaN, float.PositiveInfinity, 1e-42f, 3];
        NpyWriter.Write(_path, floats, 2, 3);
        var read = NpyReader.ReadFloat(_path);
        Assert.Equal([2, 3], read.Shape);
        Assert.Equal(floats.Select(BitConverter.SingleToInt32Bits), read.Values.Select(BitConverter.SingleToInt32Bits));

        NpyWriter.Write(_path, [int.MinValue, 7, int.MaxValue], 3);
        Assert.Equal([int.MinValue, 7, int.MaxValue], NpyReader.ReadInt(_path).Values);
        NpyWriter.Write(_path, [long.MinValue, long.MaxValue], 1, 2);
        Assert.Equal([1, 2], NpyReader.ReadLong(_path).Shape);
        Assert.Equal([long.MinValue, long.MaxValue], NpyReader.ReadLong(_path).Values);
        NpyWriter.Write(_path, ReadOnlySpan<float>.Empty, 0, 4);
        Assert.Equal([0, 4], NpyReader.ReadFloat(_path).Shape);
        Assert.False(File.Exists(_path + ".partial"));
    }

    [Fact]
    public void Writes_the_bytes_of_numpy()
    {
        NpyWriter.Write(_path, [1f, 2, 3, 4, 5, 6], 2, 3);
        Assert.Equal(File_("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", Floats(1, 2, 3, 4, 5, 6)), File.ReadAllBytes(_path));
        NpyWriter.Write(_path, [1f], 1);
        Assert.Equal(File_("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", Floats(1)), File.ReadAllBytes(_path));
    }

    [Theory]
    [InlineData((byte)1)]
    [InlineData((byte)2)]
    public void Reads_the_keys_in_any_order_and_both_lengths_of_header(byte major)
    {
        File.WriteAllBytes(_path, File_("{'shape': (2,), 'fortran_order': False, 'descr': '<f4'}", Floats(1, 2), major));
        Assert.Equal([1f, 2f], NpyReader.ReadFloat(_path).Values);
    }

    public static TheoryData<byte[], string> BadFiles => new()
    {
        { [], "does not begin with" },
        { [.. "PK\u0003\u0004 a zip, not an array"u8], "does not begin with" },
        { [0x93, .. "NUMPY"u8, 9, 0, 0, 0, 0, 0], "version 9.0" },
        { [0x93, .. "NUMPY"u8, 1, 0, 255, 1, .. "{'descr'"u8], "the file ends before" },
        { File_("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", new byte[8]), "astype('float32')" },
        { File_("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", new byte[4]), "'>f4'" },
        { File_("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", new byte[4]), "Fortran" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }", new byte[4]), "one or two axes" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", new byte[4]), "one or two axes" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", new byte[4]), "is not a length" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3", new byte[4]), "breaks off" },
        { File_("{'descr': '<f4', 'fortran_order': False}", new byte[4]), "no 'shape'" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new byte[7]), "needs 8 bytes" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new byte[9]), "needs 8 bytes" },
        { File_("{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 2000000000), }", new byte[4]), "cut short" },
    };

    [Theory, MemberData(nameof(BadFiles))]
    public void A_bad_file_gives_one_clear_error(byte[] bytes, string expected)
    {
        File.WriteAllBytes(_path, bytes);
        var error = Assert.Throws<NpyException>(() => NpyReader.ReadFloat(_path));
        Assert.StartsWith(_path, error.Message);
        Assert.Contains(expected, error.Message);
    }

    [Fact]
    public void A_shape_must_fit()
    {
        Assert.Throws<ArgumentException>(() => NpyWriter.Write(_path, [1f, 2], 3));
        Assert.Throws<ArgumentException>(() => NpyWriter.Write(_path, [1f, 2], 1, 1, 2));
        Assert.Throws<ArgumentException>(() => NpyWriter.Write(_path, [1f, 2], -1, -2));
        Assert.False(File.Exists(_path));
    }
}
