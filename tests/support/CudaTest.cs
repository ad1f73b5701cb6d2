using System.ComponentModel;
using System.Diagnostics;
using Plip.Engine;
using Xunit;

namespace Plip.Tests;

/// <summary>
/// A CUDA device for tests: the machine's GPU where there is one, else the emulator. A test that finds neither is skipped.
/// The emulator is the one that PLIP_CUDA_EMULATOR names, or lies beside the tests, or is built by kernels/emulator/build.sh.
/// </summary>
public static class CudaTest
{
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
        if (Environment.GetEnvironmentVariable("PLIP_CUDA") is not { Length: > 0 } && !File.Exists("/dev/nvidiactl"))
        {
            var emulator = FindEmulator(out var reason);
            if (emulator == null) return $"there is no GPU, and no CUDA emulator: {reason}";
            Environment.SetEnvironmentVariable("PLIP_CUDA", "emulator");
            Environment.SetEnvironmentVariable("PLIP_CUDA_EMULATOR", emulator);
        }
        return Cuda.IsAvailable(out var why) ? null : why;
    }

    private static string? FindEmulator(out string reason)
    {
        reason = "";
        if (Environment.GetEnvironmentVariable("PLIP_CUDA_EMULATOR") is { Length: > 0 } given) return given;
        var beside = Path.Combine(AppContext.BaseDirectory, "libcuda_emulator.so");
        if (File.Exists(beside)) return beside;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            var script = Path.Combine(folder.FullName, "kernels", "emulator", "build.sh");
            if (File.Exists(script)) return Build(script, Path.Combine(folder.FullName, "out", "emulator"), out reason);
        }
        reason = "kernels/emulator/build.sh, which makes it, is not above the tests' folder; name a built one in PLIP_CUDA_EMULATOR";
        return null;
    }

    /// <summary>Makes it with g++: some seconds the first time, nothing when it is newer than its sources.</summary>
    private static string? Build(string script, string folder, out string reason)
    {
        try
        {
            using var build = Process.Start(new ProcessStartInfo("sh", [script, folder]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var said = build.StandardError.ReadToEndAsync();
            var file = build.StandardOutput.ReadToEnd().Trim();
            build.WaitForExit();
            reason = said.GetAwaiter().GetResult().Trim();
            return build.ExitCode == 0 ? file : null;
        }
        catch (Win32Exception e)
        {
            reason = e.Message;
            return null;
        }
    }
}
