using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class SafeTensorsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>The known answers of the reference implementation's own tests: an empty file, metadata alone, one padded tensor.</summary>
    [Fact]
    public void Bytes_are_those_of_the_reference()
    {
        Assert.Equal(File("{}      "), Written(new StateDict()));
        Assert.Equal(File("{\"__metadata__\":{\"framework\":\"pt\"}}     "), Written(new StateDict(), new() { ["framework"] = "pt" }));
        var state = new StateDict();
        state.Add("attn0", StateTensor.Of([0f, 1, 2, 3, 4, 5], new(1, 1, 2, 3)));
        var expected = File("{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}       ",
            [.. new float[] { 0, 1, 2, 3, 4, 5 }.SelectMany(BitConverter.GetBytes)]);
        Assert.Equal(72, expected[0]);
        Assert.Equal(expected, Written(state));
    }

    [Fact]
    public void Every_type_is_read()
    {
        (string Type, byte[] Bytes, float[] Values)[] cases =
        [
            ("F64", Raw(BitConverter.GetBytes, 1.5, -1e300, 0.1), [1.5f, float.NegativeInfinity, 0.1f]),
            ("F32", Raw(BitConverter.GetBytes, 1.5f, -2f), [1.5f, -2f]),
            ("F16", Raw(BitConverter.GetBytes, (Half)0.5f, Half.MaxValue), [0.5f, 65504f]),
            ("BF16", [0x80, 0x3F, 0x49, 0xC0], [1f, -3.140625f]),
            ("I64", Raw(BitConverter.GetBytes, -1L, 1L << 40), [-1f, 1L << 40]),
            ("I32", Raw(BitConverter.GetBytes, -7, 9), [-7f, 9f]),
            ("I16", Raw(BitConverter.GetBytes, (short)-300, (short)5), [-300f, 5f]),
            ("U16", Raw(BitConverter.GetBytes, (ushort)65535, (ushort)5), [65535f, 5f]),
            ("I8", [0xFF, 0x7F], [-1f, 127f]),
            ("U8", [0xFF, 0x07], [255f, 7f]),
            ("BOOL", [0, 1], [0f, 1f]),
        ];
        foreach (var (type, bytes, values) in cases)
        {
            using var file = Open(File($$"""{ "x": { "dtype": "{{type}}", "shape": [{{values.Length}}], "data_offsets": [0, {{bytes.Length}}] } }""", bytes));
            Assert.Equal(values, file.Tensors["x"].ToF32());
            var last = new float[1];
            file.Tensors["x"].ReadF32(values.Length - 1, last); // from the middle, too
            Assert.Equal(values[^1], last[0]);
        }
    }

    [Fact]
    public void Empty_tensors_scalars_and_padding_are_fine()
    {
        using var file = Open(File("""{"none":{"dtype":"I32","shape":[2,0],"data_offsets":[0,0]},"one":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}""" + " \r\n\t", [5, 0, 0, 0]));
        Assert.Equal(["none", "one"], file.Tensors.Names);
        Assert.Empty(file.Tensors["none"].ToF32());
        Assert.Equal([5L], file.Tensors["one"].ToI64());
    }

    /// <summary>Headers as an attacker or a broken disk would write them: each has its own clear error.</summary>
    [Theory]
    [InlineData("{\"x\":[]}", 0, "x: is not an object")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 14, "do not lie within the 14 bytes of data")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 20, "holds 20 bytes of data, its entries account for 16")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,4]}}", 4, "does not take 4 bytes")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "do not lie within")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "shape holds something other than whole numbers")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "shape holds something other than whole numbers")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[2,18446744073709551614],\"data_offsets\":[0,16]}}", 16, "shape holds something other than whole numbers")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[2147483647,2147483647,2147483647,4294967296],\"data_offsets\":[0,16]}}", 16, "extent 4294967296 is beyond")]
    [InlineData("{\"x\":{\"dtype\":\"U8\",\"shape\":[1073741824,1073741824,16],\"data_offsets\":[0,0]}}", 0, "does not take 0 bytes")] // 2⁶⁴
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets has 1 numbers instead of 2")]
    [InlineData("{\"x\":{\"dtype\":\"I31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"I31\" cannot be read; known are F64")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"data_offsets\":[0,4]}}", 4, "lacks one of")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"shape\" is unknown, stands twice")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]},\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "x: stands twice")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]},\"y\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6, "y: its data begins at 2, inside another's")]
    [InlineData("{\"x\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]},\"y\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12, "y: its data begins at 8, after a gap")]
    [InlineData("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a: is not a string")]
    [InlineData("{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}", 0, "__metadata__.a: stands twice")]
    [InlineData("{\"x\":{\"shape\":[[[[[[[[[1]]]]]]]]]}}", 0, "shape holds something other")]
    [InlineData("{\"x\":{\"a\":1}}", 0, "\"a\" is unknown")]
    [InlineData("{\"\\ud800\":{}}", 0, "is not the JSON of a safetensors file")]
    [InlineData("{", 0, "is not the JSON of a safetensors file")]
    [InlineData("{} {}", 0, "is not the JSON of a safetensors file")]
    [InlineData(" {}", 0, "does not begin with '{'")]
    [InlineData("", 0, "does not begin with '{'")]
    public void Hostile_headers_have_clear_errors(string json, int data, string expected) => Refused(File(json, new byte[data]), expected);

    [Fact]
    public void Hostile_lengths_and_encodings_have_clear_errors()
    {
        Refused([], "is 0 bytes long; a safetensors file has at least 8");
        Refused([60, 0, 0, 0, 0, 0, 0, 0], "claims 60 bytes, the file holds 0 after the length");
        Refused([60, 0, 0, 0, 0, 255, 255, 255, .. "{}"u8], "the format allows 100000000");
        Refused([1, 0, 0, 0, 0, 0, 0, 0, 255], "is not UTF-8");
        Refused(File("{\"x\":" + new string('[', 50_000)), "x: is not an object");
        Refused(File("{\"x\":{\"dtype\":\"I32\",\"shape\":" + new string('[', 50_000)), "shape holds something other");
        Assert.Contains("there is no such file", Assert.Throws<FileNotFoundException>(() => SafeTensors.Open(_directory / "no")).Message, StringComparison.Ordinal);
        Assert.Contains("is a directory", Assert.Throws<FileNotFoundException>(() => SafeTensors.Open(_directory.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Data_is_aligned_and_the_order_of_names_kept()
    {
        var state = new StateDict();
        state.Add("bytes", StateTensor.Of(new byte[] { 1, 2, 3 }, new(3)));
        state.Add("floats", StateTensor.Of([1f], new(1)));
        state.Add("count", StateTensor.Of([9L], new()));
        using var file = Open(Written(state));
        Assert.Equal(["bytes", "floats", "count"], file.Tensors.Names);
        Assert.Equal(0, file.Header.DataStart % 8);
        Assert.Equal([12L, 8, 0], file.Header.Entries.Select(e => e.Begin));
        Assert.Equal([1L, 2, 3], file.Tensors["bytes"].ToI64());
        Assert.Equal([9L], file.Tensors["count"].ToI64());
    }

    [Fact]
    public void What_the_format_cannot_hold_is_refused()
    {
        var one = StateTensor.Of([1f], new(1));
        var (shared, reserved) = (new StateDict(), new StateDict());
        shared.Add("a", one);
        shared.Add("b", one);
        reserved.Add("__metadata__", one);
        Assert.Contains("two names", Assert.Throws<ArgumentException>(() => Written(shared)).Message, StringComparison.Ordinal);
        Assert.Contains("__metadata__", Assert.Throws<ArgumentException>(() => Written(reserved)).Message, StringComparison.Ordinal);
    }

    /// <summary>Any names, shapes, bits and strings come back, in order; larger tensors than a piece among them.</summary>
    [Fact]
    public void Anything_makes_the_round_trip()
    {
        var tensor = Gen.Select(Gen.Int[0, 5].Array[0, 4], Gen.UInt, Gen.Bool).Select((dims, bits, wide) =>
        {
            var shape = wide && dims.Length == 1 ? new Shape(70_000 + dims[0]) : new Shape(dims);
            var values = Enumerable.Range(0, (int)shape.Count).Select(i => BitConverter.UInt32BitsToSingle(bits * (uint)(i + 1) * 2654435761u)).ToArray();
            return StateTensor.Of(values, shape);
        });
        var text = Gen.String[Gen.Char['\u0001', '\ud7ff'], 0, 12];
        Gen.Select(Gen.Dictionary(text, tensor)[0, 6], Gen.Dictionary(text, text)[0, 4]).Sample((tensors, metadata) =>
        {
            var state = new StateDict();
            foreach (var (name, t) in tensors)
                if (name != "__metadata__") state.Add(name, t);
            var bytes = Written(state, metadata);
            Assert.Equal(bytes, Written(state, metadata));
            using var file = Open(bytes);
            Assert.Equal(state.Names, file.Tensors.Names);
            Assert.Equal(metadata.OrderBy(m => m.Key, StringComparer.Ordinal), file.Metadata.OrderBy(m => m.Key, StringComparer.Ordinal));
            foreach (var (name, t) in state)
            {
                Assert.Equal(t.Shape, file.Tensors[name].Shape);
                Assert.Equal(Bits(t), Bits(file.Tensors[name]));
            }
        }, iter: 100, threads: 1);

        static uint[] Bits(StateTensor t) => Array.ConvertAll(t.ToF32(), BitConverter.SingleToUInt32Bits);
    }

    [Fact]
    public void A_mutated_file_opens_or_gives_the_typed_error()
    {
        var state = new StateDict();
        state.Add("weight", StateTensor.Of([1f, 2, 3, 4], new(2, 2)));
        state.Add("ids", StateTensor.Of([1, 2, 3], new(3)));
        state.Add("count", StateTensor.Of([1L], new()));
        var bytes = Written(state, new() { ["note"] = "{\"a\":1}" });
        var (opened, refused) = (0, 0);
        for (var i = 0; i < 2000; i++)
        {
            var path = _directory.Write("fuzz.safetensors", Mutation.Of(bytes, (uint)i));
            try
            {
                using var file = SafeTensors.Open(path);
                foreach (var (_, t) in file.Tensors) _ = t.ToF32();
                opened++;
            }
            catch (FileFormatException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
                refused++;
            }
        }
        Assert.True(opened > 100 && refused > 1000, $"{opened} opened, {refused} refused: the mutations miss a side");
    }

    private void Refused(byte[] bytes, string expected)
    {
        var path = _directory.Write("hostile.safetensors", bytes);
        var e = Assert.Throws<FileFormatException>(() => SafeTensors.Open(path));
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
    }

    private SafeTensors Open(byte[] bytes) => SafeTensors.Open(_directory.Write("x.safetensors", bytes));

    private static byte[] Written(StateDict state, Dictionary<string, string>? metadata = null)
    {
        using var stream = new MemoryStream();
        SafeTensorsWriter.Write(stream, state, metadata);
        return stream.ToArray();
    }

    private static byte[] File(string json, byte[]? data = null)
    {
        var header = Encoding.UTF8.GetBytes(json);
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data ?? []];
    }

    private static byte[] Raw<T>(Func<T, byte[]> bytes, params T[] values) => [.. values.SelectMany(bytes)];
}
