using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class MatMulTests
{
    // m x n x k: tails of every kind, more than one stretch of K (768), B large enough to be packed by task, rows enough to share it.
    [Theory, OnEachDevice("1x1x1", "7x5x3", "8x32x16", "9x33x17", "70x49x40", "3x65x300", "70x40x700", "30x170x800", "530x40x20")]
    public void Matches_for_every_transposition(string device, int[] mnk)
    {
        using var d = Devices.Open(device);
        var (m, n, k) = (mnk[0], mnk[1], mnk[2]);
        foreach (var ta in new[] { false, true })
            foreach (var tb in new[] { false, true })
            {
                var (a, b) = (Input.Normal(ta ? new(k, m) : new(m, k), 1), Input.Normal(tb ? new(n, k) : new(k, n), 2));
                if (m * n * k > 5000) (a, b) = (a.Fixed, b.Fixed); // differences of every element would take minutes
                Check.Op(d, t => Ops.MatMul(t[0], t[1], ta, tb), x => Product(x[0], x[1], 1, m, n, k, ta, tb), [a, b]);
            }
    }

    /// <summary>Operands and result stored in 16 bits; a sum over more than one K block is kept in F32 between them.</summary>
    [Theory, OnEachDevice("7x5x3", "9x33x17", "3x65x300", "70x34x260", "33x300x780", "530x40x20", In16Bits = true)]
    public void Matches_in_16_bits(string device, int[] mnk, DType type)
    {
        using var d = Devices.Open(device);
        var (m, n, k) = (mnk[0], mnk[1], mnk[2]);
        foreach (var ta in new[] { false, true })
            foreach (var tb in new[] { false, true })
            {
                var (a, b) = (Input.Normal(ta ? new(k, m) : new(m, k), 1).As(type), Input.Normal(tb ? new(n, k) : new(k, n), 2).As(type));
                if (m * n * k > 5000) (a, b) = (a.Fixed, b.Fixed);
                Check.Op(d, t => Ops.MatMul(t[0], t[1], ta, tb), x => Product(x[0], x[1], 1, m, n, k, ta, tb), [a, b]);
            }
    }

    [Theory, OnEachDevice("2x3x5x4", "3x9x17x8")]
    public void Matches_in_batches(string device, int[] s)
    {
        using var d = Devices.Open(device);
        Check.Op(d, t => Ops.MatMul(t[0], t[1], false, true), x => Product(x[0], x[1], s[0], s[1], s[2], s[3], false, true),
            [Input.Normal(new(s[0], s[1], s[3]), 1), Input.Normal(new(s[0], s[2], s[3]), 2)]);
    }

    [Fact]
    public void Names_both_shapes_when_they_do_not_fit()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var e = Assert.Throws<ArgumentException>(() => Ops.MatMul(Tensor.Zeros(d, new(2, 3)), Tensor.Zeros(d, new(4, 5))));
        Assert.Contains("MatMul: inner extents differ: (2, 3) · (4, 5)", e.Message, StringComparison.Ordinal);
    }

    internal static double[] Product(double[] a, double[] b, int batch, int m, int n, int k, bool ta, bool tb)
    {
        var c = new double[batch * m * n];
        for (var q = 0; q < batch; q++)
            for (var i = 0; i < m; i++)
                for (var j = 0; j < n; j++)
                {
                    double s = 0;
                    for (var l = 0; l < k; l++)
                        s += a[q * m * k + (ta ? l * m + i : i * k + l)] * b[q * k * n + (tb ? j * k + l : l * n + j)];
                    c[(q * m + i) * n + j] = s;
                }
        return c;
    }
}
