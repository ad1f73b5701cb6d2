using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class CudaMemoryTests
{
    private const int MiB = 1 << 18; // floats

    [Fact]
    public void A_repeated_step_gets_the_same_addresses_and_asks_the_driver_for_nothing()
    {
        using var d = CudaTest.Open();
        List<nint> Step()
        {
            using var step = d.BeginStep();
            var seen = new List<nint>();
            var x = Input.Normal(new(37, 65)).ToTensor(d);
            var y = Ops.LayerNorm(x, Tensor.Zeros(d, new(65)).WithGrad(), Tensor.Zeros(d, new(65)).WithGrad());
            var sum = Ops.Sum(Ops.Gelu(y));
            sum.Backward();
            seen.AddRange([x.Address, sum.Address, x.Grad!.Address]);
            seen.Add(Tensor.Empty(d, new(3 * MiB)).Address);
            return seen;
        }

        var first = Step();
        var calls = d.Pool.DriverCalls;
        for (var i = 0; i < 3; i++) Assert.Equal(first, Step());
        Assert.Equal(calls, d.Pool.DriverCalls);
        Assert.Equal((0, 0L), (d.MemoryInUse.Blocks, d.MemoryInUse.Bytes));
    }

    /// <summary>What waits in the pool in one size is returned to the driver before a request in another fails.</summary>
    [Fact]
    public void Cached_blocks_are_given_up_before_memory_is_full()
    {
        using var d = CudaTest.Open(memoryLimit: 32 << 20);
        for (var size = 2; size <= 24; size += 2) Tensor.Empty(d, new(size * MiB)).Release();
        Assert.True(d.Pool.Reserved <= 32 << 20);
        var x = Tensor.Empty(d, new(24 * MiB));
        Assert.Equal(0, d.Pool.Cached - (d.Pool.Reserved - (24L << 20)));
        x.Release();
    }

    [Fact]
    public void Full_memory_says_who_holds_it_and_what_to_lower()
    {
        using var d = CudaTest.Open(memoryLimit: 32 << 20);
        using var step = d.BeginStep();
        Tensor.Empty(d, new(4 * MiB), DType.F32, "Attention");
        Tensor.Empty(d, new(4 * MiB), DType.F32, "Attention");
        Tensor.Empty(d, new(16 * MiB), DType.F32, "Conv2d");
        var error = Assert.Throws<CudaOutOfMemoryException>(() => Tensor.Empty(d, new(10 * MiB), DType.F32, "Linear"));
        Assert.StartsWith("the GPU's memory is full: Linear asked for 10.0 MiB", error.Message, StringComparison.Ordinal);
        Assert.Contains("lower the batch size first", error.Message, StringComparison.Ordinal);
        var lines = error.Message.Split('\n').Select(l => l.Trim()).ToArray();
        Assert.Equal(["16.0 MiB  Conv2d (1 block)", "8.0 MiB  Attention (2 blocks)"], lines[1..3]);
        Assert.Equal(8f * MiB, Ops.Sum(Ops.Full(d, new(MiB), 8f)).Item()); // the device goes on
    }

    /// <summary>Without a pool each tensor ends where its memory does.</summary>
    [Fact]
    public void Without_a_pool_results_are_the_same()
    {
        using var pooled = CudaTest.Open();
        using var exact = CudaTest.Open(pooled: false);
        float[] Run(CudaDevice d)
        {
            using var step = d.BeginStep();
            var x = Input.Normal(new(5, 7)).ToTensor(d);
            var y = Ops.LayerNorm(Ops.Gelu(x), Ops.Full(d, new(7), 2f), Ops.Full(d, new(7), 1f));
            Ops.Sum(y).Backward();
            return x.Grad!.ToArray();
        }

        Assert.Equal(Run(pooled), Run(exact));
        Assert.Equal(0, exact.Pool.Cached);
    }
}
