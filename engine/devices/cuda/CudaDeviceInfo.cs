using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>What the driver says of a GPU.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Capability">Its compute capability: 10·major + minor, so 90 for an H200.</param>
/// <param name="Multiprocessors">Its multiprocessors.</param>
/// <param name="MemoryBytes">Its memory.</param>
/// <param name="SharedBytes">Shared memory that a block may have when it asks.</param>
public sealed record CudaDeviceInfo(string Name, int Capability, int Multiprocessors, long MemoryBytes, int SharedBytes)
{
    /// <summary>The device of this number.</summary>
    /// <exception cref="CudaException">There is none, or no driver.</exception>
    public static unsafe CudaDeviceInfo Of(int ordinal)
    {
        _ = Cuda.Devices;
        int device;
        nuint bytes;
        var name = stackalloc byte[256];
        Cuda.Check(cuDeviceGet(&device, ordinal));
        Cuda.Check(cuDeviceGetName(name, 256, device));
        Cuda.Check(cuDeviceTotalMem_v2(&bytes, device));
        return new CudaDeviceInfo(
            Cuda.Text(name), 10 * Attribute(device, ComputeMajor) + Attribute(device, ComputeMinor), Attribute(device, MultiprocessorCount), (long)bytes,
            Math.Max(Attribute(device, MaxSharedPerBlock), Attribute(device, MaxSharedPerBlockOptIn)));
    }

    private static unsafe int Attribute(int device, int which)
    {
        int value;
        Cuda.Check(cuDeviceGetAttribute(&value, which, device));
        return value;
    }
}
