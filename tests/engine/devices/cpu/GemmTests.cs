using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>What <see cref="Gemm"/> offers and no single op asks for: every addition with every transposition, and gaps between rows.</summary>
public unsafe class GemmTests
{
    private const float Untouched = 12345;

    [Theory, OnEachDevice("5x7x3", "9x33x17", "20x170x800", "530x40x20", "33x500x0", CpuOnly = true)]
    public void Adds_a_bias_or_to_what_is_there_and_keeps_out_of_gaps(string device, int[] mnk)
    {
        using var cpu = (CpuDevice)Devices.Open(device);
        foreach (var how in (string[])["plain", "bias", "accumulate"])
            foreach (var ta in new[] { false, true })
                foreach (var tb in new[] { false, true })
                {
                    var (expected, c, _) = Product(cpu, mnk, ta, tb, how, gelu: false);
                    Check.Close(expected, c, 2e-5, $"{how} {ta} {tb}");
                }
    }

    [Theory, OnEachDevice("9x33x17", "20x170x800", "530x40x20", CpuOnly = true)]
    public void Gives_GELU_of_the_result_as_well(string device, int[] mnk)
    {
        using var cpu = (CpuDevice)Devices.Open(device);
        foreach (var ta in new[] { false, true })
        {
            var (expected, c, gelu) = Product(cpu, mnk, ta, true, "bias", gelu: true);
            Check.Close(expected, c, 2e-5, "result");
            Check.Close(Array.ConvertAll(expected, v => v == Untouched ? v : ActivationsTests.Gelu(v)), gelu, 2e-5, "GELU");
        }
    }

    [Theory]
    [InlineData(70, 170, 800)] // B packed by task
    [InlineData(530, 100, 20)] // B packed for all
    [InlineData(40, 50, 1700)] // the sum is cut
    public void Any_number_of_threads_gives_the_same_bits(int m, int n, int k)
    {
        foreach (var ta in new[] { false, true })
            foreach (var tb in new[] { false, true })
            {
                using CpuDevice one = new(1), three = new(3);
                Assert.Equal(Product(one, [m, n, k], ta, tb, "plain", false).C, Product(three, [m, n, k], ta, tb, "plain", false).C);
            }
    }

    /// <summary>C, three floats wider than its rows, by formula and by the device.</summary>
    private static (double[] Expected, float[] C, float[] Gelu) Product(CpuDevice cpu, int[] mnk, bool ta, bool tb, string how, bool gelu)
    {
        var (m, n, k, ldc) = (mnk[0], mnk[1], mnk[2], mnk[1] + 3);
        float[] a = Values.Normal(m * k, 1), b = Values.Normal(n * k, 2), before = Values.Normal(m * ldc, 3), bias = Values.Normal(n, 4);
        var expected = MatMulTests.Product(Array.ConvertAll(a, v => (double)v), Array.ConvertAll(b, v => (double)v), 1, m, n, k, ta, tb);
        var wide = new double[m * ldc];
        for (var i = 0; i < wide.Length; i++)
        {
            var (row, col) = (i / ldc, i % ldc);
            wide[i] = col >= n ? Untouched : expected[row * n + col] + (how == "bias" ? bias[col] : how == "accumulate" ? before[i] : 0);
            if (col >= n) before[i] = Untouched;
        }
        using var step = cpu.BeginStep();
        Tensor ta0 = On(a), tb0 = On(b), c = On(before), g = On(before), biases = On(bias);
        var added = how == "bias" ? biases.F32 : null;
        var activated = gelu ? g.At<F32>() : null;
        switch (cpu.VectorBits)
        {
            case 512: Run<Vec512>(); break;
            case 256: Run<Vec256>(); break;
            default: Run<Vec128>(); break;
        }
        return (wide, c.ToArray(), g.ToArray());

        Tensor On(float[] values) => values.Length > 0 ? Tensor.From(cpu, values, new(values.Length)) : Tensor.Zeros(cpu, new(1));

        void Run<V>() where V : struct, IVector<V> => Gemm.Run<V, F32, F32, F32>(
            cpu, ta, tb, m, n, k, ta0.At<F32>(), ta ? m : k, tb0.At<F32>(), tb ? k : n, c.At<F32>(), ldc, how == "accumulate", added, activated);
    }
}
