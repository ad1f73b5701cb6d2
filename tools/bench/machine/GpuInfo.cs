using System.Globalization;
using Plip.Engine;

namespace Plip.Bench;

/// <summary>A GPU and what it was measured with.</summary>
/// <param name="Name">As the driver names it.</param>
/// <param name="Capability">Compute capability, 90 for an H200.</param>
/// <param name="Driver">The driver's CUDA, "13.0".</param>
/// <param name="Compiler">NVRTC's version.</param>
/// <param name="F32Gflops">Measured rate of an F32 product, TF32 off: the peak of cases stored as F32.</param>
/// <param name="Emulated">Kernels ran on the CPU: the figures say that the program works and nothing else.</param>
/// <param name="Torch">PyTorch's version, when its times were joined.</param>
internal sealed record GpuInfo(string Name, int Capability, string Driver, string Compiler, double F32Gflops, bool Emulated, string? Torch = null)
{
    public static GpuInfo Of(CudaDevice gpu, double f32Gflops)
    {
        var (major, minor) = Cuda.CompilerVersion;
        return new(
            gpu.Description.Name, gpu.Description.Capability, Cuda.Version(Cuda.DriverVersion), string.Create(CultureInfo.InvariantCulture, $"{major}.{minor}"),
            f32Gflops, CudaLibraries.Current.IsEmulator);
    }

    /// <summary>Two lines for a report.</summary>
    public string Describe(Machine m) => string.Create(CultureInfo.InvariantCulture,
        $"{Name}{(Emulated ? " (EMULATED: these figures say nothing of a GPU)" : "")}, compute capability {Capability / 10}.{Capability % 10}, driver CUDA {Driver}, NVRTC {Compiler}, {m.Dotnet}, {(Torch == null ? "no PyTorch" : $"PyTorch {Torch}")}\nBF16 product {m.PeakGflops / 1e3:0.0} TFLOP/s, F32 product {F32Gflops / 1e3:0.00} TFLOP/s, copy {m.CopyGbs:0} GB/s");
}
