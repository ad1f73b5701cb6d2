namespace Plip.Engine;

/// <summary>The arithmetic of an op on a GPU: which kernel of kernels/*.cu is launched, and how.</summary>
internal interface ICudaKernel
{
    /// <summary>What it must cost, for the profiler.</summary>
    Work Work { get; }

    /// <summary>Launches it; returns before it ran.</summary>
    /// <param name="gpu">The device its tensors live on.</param>
    /// <param name="type">How activations are stored; statistics and parameters that are vectors stay F32.</param>
    void Run(CudaDevice gpu, DType type);
}

/// <summary>An op's arithmetic on every device: a page's one struct, handed to <see cref="Device.Run{TKernel}(DType, TKernel)"/>.</summary>
internal interface IKernel : ICpuKernel, ICudaKernel;
