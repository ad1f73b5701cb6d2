using Plip.Configs;
using Plip.Engine;
using Plip.Tests.Model;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>What can be wrong with a GPU, its driver and its libraries: the program says it once, clearly, and what a run had saved stays.</summary>
public sealed class CudaFaultTests(TinyPlip plip) : IClassFixture<TinyPlip>
{
    private const int Steps = 40; // a run that no fault stops would take longer than a test may

    [Theory]
    [InlineData("no-gpu", "no CUDA device can be used: the driver finds none; use the CPU device")]
    [InlineData("hidden-gpu", "no CUDA device can be used: the driver finds none (CUDA_VISIBLE_DEVICES may hide them)")]
    [InlineData("old-driver", "the driver is of CUDA 11.2, and 11.4 is the oldest that will do; update NVIDIA's driver")]
    [InlineData("old-compiler", "makes no code for this GPU (compute capability 8.0); install the NVRTC of a newer CUDA")]
    [InlineData("new-compiler", "; update NVIDIA's driver or install an NVRTC no newer than it")]
    [InlineData("broken-cublas", "cublasLtCreate")]
    [InlineData("memory", "the GPU's memory is full: ")]
    public void What_is_wrong_from_the_start_is_one_clear_error(string fault, string says)
    {
        var folder = plip.NewFolder();
        var run = FaultyDriver.Run(fault, null, Pretrain(folder));
        OneError(run, says);
        Assert.False(Directory.Exists(Path.Combine(folder, "checkpoints")), "a run that never began left checkpoints");
    }

    [Fact]
    public void A_missing_library_is_named_with_what_was_tried()
    {
        Assert.SkipUnless(CudaTest.IsEmulator, "this machine has a GPU");
        var absent = Path.Combine(plip.Root, "libabsent.so");
        OneError(FaultyDriver.Run(null, null, new Dictionary<string, string> { ["PLIP_CUDA_EMULATOR"] = absent }, Pretrain(plip.NewFolder())), $"cuda: {absent}: not there");
        // Without the emulator: the machine has no driver.
        OneError(FaultyDriver.Run(null, null, new Dictionary<string, string> { ["PLIP_CUDA"] = "auto" }, Pretrain(plip.NewFolder())), "libcuda.so.1 by the system's loader: not there");
    }

    [Fact]
    public void A_kernel_that_does_not_compile_shows_its_line()
    {
        var folder = Path.Combine(plip.NewFolder(), "kernels");
        var kernels = FaultyDriver.InRepository("kernels/common");
        Directory.CreateDirectory(Path.Combine(folder, "common"));
        foreach (var f in Directory.GetFiles(kernels)) File.Copy(f, Path.Combine(folder, "common", Path.GetFileName(f)));
        foreach (var f in Directory.GetFiles(Path.GetDirectoryName(kernels)!, "*.cu")) File.Copy(f, Path.Combine(folder, Path.GetFileName(f)));
        var broken = Path.Combine(folder, "elementwise.cu");
        File.WriteAllText(broken, File.ReadAllText(broken) + "\n__device__ int unheard() { return of_this; }\n");
        var run = FaultyDriver.Run(null, null, new Dictionary<string, string> { ["PLIP_KERNELS"] = folder }, Pretrain(plip.NewFolder()));
        OneError(run, "kernels/elementwise.cu does not compile with", "> __device__ int unheard() { return of_this; }");
    }

    [Theory]
    [InlineData("kernel", "CUDA_ERROR_ILLEGAL_ADDRESS", ": grid (", "PLIP_CUDA_SYNC=1")] // a replayed graph's first and last launch, and how to know more
    [InlineData("lost", "CUDA error 214", "the GPU is lost; end the process", "")]
    public void A_run_that_loses_its_GPU_says_so_once_and_goes_on_from_its_last_checkpoint(string fault, string code, string says, string and)
    {
        var folder = plip.NewFolder();
        OneError(FaultyDriver.Run(fault, Path.Combine(folder, "checkpoints", "last", "step-00000002.safetensors"), Pretrain(folder)), code, says, and);
        foreach (var kind in new[] { "best", "last" })
            using (var file = Checkpoint.Open(Path.Combine(folder, "checkpoints", kind), w => Assert.Fail(w))) Assert.InRange(file.Step, 1, Steps - 1);
        long next;
        using (var last = Checkpoint.Open(Path.Combine(folder, "checkpoints", "last"))) next = last.Step + 1;
        Train(folder, next, resume: true);
        var whole = plip.NewFolder();
        Train(whole, next, resume: false);
        Assert.Equal(TinyPlip.Fingerprint(whole), TinyPlip.Fingerprint(folder));
    }

    [Fact]
    public void Waiting_for_each_kernel_names_the_one_that_failed()
    {
        var folder = plip.NewFolder();
        var run = FaultyDriver.Run(
            "kernel", Path.Combine(folder, "checkpoints", "last", "step-00000002.safetensors"), new Dictionary<string, string> { ["PLIP_CUDA_SYNC"] = "1" }, Pretrain(folder));
        OneError(run, "CUDA_ERROR_ILLEGAL_ADDRESS", "look at this kernel's bounds and arguments:\n", ": grid (", "; arguments (");
        Assert.DoesNotContain("graph", run.Error, StringComparison.Ordinal);
    }

    private void Train(string folder, long until, bool resume)
    {
        using var device = CudaTest.Open();
        using var trainer = plip.Trainer(device, Config(), folder, resume);
        trainer.Run(until);
    }

    private static PlipConfig Config()
    {
        var config = TinyPlip.Config();
        return config with { Training = config.Training with { Steps = Steps, BatchSize = 4, ValidateEvery = 1 } };
    }

    private string[] Pretrain(string folder)
    {
        var path = Path.Combine(plip.Root, "faults.json");
        File.WriteAllText(path, ConfigFile.ToJson(Config()));
        return ["pretrain", "--config", path, "--data", plip.World, "--out", folder, "--device", "cuda", "--threads", "1"];
    }

    /// <summary>Exit status 1, one error, no trace of the stack.</summary>
    private static void OneError((int Code, string Out, string Error) run, params string[] says)
    {
        Assert.True(run.Code == 1, $"exit status {run.Code}\n{run.Out}\n{run.Error}");
        Assert.All(says, s => Assert.Contains(s, run.Error, StringComparison.Ordinal));
        Assert.Single(run.Error.Split('\n'), l => l.StartsWith("plip: ", StringComparison.Ordinal));
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
    }
}
