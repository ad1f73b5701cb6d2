using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Compiling, keeping and loading kernels, by the compiler there is.</summary>
public sealed class KernelTableTests
{
    private const string Good = """
        #include "types.cuh"
        extern "C" __global__ void put(float* y) { y[threadIdx.x] = VALUE; }
        extern "C" __global__ void put_double(float* y) { y[threadIdx.x] = 2 * VALUE; }
        """;

    private static float Put(CudaDevice d, string kernel, int value)
    {
        d.Sources.Add("probe", Good);
        using var step = d.BeginStep();
        var y = Tensor.Zeros(d, new(32));
        d.Launch("probe", kernel, [("VALUE", value)], Launch.Grid(1).Of(32), y);
        return y.ToArray()[31];
    }

    [Fact]
    public void A_file_is_compiled_once_for_its_constants_and_kept()
    {
        using var folder = new TemporaryDirectory();
        using (var d = CudaTest.Open(cacheFolder: folder.Path))
        {
            Assert.Equal(3f, Put(d, "put", 3));
            Assert.Equal(6f, Put(d, "put_double", 3));
            Assert.Equal(3f, Put(d, "put", 3));
            Assert.Equal(1, d.Compilations);
            Assert.Equal(4f, Put(d, "put", 4));
            Assert.Equal((2, 2), (d.Compilations, d.KernelCache.Size.Files));
        }
        using (var d = CudaTest.Open(cacheFolder: folder.Path))
        {
            Assert.Equal(3f, Put(d, "put", 3));
            Assert.Equal(0, d.Compilations);
        }
    }

    [Fact]
    public void A_damaged_entry_is_made_anew()
    {
        using var folder = new TemporaryDirectory();
        using (var d = CudaTest.Open(cacheFolder: folder.Path)) Put(d, "put", 5);
        var file = Assert.Single(Directory.GetFiles(folder.Path));
        var bytes = File.ReadAllBytes(file);
        bytes[^100] ^= 1;
        File.WriteAllBytes(file, bytes);
        using (var d = CudaTest.Open(cacheFolder: folder.Path))
        {
            Assert.Equal(5f, Put(d, "put", 5));
            Assert.Equal(1, d.Compilations);
        }
        // Whole, but no code for this device: made by another build of the emulator, say.
        new KernelCache(folder.Path).Write(Path.GetFileNameWithoutExtension(file), "nonsense"u8);
        using (var d = CudaTest.Open(cacheFolder: folder.Path)) Assert.Equal((5f, 1), (Put(d, "put", 5), d.Compilations));
        using (var d = CudaTest.Open(cacheFolder: folder.Path)) Assert.Equal((5f, 0), (Put(d, "put", 5), d.Compilations));
    }

    [Fact]
    public void A_source_that_does_not_compile_shows_its_line()
    {
        using var folder = new TemporaryDirectory();
        using var d = CudaTest.Open(cacheFolder: folder.Path);
        d.Sources.Add("broken", "#include \"types.cuh\"\nextern \"C\" __global__ void broken(float* y) {\n    y[0] = unheard_of(y);\n}\n");
        using var step = d.BeginStep();
        var y = Tensor.Zeros(d, new(1));
        var error = Assert.Throws<CudaCompileException>(() => d.Launch("broken", "broken", [("VALUE", 1)], Launch.Grid(1).Of(1), y));
        Assert.StartsWith("kernels/broken.cu does not compile with --std=c++17", error.Message, StringComparison.Ordinal);
        Assert.Contains("-DVALUE=1; correct the kernel", error.Message, StringComparison.Ordinal);
        Assert.Contains("> y[0] = unheard_of(y);", error.Message, StringComparison.Ordinal);
        Assert.Contains("unheard_of", error.Log, StringComparison.Ordinal);
        Assert.Contains("there is no kernels/absent.cu", Assert.Throws<ArgumentException>(() => d.Launch("absent", "x", [], Launch.Grid(1).Of(1), y)).Message, StringComparison.Ordinal);
        Assert.Equal(7f, Put(d, "put", 7));
    }

    /// <summary>Several threads, each with a device of its own, as several processes would: all get the right code.</summary>
    [Fact]
    public void Devices_that_compile_the_same_at_once_share_the_folder()
    {
        Assert.SkipUnless(CudaTest.IsEmulator || Cuda.Devices > 0, "no CUDA");
        using var folder = new TemporaryDirectory();
        Parallel.For(0, 4, i =>
        {
            using var d = CudaTest.Open(cacheFolder: folder.Path);
            Assert.Equal(9f, Put(d, "put", 9));
        });
        Assert.Single(Directory.GetFiles(folder.Path));
    }
}
