using Xunit;
using Named = Plip.Engine.Devices;

namespace Plip.Tests.Engine;

public sealed class DevicesTests
{
    [Fact]
    public void A_device_opens_by_its_name()
    {
        using var cpu = Named.Open("cpu", 2);
        Assert.Equal(("cpu", 2), (cpu.Name, Assert.IsType<Plip.Engine.CpuDevice>(cpu).Threads));
        _ = CudaTest.IsEmulator; // skips where there is no CUDA
        foreach (var name in (string[])["cuda", "cuda:0"])
        {
            using var gpu = Named.Open(name);
            Assert.Equal("cuda", gpu.Name);
        }
        Assert.Contains("device 999 was asked for", Assert.Throws<Plip.Engine.CudaNoDeviceException>(() => Named.Open("cuda:999")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("CPU")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda: 1")]
    [InlineData("cuda:one")]
    [InlineData("")]
    public void Another_name_is_refused_with_those_there_are(string name) =>
        Assert.Equal($"there is no device \"{name}\"; expected cpu, cuda or cuda:1 (a GPU by its number)", Assert.Throws<ArgumentException>(() => Named.Open(name)).Message);
}
