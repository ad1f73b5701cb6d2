using System.Reflection;
using Plip.Engine;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace Plip.Tests;

/// <summary>
/// Runs a theory once for every device and, where shapes are given ("3x7"), for each of them. The method takes a device
/// name (open it with <see cref="Devices.Open"/>), with shapes an int[], and with <see cref="In16Bits"/> a type. A device that is missing is reported as skipped.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OnEachDeviceAttribute(params string[] shapes) : DataAttribute
{
    /// <summary>For what only the CPU device has.</summary>
    public bool CpuOnly { get; set; }

    /// <summary>
    /// Once in BF16 and once in F16. F16 not on "cuda-exact": what a kernel reads and writes is what it does in BF16, and each type is another compilation.
    /// </summary>
    public bool In16Bits { get; set; }

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker)
    {
        var rows = new List<ITheoryDataRow>();
        foreach (var device in CpuOnly ? Devices.Cpu : [.. Devices.Cpu, .. Devices.Cuda])
        {
            object[][] cases = shapes.Length == 0 ? [[device]] : [.. shapes.Select(s => (object[])[device, s.Split('x').Select(int.Parse).ToArray()])];
            foreach (var c in cases)
            {
                if (!In16Bits) rows.Add(new TheoryDataRow(c));
                else foreach (var type in device == "cuda-exact" ? (DType[])[DType.BF16] : [DType.BF16, DType.F16]) rows.Add(new TheoryDataRow([.. c, type]));
            }
        }
        return ValueTask.FromResult<IReadOnlyCollection<ITheoryDataRow>>(rows);
    }

    public override bool SupportsDiscoveryEnumeration() => true;
}

/// <summary>The devices tests run on.</summary>
public static class Devices
{
    /// <summary>Several threads and one, and each width of vectors: the same tests must pass on all.</summary>
    public static readonly string[] Cpu = ["cpu", "cpu-1", "cpu-256", "cpu-128"];

    /// <summary>
    /// CUDA, on the machine's GPU or the emulator. "cuda-exact" gives each tensor memory of its own, so that the emulator sees a kernel that
    /// reads or writes past its end.
    /// </summary>
    public static readonly string[] Cuda = ["cuda", "cuda-exact"];

    public static Device Open(string name) => name switch
    {
        "cpu" => new CpuDevice(3),
        "cpu-1" => new CpuDevice(1),
        "cpu-256" => OfWidth(256),
        "cpu-128" => OfWidth(128),
        "cuda" => CudaTest.Open(),
        "cuda-exact" => CudaTest.Open(pooled: false),
        _ => throw new ArgumentException($"unknown device {name}"),
    };

    private static CpuDevice OfWidth(int bits)
    {
        Assert.SkipUnless(CpuDevice.WidestVector >= bits, $"this machine's vectors have {CpuDevice.WidestVector} bits");
        return new CpuDevice(2, bits);
    }
}
