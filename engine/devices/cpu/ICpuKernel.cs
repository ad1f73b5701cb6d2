namespace Plip.Engine;

/// <summary>
/// The arithmetic of an op on the CPU, written once and compiled for each vector width and storage type: the CPU's twin of a
/// CUDA kernel. <c>device.Run(type, cpu: new AddKernel(y, a, b))</c> launches it.
/// </summary>
internal interface ICpuKernel
{
    /// <summary>What it must cost, for the profiler.</summary>
    Work Work { get; }

    /// <summary>Runs it.</summary>
    /// <typeparam name="V">The device's vectors.</typeparam>
    /// <typeparam name="T">How activations are stored; statistics and parameters that are vectors stay F32.</typeparam>
    void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>;
}
