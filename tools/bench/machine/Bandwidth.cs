using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Plip.Bench;

/// <summary>
/// What memory can do, after McCalpin's STREAM: copy and triad over arrays far larger than any cache, each thread its own
/// part. Bytes are counted as the program reads and writes them. Each is tried with ordinary stores, which fetch a line before they
/// overwrite it, and with streaming ones, which do not; the better one counts.
/// </summary>
internal static unsafe class Bandwidth
{
    /// <summary>Elements of each of the three arrays: 256 MiB.</summary>
    private const long Count = 1L << 26;

    private const int Rounds = 4;

    /// <summary>GB/s of copy and triad.</summary>
    public static (double Copy, double Triad) Gbs(int threads)
    {
        var arrays = new nint[3];
        for (var i = 0; i < 3; i++) arrays[i] = (nint)NativeMemory.AlignedAlloc((nuint)(Count * sizeof(float)), 4096);
        try
        {
            float* x = (float*)arrays[0], y = (float*)arrays[1], z = (float*)arrays[2];
            var part = Count / threads / 16 * 16;
            // First touch by the thread that uses the part: on several sockets its pages lie near it.
            Together.Seconds(threads, t =>
            {
                for (var i = t * part; i < (t + 1) * part; i++) (x[i], y[i], z[i]) = (1f, 2f, 3f);
            });
            double Best(double bytes, Action<int> body) => bytes * part * threads / 1e9 / Enumerable.Range(0, Rounds).Min(_ => Together.Seconds(threads, body));
            var copy = Math.Max(
                Best(8, t => Copy(x + t * part, y + t * part, part)),
                Best(8, t => CopyStreaming(x + t * part, y + t * part, part)));
            var triad = Math.Max(
                Best(12, t => Triad(x + t * part, y + t * part, z + t * part, part)),
                Best(12, t => TriadStreaming(x + t * part, y + t * part, z + t * part, part)));
            return (copy, triad);
        }
        finally
        {
            foreach (var a in arrays) NativeMemory.AlignedFree((void*)a);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Copy(float* x, float* y, long n)
    {
        for (var i = 0L; i < n; i += 16) Vector512.Load(x + i).Store(y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void CopyStreaming(float* x, float* y, long n)
    {
        for (var i = 0L; i < n; i += 16) Vector512.Load(x + i).StoreAlignedNonTemporal(y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Triad(float* x, float* y, float* z, long n)
    {
        for (var i = 0L; i < n; i += 16) Vector512.FusedMultiplyAdd(Vector512.Load(y + i), Vector512.Create(3f), Vector512.Load(x + i)).Store(z + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void TriadStreaming(float* x, float* y, float* z, long n)
    {
        for (var i = 0L; i < n; i += 16)
            Vector512.FusedMultiplyAdd(Vector512.Load(y + i), Vector512.Create(3f), Vector512.Load(x + i)).StoreAlignedNonTemporal(z + i);
    }
}
