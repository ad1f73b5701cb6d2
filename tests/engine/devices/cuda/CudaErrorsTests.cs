using System.Diagnostics;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>
/// A kernel that fails takes the process's CUDA with it, so each of these fails in a process of its own: the explicit
/// test below, run by the one above it.
/// </summary>
public sealed class CudaErrorsTests
{
    private const string Faults = """
        #include "types.cuh"
        extern "C" __global__ void fine(float* y, int n) { y[threadIdx.x] = n; }
        extern "C" __global__ void writes_nowhere(float* y, float* nowhere, i64 at) { nowhere[at] = y[0]; }
        """;

    [Fact]
    public void A_failing_kernel_is_named_with_its_launch_and_arguments()
    {
        Assert.SkipUnless(CudaTest.IsEmulator || Cuda.Devices > 0, "no CUDA");
        var method = $"{typeof(CudaErrorsTests).FullName}.{nameof(Fails_in_a_process_of_its_own)}";
        var tests = Path.Combine(AppContext.BaseDirectory, "PLIP.Tests.dll");
        var host = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        using var child = Process.Start(new ProcessStartInfo(host, [tests, "-method", method, "-explicit", "only", "-noColor"])
        {
            RedirectStandardOutput = true,
        })!;
        var output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.True(child.ExitCode == 0, output);
        Assert.Contains("Total: 1,", output, StringComparison.Ordinal);
        Assert.Contains("Failed: 0,", output, StringComparison.Ordinal);
    }

    [Fact(Explicit = true)]
    public void Fails_in_a_process_of_its_own()
    {
        using var d = CudaTest.Open();
        d.Sources.Add("faults", Faults);
        var y = Tensor.Zeros(d, new(2, 16));
        var error = Assert.ThrowsAny<CudaException>(() =>
        {
            using var step = d.BeginStep();
            Tensor.Zeros(d, new(5));
            d.Launch("faults", "fine", [], Launch.Grid(1).Of(32), y, 3);
            d.Synchronize();
            d.Launch("faults", "writes_nowhere", [], Launch.Grid(2).Of(32), y, (Tensor?)null, 1L << 20);
            y.ToArray();
        });
        Assert.IsType<CudaLaunchException>(error);
        Assert.Contains("look at this kernel's bounds and arguments", error.Message, StringComparison.Ordinal);
        Assert.Contains("writes_nowhere: grid (2, 1, 1), block (32, 1, 1), 0 bytes shared; arguments (F32 (2, 16), null, 1048576)", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("fine: grid", error.Message, StringComparison.Ordinal);
        // Whatever comes next fails alike, and says what it was.
        var again = Assert.Throws<CudaLaunchException>(() => Ops.Add(y, y));
        Assert.StartsWith("this device's context was lost by an earlier error: end the process", again.Message, StringComparison.Ordinal);
        Assert.Contains("writes_nowhere", again.Message, StringComparison.Ordinal);
    }
}
