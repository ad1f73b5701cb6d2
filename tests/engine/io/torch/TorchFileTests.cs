using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Files that PyTorch 1.13 wrote (tools/golden): every type, views, protocols, what lies beside tensors, and what is refused.</summary>
public sealed class TorchFileTests
{
    [Fact]
    public void Every_type_is_read()
    {
        using var file = TorchFile.Open(Golden.Torch("types.pth"));
        var quarters = Enumerable.Range(0, 12).Select(i => i / 4f - 1).ToArray();
        var whole = Enumerable.Range(0, 12).Select(i => i - 6f).ToArray();
        foreach (var name in new[] { "f64", "f32", "f16", "bf16" }) Assert.Equal(quarters, file.Tensors[name].ToF32());
        foreach (var name in new[] { "i64", "i32", "i16", "i8" }) Assert.Equal(whole, file.Tensors[name].ToF32());
        Assert.Equal(Enumerable.Range(0, 12).Select(i => (float)i), file.Tensors["u8"].ToF32());
        Assert.Equal(Enumerable.Range(0, 12).Select(i => 1f - i % 2), file.Tensors["bool"].ToF32());
        Assert.Equal([-6L, -5, -4], file.Tensors["i16"].ToI64()[..3]);
        Assert.Equal([2.5f], file.Tensors["scalar"].ToF32());
        Assert.Equal(0, file.Tensors["scalar"].Shape.Rank);
        Assert.Equal(new Shape(0, 3), file.Tensors["empty"].Shape);
        Assert.Empty(file.Tensors["empty"].ToF32());
        Assert.Equal(("F64", DType.F32, 96L), (file.Tensors["f64"].StoredType, file.Tensors["f64"].DType, file.Tensors["f64"].StoredBytes));
        var last = new float[1];
        file.Tensors["f64"].ReadF32(11, last); // from the middle
        Assert.Equal(1.75f, last[0]);
    }

    [Fact]
    public void Views_of_a_shared_storage_are_read_row_by_row()
    {
        using var file = TorchFile.Open(Golden.Torch("views.pth"));
        float[] Cube(Func<int, int, int, int> at, int a, int b, int c) =>
            [.. from i in Enumerable.Range(0, a) from j in Enumerable.Range(0, b) from k in Enumerable.Range(0, c) select (float)at(i, j, k)];
        static int Flat(int i, int j, int k) => i * 12 + j * 4 + k;
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (float)i), file.Tensors["base"].ToF32());
        Assert.Equal([4f, 5, 6, 7, 8, 9], file.Tensors["part"].ToF32());
        Assert.Equal(new Shape(4, 3, 2), file.Tensors["transposed"].Shape);
        Assert.Equal(Cube((k, j, i) => Flat(i, j, k), 4, 3, 2), file.Tensors["transposed"].ToF32());
        Assert.Equal(Cube((j, k, i) => Flat(i, j, k), 3, 4, 2), file.Tensors["permuted"].ToF32());
        Assert.Equal([1f, 4, 7, 10, 13, 16, 19, 22], file.Tensors["every_third"].ToF32());
        Assert.Equal([1f, 5, 9, 13, 17, 21], file.Tensors["column"].ToF32());
        Assert.Equal([0f, 3, 1, 4, 2, 5], file.Tensors["f64_transposed"].ToF32());
        Assert.Equal(file.Tensors["base"].ToF32(), file.Tensors["again"].ToF32());
        Assert.NotSame(file.Tensors["base"], file.Tensors["again"]); // so that a writer of safetensors takes both
        var two = new float[2];
        file.Tensors["transposed"].ReadF32(5, two);
        Assert.Equal(file.Tensors["transposed"].ToF32()[5..7], two);
        var bytes = new MemoryStream();
        file.Tensors["permuted"].WriteTo(bytes);
        Assert.Equal(24 * 4, bytes.Length);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Every_protocol_gives_the_same_tree(int protocol)
    {
        using var file = TorchFile.Open(Golden.Torch($"protocol{protocol}.pth"));
        Assert.Equal(["state_dict.module.weight", "state_dict.module.tied"], file.Tensors.Names);
        Assert.Equal([1f, 2, 3, 4], file.Tensors["state_dict.module.tied"].ToF32());
        Assert.Equal(["optimizer"], file.Ignored);
        var values = file.Values.ToDictionary(v => v.Key, v => v.Value);
        (string Path, string Value)[] expected =
        [
            ("epoch", "3"), ("best", "0.5"), ("single", "0.25"), ("name", "a résumé"), ("flags.0", "True"), ("flags.1", "None"), ("shape.0", "2"), ("shape.1", "3"),
            ("device", "cpu"), ("dtype", "torch.float16"), ("args.lr", "0.1"), ("args.layers.1", "2"), ("big", "an integer of 9 bytes"), ("negative", "-1099511627776"),
            ("raw", "2 bytes"), ("chosen.0", "1"),
        ];
        foreach (var (path, value) in expected) Assert.Equal(value, values[path]);
        Assert.Equal(values.Count, expected.Length + 1); // args.layers.0
    }

    [Fact]
    public void TorchScript_gives_its_tensors_and_runs_no_code()
    {
        using var file = TorchFile.Open(Golden.Torch("script.pt"));
        Assert.True(file.IsScript);
        Assert.Equal([0.5f], file.Tensors["0.weight"].ToF32());
        Assert.Equal(DType.F16, file.Tensors["0.weight"].DType);
        Assert.Equal(["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"], file.Tensors.Names);
        using var plain = TorchFile.Open(Golden.Torch("tensor.pt"));
        Assert.Equal([1f, 2], plain.Tensors["tensor"].ToF32());
    }

    [Theory]
    [InlineData("complex.pth", "torch.ComplexFloatStorage")]
    [InlineData("quantized.pth", "torch._utils._rebuild_qtensor")]
    [InlineData("sparse.pth", "torch._utils._rebuild_sparse_tensor")]
    [InlineData("module.pth", "torch.nn.modules.linear.Linear")]
    [InlineData("expanded.pth", ".contiguous()")]
    [InlineData("legacy.pth", "before 1.6")]
    public void What_is_not_read_says_so(string name, string expected)
    {
        var path = Golden.Torch(name);
        var error = Assert.Throws<FileFormatException>(() => WeightsFile.Open(path).Dispose());
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void A_file_that_is_cut_while_it_is_read_is_an_error_with_its_name()
    {
        using var directory = new TemporaryDirectory();
        var path = directory.Write("x.pth", File.ReadAllBytes(Golden.Torch("types.pth")));
        using var file = TorchFile.Open(path);
        using (var cut = File.Open(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) cut.SetLength(100);
        Assert.Contains(path, Assert.Throws<FileFormatException>(() => file.Tensors["f32"].ToF32()).Message, StringComparison.Ordinal);
    }
}
