using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class KernelSignatureTests
{
    private const string Source = """
        // scale.cu: not scale(int nonsense) but this:
        typedef TYPE T;
        __device__ float scale_one(float x) { return x; }
        extern "C" __global__ void __launch_bounds__(256) scale(
            T* y, const T* __restrict__ x, const float *gamma, i64 count, int rows, float eps) {
        }
        extern "C" __global__ void scale_all(u8* mask) { }
        extern "C" __global__ void strange(double* x) { }
        """;

    [Fact]
    public void Arguments_must_be_of_the_parameters_types()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Tensor wide = Tensor.Zeros(d, new(4)), narrow = Tensor.Zeros(d, new(4), DType.BF16), bytes = Tensor.Zeros(d, new(4), DType.U8);
        var signature = KernelSignature.Read(Source, "scale", [("TYPE", DType.BF16)]);
        signature.Check([narrow, narrow, wide, 4L, 1, 1e-5f]);
        signature.Check([narrow, narrow, (Tensor?)null, 4L, 1, 1e-5f]);
        string Wrong(params KernelArgument[] arguments) => Assert.Throws<InvalidOperationException>(() => signature.Check(arguments)).Message;
        Assert.Equal("scale: x is a pointer to BF16, got F32 (4,); convert with Ops.Cast, or correct the launch", Wrong(narrow, wide, wide, 4L, 1, 1e-5f));
        Assert.StartsWith("scale: count is I64, got 4;", Wrong(narrow, narrow, wide, 4, 1, 1e-5f), StringComparison.Ordinal);
        Assert.StartsWith("scale: rows is I32, got 1;", Wrong(narrow, narrow, wide, 4L, 1L, 1e-5f), StringComparison.Ordinal);
        Assert.StartsWith("scale: eps is F32, got 1;", Wrong(narrow, narrow, wide, 4L, 1, 1), StringComparison.Ordinal);
        Assert.Equal("scale takes 6 arguments, got 1", Wrong(narrow));
        KernelSignature.Read(Source, "scale_all", []).Check([bytes]);
        KernelSignature.Read(Source, "scale", [("TYPE", DType.F32)]).Check([wide, wide, wide, 4L, 1, 1e-5f]);
    }

    [Fact]
    public void What_cannot_be_launched_is_refused()
    {
        Assert.Contains("there is no kernel", Assert.Throws<CudaException>(() => KernelSignature.Read(Source, "scale_one", [])).Message, StringComparison.Ordinal);
        Assert.Contains("\"double* x\"", Assert.Throws<CudaException>(() => KernelSignature.Read(Source, "strange", [])).Message, StringComparison.Ordinal);
    }
}
