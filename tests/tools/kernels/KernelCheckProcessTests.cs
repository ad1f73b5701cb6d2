using System.Diagnostics;
using Plip.Engine;
using Plip.Tool;
using Xunit;

namespace Plip.Tests.Tools;

/// <summary>Bad kernels in a process of its own, in check mode: what the pool handed out is all that a kernel may touch.</summary>
public sealed class KernelCheckProcessTests
{
    private const string Case = "sum 10007";

    [Theory]
    [InlineData("", "")]
    [InlineData("if (i < count) sum += to_float(x[i])=>if (i <= count) sum += to_float(x[i])", "global memory: read out of bounds: kernel sum_blocks, reduce.cu:")]
    [InlineData("if (threadIdx.x == 0) partial[blockIdx.x] = sum;=>", "global memory: read of uninitialised bytes: kernel sum_all, reduce.cu:")]
    [InlineData("*y = (float)(sum * scale)=>*y = (float)(sum * scale * 1.01)", "wrong: its result differs")]
    public void A_kernel_that_leaves_its_tensors_is_reported(string change, string report)
    {
        Assert.SkipUnless(CudaTest.IsEmulator, "the kernels run on a GPU here, and check mode is the emulator's");
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "common"));
            var sources = KernelSources.Load();
            foreach (var (name, text) in sources.Headers) File.WriteAllText(Path.Combine(folder, "common", name), text);
            var good = sources.Text("reduce");
            var parts = change.Split("=>");
            var bad = change.Length == 0 ? good : good.Replace(parts[0], parts[1], StringComparison.Ordinal);
            Assert.Equal(change.Length == 0, bad == good);
            File.WriteAllText(Path.Combine(folder, "elementwise.cu"), sources.Text("elementwise"));
            File.WriteAllText(Path.Combine(folder, "reduce.cu"), bad);
            var run = Run(folder);
            Assert.Equal(Case, run.Name);
            if (report.Length == 0) Assert.Equal("", run.Problem);
            else Assert.Contains(report, run.Problem, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static CaseRun Run(string kernels)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var a in (string[])[Path.Combine(AppContext.BaseDirectory, "plip.dll"), "kernels", "run", "--case", KernelsRunCommand.Name(Case, DType.F32)]) start.ArgumentList.Add(a);
        start.Environment["PLIP_CUDA"] = "emulator";
        start.Environment["PLIP_CUDA_EMULATOR"] = CudaLibraries.Current.Require(CudaLibraries.Driver).File;
        start.Environment["PLIP_EMULATOR"] = "check,strict,random=1";
        start.Environment["PLIP_KERNELS"] = kernels;
        start.Environment["PLIP_CACHE"] = Path.Combine(kernels, "cache");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return CaseRun.Parse(said.TrimEnd('\n')) ?? throw new InvalidOperationException($"plip kernels run said \"{said}\" and \"{errors.GetAwaiter().GetResult()}\"");
    }
}
