using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Where libraries are looked for, in which order, and what is said of it; over a made-up machine, so that any machine can run them.</summary>
public sealed class CudaLibrariesTests
{
    private static CudaLibraries Finder(string[] there, bool windows = false, params (string Name, string Value)[] environment) => new(
        name => environment.FirstOrDefault(e => e.Name == name).Value,
        path => Array.IndexOf(there, path.Replace('\\', '/')) + 1, windows);

    [Fact]
    public void The_driver_comes_from_the_systems_loader_alone()
    {
        var found = Finder(["libcuda.so.1"], false, ("CUDA_PATH", "/opt/cuda")).Find("cuda");
        Assert.Equal("libcuda.so.1", found?.Path);
        Assert.Equal("nvcuda.dll", Finder(["nvcuda.dll"], windows: true).Find("cuda")?.Path);
    }

    [Theory]
    [InlineData("nvrtc", false, "/opt/cuda/lib64/libnvrtc.so.13")]
    [InlineData("nvrtc", false, "libnvrtc.so.12")]
    [InlineData("nvrtc", false, "libnvrtc.so.11.2")]
    [InlineData("cublasLt", false, "/opt/cuda/lib64/libcublasLt.so.12")]
    [InlineData("cublasLt", false, "libcublasLt.so.11")]
    [InlineData("nvrtc", true, "/opt/cuda/bin/nvrtc64_112_0.dll")]
    [InlineData("nvrtc", true, "/opt/cuda/bin/nvrtc64_120_0.dll")]
    [InlineData("nvrtc", true, "/opt/cuda/bin/x64/nvrtc64_130_0.dll")]
    [InlineData("cublasLt", true, "cublasLt64_13.dll")]
    public void Every_version_is_found_in_the_toolkit_and_by_the_loader(string library, bool windows, string file) =>
        Assert.Equal(file, Finder([file], windows, ("CUDA_PATH", "/opt/cuda")).Find(library)?.Path.Replace('\\', '/'));

    /// <summary>A newer compiler's code may not load on an older driver, so the driver's own version comes first, then older ones.</summary>
    [Fact]
    public void The_drivers_own_version_comes_first()
    {
        var finder = Finder(["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"]);
        finder.DriverMajor = 12;
        Assert.Equal("libnvrtc.so.12", finder.Find("nvrtc")?.Path);
        var old = Finder(["libnvrtc.so.13", "libnvrtc.so.11.2"]);
        old.DriverMajor = 12;
        Assert.Equal("libnvrtc.so.11.2", old.Find("nvrtc")?.Path);
    }

    [Fact]
    public void What_was_tried_is_told_in_order()
    {
        var finder = Finder([], false, ("CUDA_VISIBLE_DEVICES", "1"), ("CUDA_HOME", "/opt/cuda"));
        var error = Assert.Throws<CudaLibraryException>(() => finder.Require("nvrtc"));
        Assert.StartsWith("NVRTC, CUDA's run-time compiler, was not found; install it", error.Message, StringComparison.Ordinal);
        Assert.Contains("CUDA_VISIBLE_DEVICES is \"1\"", finder.Trace[0], StringComparison.Ordinal);
        var tried = finder.Trace.ToList();
        var toolkit = tried.IndexOf("nvrtc: /opt/cuda/lib64/libnvrtc.so.13: not there");
        var loader = tried.IndexOf("nvrtc: libnvrtc.so.11.2 by the system's loader: not there");
        Assert.True(toolkit > 0 && loader > toolkit, error.Message);
        Assert.All(tried, line => Assert.Contains(line, error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void The_emulator_serves_all_three()
    {
        var finder = Finder(["/build/libcuda_emulator.so"], false, ("PLIP_CUDA", "emulator"), ("PLIP_CUDA_EMULATOR", "/build"));
        Assert.True(finder.IsEmulator);
        Assert.All(new[] { "cuda", "nvrtc", "cublasLt" }, l => Assert.Equal("/build/libcuda_emulator.so", finder.Find(l)?.Path));
        var none = Finder([], false, ("PLIP_CUDA", "emulator"), ("PLIP_CUDA_EMULATOR", "/x/y.so"));
        Assert.Contains("build it with kernels/emulator/build.sh", Assert.Throws<CudaLibraryException>(() => none.Require("cuda")).Message, StringComparison.Ordinal);
        Assert.Equal(["cuda: /x/y.so: not there"], none.Trace);
    }

    [Fact]
    public void Off_looks_nowhere_and_nonsense_is_refused()
    {
        var off = Finder(["libcuda.so.1"], false, ("PLIP_CUDA", "off"));
        Assert.Null(off.Find("cuda"));
        Assert.Contains("PLIP_CUDA is off", Assert.Single(off.Trace), StringComparison.Ordinal);
        Assert.Contains("it is \"yes\"", Assert.Throws<CudaException>(() => Finder([], false, ("PLIP_CUDA", "yes"))).Message, StringComparison.Ordinal);
    }
}
