using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Plip.Engine;
using Plip.Evaluation;

namespace Plip.Tool;

/// <summary>The machine, for reports: a figure without it cannot be compared.</summary>
internal static class MachineInfo
{
    public static int VectorBits =>
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : Vector128.IsHardwareAccelerated ? 128 : 64;

    public static IReadOnlyList<NamedValue> Describe(Device device) =>
    [
        new("system", $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.OSArchitecture}"),
        new("processor", $"{ProcessorName()}, {Environment.ProcessorCount} cores{(device is CpuDevice cpu ? $", {cpu.Threads} threads used" : "")}"),
        .. device is CudaDevice gpu ? (ReadOnlySpan<NamedValue>)[new("gpu", gpu.Description.Name)] : [],
        new("vectors", $"{VectorBits} bits"),
        new("runtime", RuntimeInformation.FrameworkDescription),
        new("memory", string.Create(CultureInfo.InvariantCulture, $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30):0.0} GiB")),
    ];

    private static string ProcessorName()
    {
        const string info = "/proc/cpuinfo";
        if (!File.Exists(info)) return RuntimeInformation.ProcessArchitecture.ToString();
        var line = File.ReadLines(info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal));
        return line == null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}
