using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>What a machine does at best, with so many threads: the floor that kernels are held against.</summary>
/// <param name="FlopsPerSecond">F32 operations a second of fused multiply-adds that never leave the registers; one is two.</param>
/// <param name="BytesPerSecond">Bytes read plus bytes written a second by a copy from memory to memory.</param>
public readonly partial record struct MachinePeak(double FlopsPerSecond, double BytesPerSecond)
{
    private const int Fmas = 1 << 20; // of a chain in a task: some milliseconds
    private const long CopyBytes = 128L << 20, PieceBytes = 4L << 20; // beyond any cache, and a task's share of it
    private const double Budget = 0.3; // seconds for each of the two

    /// <summary>The least seconds that work can take.</summary>
    public double Floor(double flops, double bytes) => Math.Max(flops / FlopsPerSecond, bytes / BytesPerSecond);

    /// <summary>
    /// Measures this machine through the device's own threads and vectors, in under a second and with 256 MB for that time.
    /// The best of many short runs is taken: other work on the machine can only slow a run down.
    /// </summary>
    public static MachinePeak Measure(CpuDevice device) => new(MeasureFlops(device), MeasureCopy(device));

    private static double MeasureFlops(CpuDevice device)
    {
        using var step = device.BeginStep(recordGradients: false);
        var sums = Tensor.Zeros(device, new Shape(device.Threads, 16));
        var seconds = Best(() => device.Launch(DType.F32, new FmaChains(sums, Fmas)));
        return (double)device.Threads * Fmas * FmaChains.Chains * (device.VectorBits / 32) * 2 / seconds;
    }

    private static unsafe double MeasureCopy(CpuDevice device)
    {
        byte* from = (byte*)NativeMemory.AlignedAlloc((nuint)CopyBytes, 64), to = (byte*)NativeMemory.AlignedAlloc((nuint)CopyBytes, 64);
        try
        {
            // Pages that were never written are all one page of zeros, which a cache would hold.
            device.ForRange(CopyBytes, PieceBytes, (a, b) => new Span<byte>(from + a, (int)(b - a)).Fill(1));
            return 2 * CopyBytes / Best(() => device.ForRange(CopyBytes, PieceBytes, (a, b) => Copy(from + a, to + a, b - a)));
        }
        finally
        {
            NativeMemory.AlignedFree(from);
            NativeMemory.AlignedFree(to);
        }
    }

    /// <summary>Past the caches, so that the bytes counted are the bytes moved: an ordinary store first reads the line it overwrites.</summary>
    private static unsafe void Copy(byte* from, byte* to, long bytes)
    {
        for (long i = 0; i < bytes; i += 128)
        {
            var (a, b) = (Vector256.LoadAligned(from + i), Vector256.LoadAligned(from + i + 32));
            var (c, d) = (Vector256.LoadAligned(from + i + 64), Vector256.LoadAligned(from + i + 96));
            a.StoreAlignedNonTemporal(to + i);
            b.StoreAlignedNonTemporal(to + i + 32);
            c.StoreAlignedNonTemporal(to + i + 64);
            d.StoreAlignedNonTemporal(to + i + 96);
        }
    }

    private static double Best(Action run)
    {
        run(); // touches the pages and wakes the threads
        var (best, begin) = (double.PositiveInfinity, Stopwatch.GetTimestamp());
        do
        {
            var start = Stopwatch.GetTimestamp();
            run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        while (Stopwatch.GetElapsedTime(begin).TotalSeconds < Budget);
        return best;
    }
}

/// <summary>a = a·m + c in twelve registers, more than latency times throughput of any machine we know; one task a thread.</summary>
file readonly unsafe struct FmaChains(Tensor sums, int rounds) : ICpuKernel
{
    public const int Chains = 12;

    public Work Work => new("fma_chains", 0, 0);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var p = sums.F32;
        var n = rounds;
        cpu.For(sums.Rows, t => Chain<V>(p + 16 * t, n));
    }

    private static void Chain<V>(float* sum, int rounds) where V : struct, IVector<V>
    {
        // The fixed point of a·0.999 + 0.001 is 1: no overflow, no denormals.
        V m = V.Create(0.999f), c = V.Create(0.001f);
        V a0 = V.Create(0), a1 = c, a2 = m, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0, a9 = a0, a10 = a0, a11 = a0;
        for (var i = 0; i < rounds; i++)
        {
            (a0, a1, a2) = (V.Fma(a0, m, c), V.Fma(a1, m, c), V.Fma(a2, m, c));
            (a3, a4, a5) = (V.Fma(a3, m, c), V.Fma(a4, m, c), V.Fma(a5, m, c));
            (a6, a7, a8) = (V.Fma(a6, m, c), V.Fma(a7, m, c), V.Fma(a8, m, c));
            (a9, a10, a11) = (V.Fma(a9, m, c), V.Fma(a10, m, c), V.Fma(a11, m, c));
        }
        (a0 + a1 + a2 + a3 + a4 + a5 + (a6 + a7 + a8 + a9 + a10 + a11)).Store(sum); // what is read is not optimised away
    }
}
