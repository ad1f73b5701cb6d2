using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class ArgMaxTests
{
    [Fact]
    public void Finds_the_first_of_the_largest()
    {
        using var d = new CpuDevice(2);
        // Few different values, so that ties are the rule.
        (from rows in Gen.Int[1, 9]
         from cols in Gen.Int[1, 70]
         from values in Gen.Int[-3, 3].Array[rows * cols]
         select (rows, cols, values)).Sample(c =>
        {
            using var step = d.BeginStep();
            var x = Array.ConvertAll(c.values, v => (float)v);
            var expected = Enumerable.Range(0, c.rows).Select(r =>
            {
                var row = x[(r * c.cols)..((r + 1) * c.cols)];
                return Array.IndexOf(row, row.Max());
            });
            Assert.Equal(expected, Ops.ArgMax(Tensor.From(d, x, new(c.rows, c.cols))).ToArray<int>());
        }, iter: 200, threads: 1);
    }

    /// <summary>Ties from every place of a row on; −0 ties with 0.</summary>
    [Theory, OnEachDevice("3", "19", "140")]
    public void Finds_the_first_in_F32_and_BF16(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var n = size[0];
        var x = new float[n * n];
        for (var r = 0; r < n; r++)
            for (var c = 0; c < n; c++) x[r * n + c] = c < r ? -1 - c % 5 : c == r ? -0f : 0f;
        var t = Tensor.From(d, x, new(n, n));
        Assert.Equal(Enumerable.Range(0, n), Ops.ArgMax(t).ToArray<int>());
        Assert.Equal(Enumerable.Range(0, n), Ops.ArgMax(Ops.Cast(t, DType.BF16)).ToArray<int>());
    }

    /// <summary>On a GPU rows of over 1,024 are a block's, and those of an odd length begin between 16-byte loads.</summary>
    [Theory, OnEachDevice("5x1025", "3x4096", "2x30522")]
    public void Finds_the_first_of_long_rows(string device, int[] shape)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var (rows, cols) = (shape[0], shape[1]);
        var x = new float[rows * cols];
        var expected = new int[rows];
        for (var r = 0; r < rows; r++)
        {
            expected[r] = (int)((r + 0.5) * cols / rows);
            for (var c = 0; c < cols; c++) x[r * cols + c] = c < expected[r] ? c % 7 - 7 : c == expected[r] || c % 3 == 0 ? 1 : 0;
        }
        var t = Tensor.From(d, x, new(shape));
        Assert.Equal(expected, Ops.ArgMax(t).ToArray<int>());
        Assert.Equal(expected, Ops.ArgMax(Ops.Cast(t, DType.BF16)).ToArray<int>());
    }

    /// <summary>The traps: −∞ everywhere, and a NaN, which counts as the largest so that it cannot hide.</summary>
    [Theory, OnEachDevice("2", "16", "40")]
    public void Infinities_and_NaNs_have_a_place(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var row = Enumerable.Repeat(float.NegativeInfinity, size[0]).ToArray();
        Assert.Equal([0], Ops.ArgMax(Tensor.From(d, row, new(1, row.Length))).ToArray<int>());
        row[0] = float.PositiveInfinity;
        row[^1] = float.NaN;
        Assert.Equal([row.Length - 1], Ops.ArgMax(Tensor.From(d, row, new(1, row.Length))).ToArray<int>());
    }

    [Fact]
    public void Asking_for_its_gradient_names_it()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var y = Ops.ArgMax(Input.Normal(new(1, 5)).ToTensor(d));
        var e = Assert.Throws<NotSupportedException>(() => y.Backward());
        Assert.Equal("ArgMax has no gradient. Compute it under step.NoGrad(), or from a tensor that needs none.", e.Message);
    }
}
