namespace Plip.Engine;

/// <summary>Something of CUDA failed. Each kind says in one sentence what to do.</summary>
public class CudaException(string message, int code = 0) : Exception(message)
{
    /// <summary>The CUresult, nvrtcResult or cublasStatus_t, 0 where none was given.</summary>
    public int Code { get; } = code;
}

/// <summary>There is no GPU that this process may use.</summary>
public sealed class CudaNoDeviceException(string why, int code = 0) : CudaException(
    $"no CUDA device can be used: {why}; use the CPU device, or PLIP_CUDA=emulator to run CUDA kernels without a GPU", code);

/// <summary>The driver, or a library beside it, is of a version that will not do.</summary>
public sealed class CudaVersionException(string message, int code = 0) : CudaException(message, code);

/// <summary>A CUDA library is nowhere on this machine.</summary>
public sealed class CudaLibraryException : CudaException
{
    internal CudaLibraryException(string library, string mode, IReadOnlyList<string> trace)
        : base($"{Advice(library, mode)}\nWhat was tried:{string.Concat(trace.Select(t => "\n  " + t))}") =>
        Library = library;

    /// <summary>"cuda", "nvrtc" or "cublasLt".</summary>
    public string Library { get; }

    private static string Advice(string library, string mode) => (mode, library) switch
    {
        ("off", _) => $"{library} is not looked for because PLIP_CUDA is off; unset it to use a GPU",
        ("emulator", _) => "the CUDA emulator was not found; build it with kernels/emulator/build.sh and name it in PLIP_CUDA_EMULATOR",
        (_, CudaLibraries.Driver) => "the CUDA driver was not found; install NVIDIA's driver, or set PLIP_CUDA=emulator to run without a GPU",
        (_, CudaLibraries.Nvrtc) => "NVRTC, CUDA's run-time compiler, was not found; install it (libnvrtc of CUDA 11, 12 or 13) or name a toolkit in CUDA_PATH",
        _ => "cuBLASLt was not found; install it (libcublasLt of CUDA 11, 12 or 13) or name a toolkit in CUDA_PATH",
    };
}

/// <summary>A kernel's source did not compile.</summary>
public sealed class CudaCompileException(string message, string log, int code) : CudaException(message, code)
{
    /// <summary>All that the compiler said.</summary>
    public string Log { get; } = log;
}

/// <summary>The GPU's memory is full.</summary>
public sealed class CudaOutOfMemoryException(string message) : CudaException(message, DriverApi.OutOfMemory);

/// <summary>A kernel failed while it ran. The device's context is lost with it: every later call fails alike until the process ends.</summary>
public sealed class CudaLaunchException(string message, int code) : CudaException(message, code);

/// <summary>The GPU itself is gone: a hardware error, a reset, or a driver that was unloaded.</summary>
public sealed class CudaDeviceLostException(string message, int code) : CudaException(message, code);
