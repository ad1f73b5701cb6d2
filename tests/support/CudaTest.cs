using Plip.Engine;
using Xunit;

namespace Plip.Tests;

/// <summary>
/// A CUDA device for tests: the machine's GPU where there is one, else the emulator. A test that finds neither is skipped.
/// The emulator is looked for in PLIP_CUDA_EMULATOR, beside the tests, and where kernels/emulator/build.sh leaves it.
/// </summary>
public static class CudaTest
{
    private const string File = "libcuda_emulator.so";

    private static readonly Lazy<string?> s_missing = new(Prepare);

    /// <summary>Compiled kernels of test runs: kept from run to run, apart from the user's.</summary>
    private static string Cache => Path.Combine(Path.GetTempPath(), "plip-tests-kernels");

    /// <summary>Opens it, or skips the test.</summary>
    public static CudaDevice Open(long memoryLimit = 0, bool pooled = true, string? cacheFolder = null)
    {
        Assert.SkipWhen(s_missing.Value != null, s_missing.Value ?? "");
        return new CudaDevice(0, memoryLimit, pooled, cacheFolder ?? Cache);
    }

    /// <summary>Whether kernels run on the emulator; the test is skipped when there is no CUDA at all.</summary>
    public static bool IsEmulator
    {
        get
        {
            Assert.SkipWhen(s_missing.Value != null, s_missing.Value ?? "");
            return CudaLibraries.Current.IsEmulator;
        }
    }

    /// <summary>Chooses for the whole process, before the engine looks for its libraries; what is missing, or null.</summary>
    private static string? Prepare()
    {
        if (Environment.GetEnvironmentVariable("PLIP_CUDA") is not { Length: > 0 })
        {
            var emulator = FindEmulator();
            if (emulator != null && !System.IO.File.Exists("/dev/nvidiactl"))
            {
                Environment.SetEnvironmentVariable("PLIP_CUDA", "emulator");
                Environment.SetEnvironmentVariable("PLIP_CUDA_EMULATOR", emulator);
            }
        }
        return Cuda.IsAvailable(out var why) ? null : $"neither a GPU nor the CUDA emulator (kernels/emulator/build.sh builds it): {why}";
    }

    private static string? FindEmulator()
    {
        if (Environment.GetEnvironmentVariable("PLIP_CUDA_EMULATOR") is { Length: > 0 } given) return given;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
            foreach (var place in (string[])["", "kernels/emulator", "kernels/emulator/build", "out/emulator"])
            {
                var file = Path.Combine(folder.FullName, place, File);
                if (System.IO.File.Exists(file)) return file;
            }
        return null;
    }
}
