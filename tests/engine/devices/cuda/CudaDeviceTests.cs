using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class CudaDeviceTests
{
    /// <summary>Larger than the whole ring of staging pages, and an odd number of bytes.</summary>
    [Fact]
    public void What_goes_up_comes_down()
    {
        using var d = CudaTest.Open();
        var bytes = new byte[(20 << 20) + 13];
        for (var i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 31 >> 3);
        var x = Tensor.From(d, bytes, new(bytes.Length));
        var y = Tensor.Zeros(d, x.Shape, DType.U8);
        Assert.All(y.ToArray<byte>()[..1000], b => Assert.Equal(0, b));
        d.Copy(x.Address, y.Address, x.Bytes);
        var back = y.ToArray<byte>();
        Assert.True(bytes.AsSpan().SequenceEqual(back));
    }

    [Fact]
    public void An_upload_ahead_arrives_before_the_kernels_that_joined_it()
    {
        using var d = CudaTest.Open();
        using var pinned = d.AllocatePinned(4000);
        var x = Tensor.Zeros(d, new(1000));
        for (var round = 1; round <= 3; round++)
        {
            System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(pinned.Span).Fill(round);
            var transfer = d.UploadAhead(pinned, x);
            transfer.Join();
            var sum = Ops.Sum(x);
            transfer.Wait();
            transfer.Wait();
            Assert.Equal(1000f * round, sum.Item());
            sum.Release();
        }
        Assert.Throws<ArgumentException>(() => d.UploadAhead(pinned, Tensor.Zeros(d, new(1001))));
    }

    [Fact]
    public void A_value_is_read_a_step_later()
    {
        using var d = CudaTest.Open();
        using var pinned = d.AllocatePinned(4);
        CudaTransfer? before = null;
        for (var i = 1; i <= 4; i++)
        {
            using var step = d.BeginStep();
            if (before != null)
            {
                before.Wait();
                Assert.Equal(10f * (i - 1), BitConverter.ToSingle(pinned.Span));
            }
            before = d.DownloadLater(Ops.Sum(Ops.Full(d, new(10), i)), pinned); // its tensor is given back first
        }
        before!.Wait();
        Assert.Equal(40f, BitConverter.ToSingle(pinned.Span));
    }

    /// <summary>A view may begin anywhere: 16 bytes at once are moved only where they may be.</summary>
    [Fact]
    public void Views_that_begin_anywhere_are_read_right()
    {
        using var d = CudaTest.Open();
        using var step = d.BeginStep();
        foreach (var type in (DType[])[DType.F32, DType.BF16])
            for (var skip = 0; skip < 3; skip++)
            {
                var whole = Ops.Cast(Tensor.From(d, Enumerable.Range(0, 100).Select(i => (float)i).ToArray(), new(100)), type);
                var part = whole.View(new(2, 16), skip * type.Size());
                var sum = Ops.Cast(Ops.Add(part, part), DType.F32).ToArray();
                Assert.Equal(Enumerable.Range(skip, 32).Select(i => 2f * i), sum);
                var ones = Ops.Full(d, new(16), 1f);
                Assert.Equal(
                    Ops.Cast(Ops.LayerNorm(Ops.Affine(part, 1f), ones, ones), DType.F32).ToArray(), Ops.Cast(Ops.LayerNorm(part, ones, ones), DType.F32).ToArray());
            }
    }

    /// <summary>A launch that was done before costs no garbage: neither constants nor arguments become objects.</summary>
    [Fact]
    public void A_launch_allocates_nothing()
    {
        using var d = CudaTest.Open();
        Tensor x = Ops.Full(d, new(8, 64), 1f), y = Tensor.Like(x), mean = Tensor.PerRow(x), rstd = Tensor.PerRow(x), gamma = Ops.Full(d, new(64), 1f);
        void LaunchOne() => d.Launch(
            "layer_norm", "layer_norm_forward", [("TYPE", x.DType), ("COLS", x.Cols), ("PACK", 4)], Launch.WarpPerRow(x.Rows), y, mean, rstd, x, gamma, gamma, x.Rows, 1e-5f);
        for (var i = 0; i < 100; i++) LaunchOne();
        d.Synchronize();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 50; i++) LaunchOne();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Another_thread_may_take_over()
    {
        using var d = CudaTest.Open();
        var x = Ops.Full(d, new(100), 2f);
        float sum = 0;
        var thread = new Thread(() => sum = Ops.Sum(Ops.Add(x, x)).Item());
        thread.Start();
        thread.Join();
        Assert.Equal(400f, sum);
        Assert.Equal(200f, Ops.Sum(x).Item());
    }

    [Fact]
    public void An_op_without_CUDA_code_says_so()
    {
        using var d = CudaTest.Open();
        Assert.Equal("Body: its kernel nothing has no CUDA code yet; run this op on the CPU device",
            Assert.Throws<NotSupportedException>(() => d.Run(DType.F32, cpu: new Nothing(), op: "Body")).Message);
        Assert.Throws<NotSupportedException>(() => d.Run(_ => { }));
        Assert.Contains("device 99 was asked for", Assert.Throws<CudaNoDeviceException>(() => new CudaDevice(99)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_launch_that_cannot_be_is_refused_and_the_device_goes_on()
    {
        using var d = CudaTest.Open();
        var x = Ops.Full(d, new(10), 1f);
        var wide = Assert.Throws<CudaLaunchException>(() => d.Launch("elementwise", "fill", [("TYPE", DType.F32), ("PACK", 1)], Launch.Grid(1).Of(2048), x, 10L, 2f));
        Assert.StartsWith("fill: CUDA_ERROR_INVALID_VALUE", wide.Message, StringComparison.Ordinal);
        Assert.Contains("block (2048, 1, 1)", wide.Message, StringComparison.Ordinal);
        var shared = Assert.Throws<CudaLaunchException>(() => d.Launch("elementwise", "fill", [("TYPE", DType.F32), ("PACK", 1)], Launch.Grid(1).Of(32).Shared(1 << 20), x, 10L, 2f));
        Assert.Contains("1048576 bytes of shared memory", shared.Message, StringComparison.Ordinal);
        d.Launch("elementwise", "fill", [("TYPE", DType.F32), ("PACK", 1)], Launch.Grid(0).Of(32), x, 10L, 2f);
        Assert.Equal(10f, Ops.Sum(x).Item());
    }

    [Fact]
    public void The_profiler_tells_the_GPUs_time()
    {
        using var d = CudaTest.Open();
        using var step = d.BeginStep();
        var x = Input.Normal(new(64, 256)).ToTensor(d);
        using var profiler = Profiler.Start(d);
        using (Profiler.Phase(d, "phase"))
            for (var i = 0; i < 3; i++) Ops.Add(x, x);
        var profile = profiler.Stop();
        var adds = profile.Events.Where(e => e.Name == "add").ToArray();
        var phase = Assert.Single(profile.Events, e => e.Name == "phase");
        Assert.Equal(3, adds.Length);
        Assert.All(adds, e => Assert.Equal((3L * 64 * 256 * 4, e.Duration), (e.Bytes, e.Self)));
        // In order, one after the other, inside the phase.
        long at = phase.Start;
        foreach (var e in adds)
        {
            Assert.True(e.Start >= at, $"{e.Start} before {at}");
            at = e.Start + e.Duration;
        }
        Assert.True(at <= phase.Start + phase.Duration);
        Assert.True(profile.Duration >= phase.Duration);
    }

    private readonly struct Nothing : ICpuKernel
    {
        public Work Work => new("nothing", 0, 0);

        public void Run<V, T>(CpuDevice cpu)
            where V : struct, IVector<V>
            where T : unmanaged, IElement<T>
        {
        }
    }
}
