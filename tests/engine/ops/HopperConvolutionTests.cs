using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>The test that decides on a GPU whether wgmma is used. It needs no such GPU: kernels that are right pass it, others do not.</summary>
public class HopperConvolutionTests
{
    [Theory, OnEachDevice]
    public void Kernels_that_are_right_pass(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu) return; // a CPU has no kernels to choose between
        foreach (var type in new[] { DType.BF16, DType.F16 })
            Assert.Equal((true, "a test on this GPU found it right"), Of(HopperConvolution.Test(gpu, type, MmaKernels.Warps)));
    }

    /// <summary>Forward in the place of the data gradient: most of that stays as it was found.</summary>
    [Theory, OnEachDevice]
    public void Kernels_that_are_wrong_do_not(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu) return;
        var (use, why) = Of(HopperConvolution.Test(gpu, DType.BF16, MmaKernels.Warps with { Data = MmaKernels.Warps.Forward }));
        Assert.False(use);
        Assert.Contains("wgmma's data gradient is off by", why, StringComparison.Ordinal);
    }

    /// <summary>Kernels that the compiler of this device does not know are not used, and nothing else suffers.</summary>
    [Theory, OnEachDevice]
    public void Kernels_that_do_not_compile_are_not_used(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu || gpu.Description.Capability >= 90) return;
        var (use, why) = Of(HopperConvolution.Test(gpu, DType.BF16, MmaKernels.Warpgroups));
        Assert.False(use);
        Assert.Contains("wgmma could not be tried", why, StringComparison.Ordinal);
        Assert.False(HopperConvolution.IsChosen(gpu, DType.BF16));
        Assert.Contains("mma.sync: wgmma needs compute capability 9.0", HopperConvolution.Describe(gpu), StringComparison.Ordinal);
    }

    private static (bool Use, string Why) Of(HopperConvolution.Choice choice) => (choice.Use, choice.Why);
}
