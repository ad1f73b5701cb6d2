using System.Globalization;

namespace Plip.Engine;

/// <summary>Opens a device by its name, as a command line or a setting has it.</summary>
public static class Devices
{
    /// <summary>What <see cref="Open"/> takes, for help texts.</summary>
    public const string Names = "cpu, cuda or cuda:1 (a GPU by its number)";

    /// <summary>
    /// The device of this name: "cpu", "cuda" (the first GPU) or "cuda:1". With PLIP_CUDA=emulator the GPU is the emulator.
    /// </summary>
    /// <param name="name">The name; lower case.</param>
    /// <param name="threads">Threads of the CPU device; 0 takes PLIP_THREADS, and without it every core. A GPU has no use for it.</param>
    /// <exception cref="ArgumentException">No device is named so, or a number of threads is out of range.</exception>
    /// <exception cref="CudaException">There is no such GPU, or what it needs is missing; the message says what to do.</exception>
    public static Device Open(string name, int threads = 0)
    {
        if (name == "cpu") return new CpuDevice(threads);
        if (name == "cuda") return new CudaDevice();
        if (name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var ordinal))
            return new CudaDevice(ordinal);
        throw new ArgumentException($"there is no device \"{name}\"; expected {Names}");
    }
}
