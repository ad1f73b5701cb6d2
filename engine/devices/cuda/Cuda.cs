using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>The driver as a whole: opened once, and the meaning of its results.</summary>
public static unsafe class Cuda
{
    /// <summary>CUDA 11.4: graphs are instantiated with flags since.</summary>
    private const int OldestDriver = 11040;

    private static readonly Lock s_gate = new();
    private static int s_devices = -1;

    /// <summary>
    /// Whether there is a device to open. When there is none, <paramref name="why"/> says so in a sentence; nothing is thrown
    /// for a machine that merely has no GPU.
    /// </summary>
    public static bool IsAvailable(out string why)
    {
        try
        {
            why = $"{Devices} device{(Devices == 1 ? "" : "s")}";
            return true;
        }
        catch (CudaException e)
        {
            why = e.Message.Split('\n')[0];
            return false;
        }
    }

    /// <summary>Devices that this process may use, one at least.</summary>
    /// <exception cref="CudaLibraryException">There is no driver.</exception>
    /// <exception cref="CudaVersionException">The driver is too old.</exception>
    /// <exception cref="CudaNoDeviceException">There is no device.</exception>
    public static int Devices
    {
        get
        {
            lock (s_gate)
            {
                if (s_devices >= 0) return s_devices;
                CudaLibraries.Current.Require(CudaLibraries.Driver);
                var result = cuInit(0);
                if (result != Success) throw new CudaNoDeviceException(result == NoDevice ? "the driver finds none" : $"the driver does not start ({Describe(result)})", result);
                var version = DriverVersion;
                if (version < OldestDriver)
                    throw new CudaVersionException($"the driver is of CUDA {Version(version)}, and 11.4 is the oldest that will do; update NVIDIA's driver");
                CudaLibraries.Current.DriverMajor = version / 1000;
                int count;
                Check(cuDeviceGetCount(&count));
                if (count == 0) throw new CudaNoDeviceException("the driver finds none (CUDA_VISIBLE_DEVICES may hide them)");
                return s_devices = count;
            }
        }
    }

    /// <summary>The newest CUDA the driver knows: 1000·major + 10·minor.</summary>
    public static int DriverVersion
    {
        get
        {
            int version;
            Check(cuDriverGetVersion(&version));
            return version;
        }
    }

    /// <summary>NVRTC's version, major and minor.</summary>
    /// <exception cref="CudaLibraryException">It is nowhere.</exception>
    public static (int Major, int Minor) CompilerVersion
    {
        get
        {
            int major, minor;
            var result = NvrtcApi.nvrtcVersion(&major, &minor);
            return result == 0 ? (major, minor) : throw new CudaException($"NVRTC does not give its version (nvrtcResult {result}); reinstall it", result);
        }
    }

    /// <summary>cuBLASLt's version: 10000·major + 100·minor + patch, less for CUDA 11.</summary>
    /// <exception cref="CudaLibraryException">It is nowhere.</exception>
    public static long CublasLtVersion => (long)CublasLtApi.cublasLtGetVersion();

    internal static string Version(int version) => string.Create(CultureInfo.InvariantCulture, $"{version / 1000}.{version % 1000 / 10}");

    /// <summary>Throws when a call did not succeed. A kernel's error shows at any later call: the thread's device tells what it had launched.</summary>
    internal static void Check(int result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != Success) throw CudaDevice.Entered is { } device ? device.Failed(result, call) : Error(result, call, null);
    }

    /// <summary>The exception for a result; <paramref name="launches"/> tells what ran before it, when kernels did.</summary>
    internal static CudaException Error(int result, string call, string? launches)
    {
        var end = call.IndexOf('(', StringComparison.Ordinal);
        var what = $"{(end < 0 ? call : call[..end])}: {Describe(result)}";
        if (IsLost(result))
            return new CudaDeviceLostException($"{what}: the GPU is lost; end the process, look at the driver's log (dmesg, nvidia-smi), and resume from the last checkpoint", result);
        if (IsOfAKernel(result))
            return new CudaLaunchException($"{what}{launches}", result);
        return new CudaException($"{what}; this is a mistake of the engine: report it with this message", result);
    }

    /// <summary>The result's name and what the driver says it means, with the emulator's report where it has one.</summary>
    internal static string Describe(int result)
    {
        byte* name = null, text = null;
        _ = cuGetErrorName(result, &name);
        _ = cuGetErrorString(result, &text);
        var said = $"{(name == null ? $"CUDA error {result}" : Text(name))}{(text == null ? "" : $" ({Text(text)})")}";
        if (!CudaLibraries.Current.IsEmulator || !IsOfAKernel(result)) return said;
        var report = Text(cuEmulatorLastReport());
        return report.Length == 0 ? said : $"{said}\n  {report.ReplaceLineEndings("\n  ")}\n";
    }

    internal static string Text(byte* utf8) => utf8 == null ? "" : Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(utf8));

    /// <summary>Exceptions of running kernels: illegal address or instruction, misalignment, assertion, timeout, an unspecified failure.</summary>
    internal static bool IsOfAKernel(int result) => result is 700 or 702 or 710 or 713 or 714 or 715 or 716 or 717 or 718 or 719;

    /// <summary>ECC and NVLink errors, a device that is unavailable or not ready, a driver that was shut down, and what the driver has no name for.</summary>
    private static bool IsLost(int result) => result is 4 or 46 or 214 or 220 or 709 or 802 or 999;
}
