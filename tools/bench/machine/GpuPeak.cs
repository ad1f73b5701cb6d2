using Plip.Engine;

namespace Plip.Bench;

/// <summary>The two limits of a GPU, and that of F32 products, each measured here and now.</summary>
internal static class GpuPeak
{
    public static Machine Measure(CudaDevice gpu, GpuTimer timer)
    {
        // cuBLASLt's product of BF16 noise, and a copy within the memory, read plus written.
        var peak = MachinePeak.Measure(gpu);
        return Machine.Of(GpuInfo.Of(gpu, F32Product(gpu, timer)), peak.FlopsPerSecond / 1e9, peak.BytesPerSecond / 1e9);
    }

    private static double F32Product(CudaDevice gpu, GpuTimer timer)
    {
        var size = CudaLibraries.Current.IsEmulator ? 64 : 8192;
        using var step = gpu.BeginStep(recordGradients: false);
        Tensor a = Matrix(gpu, size, 1), b = Matrix(gpu, size, 2);
        using var work = new Timed(() =>
        {
            using var inner = gpu.BeginStep(recordGradients: false);
            Ops.MatMul(a, b);
        });
        return 2.0 * size * size * size / timer.Median(work, samples: 5) / 1e9;
    }

    private static Tensor Matrix(CudaDevice gpu, int size, int stream) => Tensor.From(gpu, Noise.Normal((long)size * size, stream), new Shape(size, size));
}
