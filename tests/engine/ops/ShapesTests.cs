using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ShapesTests
{
    // before x behind x extents along the axis, which is put at every place
    [Theory, OnEachDevice("1x1x1", "2x3x1x4", "3x17x2x1x5", "1x5x3x3", "2x1x2x0x3")]
    public void Concat_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        var (outer, inner, extents) = (s[0], s[1], s[2..]);
        foreach (var axis in new[] { 1, -2 })
            foreach (var type in (DType[])[DType.F32, DType.BF16, DType.F16])
                Check.Op(d, t => Ops.Concat(t, axis), x => Join(x, outer, inner, extents),
                    [.. extents.Select((e, k) => Input.Normal(new(outer, e, inner), (uint)k + 1) with { Type = type })]);
    }

    // outer x extent x inner x start x length
    [Theory, OnEachDevice("1x1x1x0x1", "2x5x3x1x2", "3x4x17x0x4", "1x5x3x2x3", "2x3x1x1x0")]
    public void Slice_matches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        foreach (var axis in new[] { 1, -2 })
            foreach (var type in (DType[])[DType.F32, DType.BF16, DType.F16])
                Check.Op(d, t => Ops.Slice(t[0], axis, s[3], s[4]), x => Cut(x[0], s[0], s[1], s[2], s[3], s[4]),
                    [Input.Normal(new(s[0], s[1], s[2]), 1) with { Type = type }]);
    }

    /// <summary>Runs longer than a task of the CPU device are cut: 64 KB. Forward and backward, along the outermost axis and an inner one.</summary>
    [Theory, OnEachDevice("1x5x9001", "2x5x9001", "3x40000x1")]
    public void Long_runs_move_whole(string device, int[] s)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Input.Normal(new(s), 1).ToTensor(d);
        var second = s[1] / 2;
        var (a, b) = (Ops.Slice(x, 1, 0, second), Ops.Slice(x, 1, second, s[1] - second));
        var y = Ops.Concat([b, a], 1).Keep();
        var weights = Values.Normal((int)x.Count, 2);
        Ops.Sum(Ops.Multiply(y, Tensor.From(d, weights, x.Shape))).Backward();
        var (values, moved, gradient) = (x.ToArray(), y.ToArray(), x.Grad!.ToArray());
        for (var o = 0; o < s[0]; o++)
            for (var e = 0; e < s[1]; e++)
                for (var i = 0; i < s[2]; i++)
                {
                    var (from, to) = ((o * s[1] + e) * s[2] + i, (o * s[1] + (e + s[1] - second) % s[1]) * s[2] + i);
                    Assert.Equal(values[from], moved[to]);
                    Assert.Equal(weights[to], gradient[from]);
                }
    }

    /// <summary>What was joined comes apart again, along any axis of any shape, and with its gradient.</summary>
    [Fact]
    public void Slices_undo_a_concat_for_random_shapes()
    {
        using var d = new CpuDevice(2);
        (from dims in Gen.Int[1, 6].Array[1, 4]
         from axis in Gen.Int[0, dims.Length - 1]
         from extents in Gen.Int[0, 5].Array[1, 4]
         select (dims, axis, extents)).Sample(c =>
        {
            using var step = d.BeginStep();
            var parts = c.extents.Select((e, k) =>
            {
                var dims = (int[])c.dims.Clone();
                dims[c.axis] = e;
                return Input.Normal(new(dims), (uint)k).ToTensor(d);
            }).ToArray();
            var y = Ops.Concat(parts, c.axis);
            var at = 0;
            Tensor? loss = null;
            foreach (var p in parts)
            {
                var piece = Ops.Slice(y, c.axis, at, p.Shape[c.axis]);
                Assert.Equal(p.Shape, piece.Shape);
                Assert.Equal(p.ToArray(), piece.ToArray());
                var half = Ops.Affine(Ops.Sum(Ops.Multiply(piece, piece)), 0.5f);
                loss = loss == null ? half : Ops.Add(loss, half);
                at += p.Shape[c.axis];
            }
            loss!.Backward();
            foreach (var p in parts) Assert.Equal(p.ToArray(), p.Grad!.ToArray());
        }, iter: 100, threads: 1);
    }

    [Fact]
    public void Any_element_type_moves()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var y = Ops.Concat([Tensor.From<byte>(d, [1, 2, 3, 4], new(2, 2)), Tensor.From<byte>(d, [5, 6], new(2, 1))], 1);
        Assert.Equal([1, 2, 5, 3, 4, 6], y.ToArray<byte>());
        Assert.Equal([5L, 6L], Ops.Slice(Tensor.From<long>(d, [4, 5, 6], new(3)), 0, 1, 2).ToArray<long>());
    }

    [Fact]
    public void A_slice_of_the_outermost_axis_is_a_view_that_outlives_its_source()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.From(d, [1f, 2, 3, 4, 5, 6], new(3, 2));
        var before = d.MemoryInUse.Blocks;
        var y = Ops.Slice(x, 0, 1, 2);
        Assert.Equal(before, d.MemoryInUse.Blocks);
        x.Release();
        Assert.Equal([3f, 4, 5, 6], y.ToArray());
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Tensor.Zeros(d, new(2, 3));
        string Error(Func<Tensor> op) => Assert.Throws<ArgumentException>(op).Message;
        Assert.Equal("Concat: tensor 1 of shape (2, 4) does not continue (2, 3) along axis 0", Error(() => Ops.Concat([x, Tensor.Zeros(d, new(2, 4))], 0)));
        Assert.Equal("Concat: shape (2, 3) has no axis 2", Error(() => Ops.Concat([x], 2)));
        Assert.Equal("Concat: expected at least one tensor", Error(() => Ops.Concat([], 0)));
        Assert.Equal("Slice: 2 from 2 leave axis 1 of (2, 3)", Error(() => Ops.Slice(x, -1, 2, 2)));
        Assert.Equal("Slice: 2 from -1 leave axis 0 of (2, 3)", Error(() => Ops.Slice(x, 0, -1, 2)));
    }

    private static double[] Join(double[][] x, int outer, int inner, int[] extents)
    {
        var y = new List<double>();
        for (var o = 0; o < outer; o++)
            for (var k = 0; k < x.Length; k++)
                for (var i = 0; i < extents[k] * inner; i++) y.Add(x[k][o * extents[k] * inner + i]);
        return [.. y];
    }

    private static double[] Cut(double[] x, int outer, int extent, int inner, int start, int length)
    {
        var y = new List<double>();
        for (var o = 0; o < outer; o++)
            for (var e = start; e < start + length; e++)
                for (var i = 0; i < inner; i++) y.Add(x[(o * extent + e) * inner + i]);
        return [.. y];
    }
}
