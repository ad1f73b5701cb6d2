using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class SumRowsTests
{
    [Theory, OnEachDevice("1x1", "3x7", "9x64", "130x5", "2x3x33", "70x19")]
    public void Sums_match_the_formula_and_its_differences(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var x = Input.Normal(new(shape));
        foreach (var input in x.InEachType) Check.Op(d, t => Ops.SumRows(t[0]), v => Sum(v[0], shape[^1]), [input]);
    }

    [Theory, OnEachDevice("1x1", "3x7", "2x3x33")]
    public void A_repeated_vector_matches(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        var v = Input.Normal(new(1, shape[^1]));
        Func<double[][], double[]> oracle = x => [.. Enumerable.Repeat(x[0], (int)new Shape(shape).Rows).SelectMany(row => row)];
        foreach (var (input, type) in new (Input, DType?)[] { (v, null), (v, DType.F32), (v, DType.BF16), (v.BF16, null), (v, DType.F16), (v.As(DType.F16), null) })
            Check.Op(d, t => Ops.BroadcastRows(t[0], new(shape), type), oracle, [input]);
    }

    /// <summary>Bias gradients of pictures: hundreds of thousands of rows of a few channels, several of them abreast, several blocks.</summary>
    [Fact]
    public void Tall_and_narrow_ones_match_and_have_the_same_bits_for_any_number_of_threads()
    {
        using var one = new CpuDevice(1);
        using var three = new CpuDevice(3);
        Gen.Select(Gen.Int[6000, 40000], Gen.Int[1, 20], Gen.UInt).Sample((rows, cols, seed) =>
        {
            // A mean of 1 keeps the sums away from 0, where a relative tolerance would mean nothing.
            var x = Input.Normal(new(rows, cols), seed, 1, 1).Fixed;
            var y = Sums(one, x);
            Check.Close(Sum(Array.ConvertAll(x.Values, v => (double)v), cols), y, 1e-6, "sum");
            Assert.Equal(y, Sums(three, x));
        }, iter: 8, threads: 1);
    }

    /// <summary>The numerical trap: in BF16 a sum of ones stops at 256.</summary>
    [Theory, OnEachDevice]
    public void Sums_of_BF16_are_F32(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var x = Ops.Cast(Ops.Full(d, new(5001, 3), 1f), DType.BF16).WithGrad();
        var y = Ops.SumRows(x).Keep();
        Ops.Sum(y).Backward();
        Assert.Equal([5001f, 5001f, 5001f], y.ToArray());
        Assert.Equal(DType.BF16, x.Grad!.DType);
    }

    [Fact]
    public void A_gradient_has_its_vectors_type_and_shape_and_nothing_leaks()
    {
        using var d = new CpuDevice(1);
        using (d.BeginStep())
        {
            var f = Tensor.Zeros(d, new(1, 3)).WithGrad();
            var b = Tensor.Zeros(d, new(3), DType.BF16).WithGrad();
            var y = Ops.Add(Ops.BroadcastRows(f, new(300, 3), DType.BF16), Ops.BroadcastRows(b, new(300, 3)));
            Ops.Sum(Ops.SumRows(y)).Backward();
            Assert.Equal((DType.F32, new Shape(1, 3)), (f.Grad!.DType, f.Grad.Shape));
            Assert.Equal((DType.BF16, new Shape(3)), (b.Grad!.DType, b.Grad.Shape));
            Assert.Equal([300f, 300f, 300f], f.Grad.ToArray());
            Assert.Equal([300f, 300f, 300f], Ops.Cast(b.Grad, DType.F32).ToArray());
        }
        Assert.Equal(0, d.MemoryInUse.Blocks);
    }

    [Fact]
    public void Says_what_does_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Assert.Equal("BroadcastRows: expected a vector of 4 for (2, 4), got (3,)",
            Assert.Throws<ArgumentException>(() => Ops.BroadcastRows(Tensor.Zeros(d, new(3)), new(2, 4))).Message);
        Assert.Equal("BroadcastRows: a vector of BF16 is repeated as BF16, not F32; convert it first with Ops.Cast",
            Assert.Throws<ArgumentException>(() => Ops.BroadcastRows(Tensor.Zeros(d, new(4), DType.BF16), new(2, 4), DType.F32)).Message);
    }

    private static float[] Sums(Device d, Input x)
    {
        using var step = d.BeginStep();
        return Ops.SumRows(x.ToTensor(d)).ToArray();
    }

    private static double[] Sum(double[] x, int cols)
    {
        var y = new double[cols];
        for (var i = 0; i < x.Length; i++) y[i % cols] += x[i];
        return y;
    }
}
