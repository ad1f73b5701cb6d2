using System.Globalization;

namespace Plip.Engine;

/// <summary>What this machine has of CUDA, in lines for people.</summary>
public static class CudaReport
{
    /// <summary>A heading and what there is to say, in order. Nothing is thrown for what is missing.</summary>
    public static IReadOnlyList<(string What, string Value)> Lines()
    {
        var lines = new List<(string, string)>();
        var libraries = CudaLibraries.Current;
        if (!Cuda.IsAvailable(out var why))
        {
            lines.Add(("gpu", $"no GPU; the CPU device is used ({why})"));
            Trace(lines, libraries);
            return lines;
        }
        if (libraries.IsEmulator) lines.Add(("gpu", "emulated on the CPU (PLIP_CUDA=emulator): for tests and for learning, not for speed"));
        lines.Add(("cuda driver", $"CUDA {Cuda.Version(Cuda.DriverVersion)}, {libraries.Require(CudaLibraries.Driver).File}"));
        for (var i = 0; i < Cuda.Devices; i++)
        {
            var d = CudaDeviceInfo.Of(i);
            lines.Add(($"gpu {i}", string.Create(CultureInfo.InvariantCulture,
                $"{d.Name}, compute capability {d.Capability / 10}.{d.Capability % 10}, {d.Multiprocessors} multiprocessors, {d.MemoryBytes / (double)(1 << 30):0.0} GiB, {d.SharedBytes >> 10} KiB shared memory a block")));
            if (!libraries.IsEmulator) lines.Add(("", Convolutions(i)));
        }
        Library(lines, libraries, CudaLibraries.Nvrtc, () => $"{Cuda.CompilerVersion.Major}.{Cuda.CompilerVersion.Minor}");
        Library(lines, libraries, CudaLibraries.CublasLt, () => Cuda.CublasLtVersion.ToString(CultureInfo.InvariantCulture));
        var cache = new KernelCache();
        var (files, bytes) = cache.Size;
        lines.Add(("kernel cache", string.Create(CultureInfo.InvariantCulture, $"{cache.Folder}, {files} kernels, {bytes / (double)(1 << 20):0.0} MiB (PLIP_CACHE moves it)")));
        Trace(lines, libraries);
        return lines;
    }

    /// <summary>Which kernels a GPU takes where there is a choice: the first question of whoever wonders about its speed.</summary>
    private static string Convolutions(int ordinal)
    {
        try
        {
            using var gpu = new CudaDevice(ordinal);
            return HopperConvolution.Describe(gpu);
        }
        catch (Exception e) when (e is CudaException or ArgumentException)
        {
            return $"convolutions: {e.Message}";
        }
    }

    private static void Library(List<(string, string)> lines, CudaLibraries libraries, string name, Func<string> version)
    {
        var found = libraries.Find(name);
        lines.Add((name, found == null ? "not there: ops that need it will say how to get it" : $"{version()}, {found.File}"));
    }

    private static void Trace(List<(string, string)> lines, CudaLibraries libraries)
    {
        foreach (var tried in libraries.Trace) lines.Add(("  tried", tried));
    }
}
