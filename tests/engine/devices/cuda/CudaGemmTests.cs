using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Products in every form the engine asks for, against sums in F64.</summary>
public sealed class CudaGemmTests
{
    [Theory]
    [InlineData(false, false, 1, 5, 7, 3)]
    [InlineData(false, true, 1, 8, 16, 24)]
    [InlineData(true, false, 1, 33, 9, 20)]
    [InlineData(true, true, 1, 6, 10, 4)]
    [InlineData(false, true, 3, 5, 4, 6)]
    [InlineData(true, false, 3, 4, 5, 6)]
    public void Every_form_matches(bool transA, bool transB, int batch, int m, int n, int k)
    {
        using var d = CudaTest.Open();
        using var step = d.BeginStep();
        foreach (var type in (DType[])[DType.F32, DType.BF16, DType.F16])
        {
            Tensor a = Random(d, batch * m * k, 1, type), b = Random(d, batch * n * k, 2, type), c = Random(d, batch * m * n, 3, type);
            double[] x = Wide(a), y = Wide(b), before = Wide(c);
            var product = new double[batch * m * n];
            for (var q = 0; q < batch; q++)
                for (var i = 0; i < m; i++)
                    for (var j = 0; j < n; j++)
                        for (var l = 0; l < k; l++)
                            product[(q * m + i) * n + j] += x[q * m * k + (transA ? l * m + i : i * k + l)] * y[q * n * k + (transB ? j * k + l : l * n + j)];
            // F16 and BF16 results are rounded once: by 2⁻¹¹ and 2⁻⁹.
            var tolerance = type switch { DType.F32 => 1e-6, DType.F16 => 1.0 / 1024, _ => 1.0 / 256 };
            d.Gemm.Run(c, a, b, transA, transB, m, n, k, batch, accumulate: true);
            Check.Close(product.Zip(before, (p, w) => p + w).ToArray(), Ops.Cast(c, DType.F32).ToArray(), tolerance, $"{type}, added");
            d.Gemm.Run(c, a, b, transA, transB, m, n, k, batch);
            Check.Close(product, Ops.Cast(c, DType.F32).ToArray(), tolerance, $"{type}");
            var sums = Tensor.Zeros(d, c.Shape);
            d.Gemm.Run(sums, a, b, transA, transB, m, n, k, batch);
            Check.Close(product, sums.ToArray(), 1e-6, $"{type} to F32");
        }
    }

    /// <summary>F32 operands stay F32 unless the device is told otherwise; then they lose 13 bits, and the product errs by about 2⁻¹¹ of its terms.</summary>
    [Fact]
    public void TF32_only_on_request()
    {
        const int m = 64, n = 48, k = 96;
        using var d = CudaTest.Open();
        using var step = d.BeginStep();
        Tensor a = Random(d, m * k, 1), b = Random(d, k * n, 2), c = Tensor.Zeros(d, new(m, n));
        double[] x = Wide(a), y = Wide(b), product = new double[m * n];
        for (var i = 0; i < m; i++)
            for (var j = 0; j < n; j++)
                for (var l = 0; l < k; l++) product[i * n + j] += x[i * k + l] * y[l * n + j];
        double Error()
        {
            d.Gemm.Run(c, a, b, false, false, m, n, k);
            return c.ToArray().Zip(product, (f, p) => Math.Abs(f - p)).Max();
        }
        Assert.False(d.AllowTf32);
        Assert.InRange(Error(), 0, 1e-4); // sums of 96 in F32
        d.AllowTf32 = true;
        Assert.InRange(Error(), 1e-3, 0.1);
        d.AllowTf32 = false;
        Assert.InRange(Error(), 0, 1e-4);
    }

    [Fact]
    public void A_bias_and_GELU_join_the_product()
    {
        const int m = 5, n = 16, k = 8;
        using var d = CudaTest.Open();
        using var step = d.BeginStep();
        Tensor a = Random(d, m * k, 1), w = Random(d, n * k, 2), bias = Random(d, n, 3), y = Tensor.Zeros(d, new(m, n)), before = Tensor.Zeros(d, new(m, n));
        d.Gemm.Run(y, a, w, false, true, m, n, k, bias: bias, preActivation: before);
        var linear = Ops.Linear(a.View(new(m, k)), w.View(new(n, k)), bias).ToArray();
        Check.Close(Array.ConvertAll(linear, v => (double)v), before.ToArray(), 1e-6, "pre-activation");
        // The form with tanh, of which the exact one differs by 5e-4 at most.
        Check.Close(Array.ConvertAll(linear, v => 0.5 * v * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)))), y.ToArray(), 1e-5, "GELU");
        Assert.Throws<ArgumentException>(() => d.Gemm.Run(y, a, w, false, true, m, n, k, bias: Ops.Cast(bias, DType.BF16)));
        Assert.Throws<NotSupportedException>(() => d.Gemm.Run(y, Tensor.Zeros(d, new(m, k), DType.I32), w, false, true, m, n, k));
    }

    private static Tensor Random(Device d, int count, uint seed, DType type = DType.F32) => Ops.Cast(Tensor.From(d, Values.Normal(count, seed), new(count)), type);

    private static double[] Wide(Tensor x) => Array.ConvertAll(Ops.Cast(x, DType.F32).ToArray(), v => (double)v);
}
