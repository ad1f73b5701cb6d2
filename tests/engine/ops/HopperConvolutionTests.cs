using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>
/// Hopper's convolutions, and the test that decides on a GPU whether they are used. The emulator has wgmma, mbarriers and TMA as the PTX ISA describes them; that a GPU
/// has them so is what the test on it is for.
/// </summary>
public class HopperConvolutionTests
{
    [Theory, OnEachDevice]
    public void Kernels_that_are_right_pass(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu) return; // a CPU has no kernels to choose between
        foreach (var type in new[] { DType.BF16, DType.F16 })
            foreach (var by in Here(gpu))
                Assert.Equal((true, "a test on this GPU found it right"), HopperConvolution.Test(gpu, type, by));
    }

    /// <summary>Forward in the place of the data gradient: most of that stays as it was found.</summary>
    [Theory, OnEachDevice]
    public void Kernels_that_are_wrong_do_not(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu) return;
        var (use, why) = HopperConvolution.Test(gpu, DType.BF16, MmaKernels.Warps with { Data = MmaKernels.Warps.Forward });
        Assert.False(use);
        Assert.Contains("wgmma's data gradient is off by", why, StringComparison.Ordinal);
    }

    /// <summary>Kernels that the compiler of this device does not know are not used, and nothing else suffers.</summary>
    [Theory, OnEachDevice]
    public void Kernels_that_do_not_compile_are_not_used(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu) return;
        var (use, why) = HopperConvolution.Test(gpu, DType.F32, MmaKernels.Warps); // there is no such product
        Assert.False(use);
        Assert.Contains("wgmma could not be tried", why, StringComparison.Ordinal);
        if (gpu.Description.Capability == 90) return;
        Assert.Equal((false, false), (HopperConvolution.For(gpu, DType.BF16).Warpgroups, HopperConvolution.For(gpu, DType.BF16).Maps));
        Assert.Contains("mma.sync: wgmma needs compute capability 9.0", HopperConvolution.Describe(gpu), StringComparison.Ordinal);
    }

    /// <summary>A test that took its process with it left a file, and is not tried again until that is deleted.</summary>
    [Fact]
    public void A_test_that_was_not_survived_is_not_repeated()
    {
        using var folder = new TemporaryDirectory();
        using var gpu = CudaTest.Open(cacheFolder: folder.Path);
        var (type, by) = (DType.BF16, MmaKernels.Warps);
        Assert.Equal((true, "a test on this GPU found it right"), HopperConvolution.Try(gpu, type, by));
        Assert.Empty(Directory.GetFiles(folder.Path, "trial-*"));
        Assert.NotNull(Trial.Begin(gpu.KernelCache, $"{by.File} {type} on {gpu.Description}", gpu.Sources.Text(by.File), out _));
        var (right, why) = HopperConvolution.Try(gpu, type, by);
        Assert.False(right);
        var left = Assert.Single(Directory.GetFiles(folder.Path, "trial-*"));
        Assert.Contains($"delete {left}", why, StringComparison.Ordinal);
        File.Delete(left);
        Assert.True(HopperConvolution.Try(gpu, type, by).Right);
    }

    /// <summary>Shapes that a box of TMA cannot walk through are for the other kernels.</summary>
    [Fact]
    public void Maps_take_whole_chunks_of_channels_near_the_picture()
    {
        Assert.True(TmaConvolution.Takes(new ConvShape(2, 13, 11, 64, 3, 3, 136, 1, 1, 13, 11)));
        Assert.False(TmaConvolution.Takes(new ConvShape(2, 13, 11, 72, 3, 3, 136, 1, 1, 13, 11)));
        Assert.False(TmaConvolution.Takes(new ConvShape(2, 13, 11, 64, 3, 3, 136, 1, 130, 271, 269)));
        Assert.True(TmaConvolution.TakesData(new ConvShape(2, 19, 14, 100, 3, 3, 72, 2, 1, 10, 7)));
        Assert.False(TmaConvolution.TakesData(new ConvShape(2, 19, 14, 100, 3, 3, 72, 3, 1, 7, 5)));
    }

    /// <summary>Maps of a tensor at one place are made once.</summary>
    [Theory, OnEachDevice]
    public void Maps_are_made_once(string device)
    {
        using var d = Devices.Open(device);
        if (d is not CudaDevice gpu || !Here(gpu).Contains(MmaKernels.Maps)) return;
        using var step = gpu.BeginStep();
        var x = Tensor.Empty(gpu, new Shape(64, 128), DType.BF16);
        var made = 0;
        TensorMaps Get(int rows) => gpu.TensorMaps.Get(x.Address, x.DType, new PixelWalk(rows, 1, 1, 128, 0, 0, 1, 1, 1), 0, rows, n =>
        {
            made++;
            return TensorMaps.Matrix(x.Address, x.DType, n, 128);
        });
        Assert.Same(Get(64), Get(64));
        Assert.NotSame(Get(64), Get(63));
        Assert.Equal(2, made);
    }

    /// <summary>What this device can run: the emulator whatever the GPU it plays, a GPU from Hopper on.</summary>
    private static MmaKernels[] Here(CudaDevice gpu) =>
        CudaTest.IsEmulator || gpu.Description.Capability == 90 ? [MmaKernels.Warpgroups, MmaKernels.Maps] : [];
}
