using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json.Serialization;

namespace Plip.Bench;

/// <summary>The machine and its two limits. A time without them cannot be compared.</summary>
/// <param name="CpuModel">As the system names it.</param>
/// <param name="LogicalCores">Cores the process sees.</param>
/// <param name="Threads">Threads used, by ours, by the peers and by the two measurements.</param>
/// <param name="PeakGflops">F32 multiply-adds from registers, two operations each.</param>
/// <param name="BandwidthGbs">The better of copy and triad, bytes read plus written, in 10⁹ a second.</param>
/// <param name="CopyGbs">y = x.</param>
/// <param name="TriadGbs">z = x + s·y.</param>
/// <param name="Date">UTC day of the run.</param>
/// <param name="VectorBits">Width of the vectors that .NET uses here.</param>
/// <param name="Dotnet">Runtime.</param>
/// <param name="Libtorch">Version of LibTorch; null in a run without it.</param>
internal sealed record Machine(
    string CpuModel, int LogicalCores, int Threads, double PeakGflops, double BandwidthGbs, double CopyGbs, double TriadGbs,
    string Date, int VectorBits, string Dotnet, string? Libtorch)
{
    /// <summary>The GPU that was measured; null in a run on the CPU. The peak is then of BF16 products, the bandwidth that of a copy within its memory.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public GpuInfo? Gpu { get; init; }

    public static Machine Measure(int threads, PeerRegistry peers)
    {
        var peak = FmaPeak.Gflops(threads);
        var (copy, triad) = Bandwidth.Gbs(threads);
        return new Machine(
            CpuName(), Environment.ProcessorCount, threads, peak, Math.Max(copy, triad), copy, triad, Today, Bits, RuntimeInformation.FrameworkDescription,
            peers.Versions.GetValueOrDefault("libtorch"));
    }

    /// <summary>The machine of a GPU, by what <see cref="GpuPeak"/> measured.</summary>
    public static Machine Of(GpuInfo gpu, double peakGflops, double copyGbs) => new(
        CpuName(), Environment.ProcessorCount, 1, peakGflops, copyGbs, copyGbs, 0, Today, Bits, RuntimeInformation.FrameworkDescription, null)
    { Gpu = gpu };

    /// <summary>The least time the work can take here, in milliseconds.</summary>
    public double FloorMs(double flops, double bytes) => Floor.Milliseconds(flops, bytes, PeakGflops, BandwidthGbs);

    public string Describe() => Gpu != null ? Gpu.Describe(this) : string.Create(CultureInfo.InvariantCulture,
        $"{CpuModel}, {LogicalCores} logical cores, {Threads} threads, {VectorBits}-bit vectors, {Dotnet}{(Libtorch == null ? "" : $", LibTorch {Libtorch}")}\nFMA peak {PeakGflops:0.0} GFLOP/s; copy {CopyGbs:0.0} GB/s, triad {TriadGbs:0.0} GB/s");

    private static string Today => DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    private static int Bits =>
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : Vector128.IsHardwareAccelerated ? 128 : 64;

    private static string CpuName()
    {
        const string info = "/proc/cpuinfo";
        if (!File.Exists(info)) return RuntimeInformation.ProcessArchitecture.ToString();
        string? Field(string name) => File.ReadLines(info).FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) is { } line
            ? line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() : null;
        // Virtual machines often hide the name's number; family and model still tell the generation.
        return $"{Field("model name") ?? RuntimeInformation.ProcessArchitecture.ToString()} (family {Field("cpu family")}, model {Field("model\t")})";
    }
}
