using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Bench;

/// <summary>
/// What the multipliers can do: independent chains of multiply-adds from registers. Twelve chains cover a latency of 4 with
/// two or three pipes; with the two constants they fit the 16 registers of AVX2.
/// </summary>
internal static class FmaPeak
{
    private const int Chains = 12, Rounds = 7;

    /// <summary>GFLOP/s of so many threads: the best of several rounds, for a peak that noise cannot raise.</summary>
    public static double Gflops(int threads)
    {
        var (width, wide) = Vector512.IsHardwareAccelerated ? (16, true) : (8, false);
        long steps = 1 << 20;
        var sink = new float[threads * 64]; // results are used, or the loop would be dropped; 256 bytes apart
        double Round() => Together.Seconds(threads, t => sink[t * 64] = wide ? Wide(steps) : Narrow(steps));
        Round();
        while (Round() is var s && s < 0.03) steps *= 2;
        var best = Enumerable.Range(0, Rounds).Min(_ => Round());
        return 2.0 * width * Chains * steps * threads / best / 1e9;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Wide(long steps)
    {
        Vector512<float> m = Vector512.Create(0.999f), c = Vector512.Create(1e-3f);
        Vector512<float> a = c, b = c, d = c, e = c, f = c, g = c, h = c, i = c, j = c, k = c, l = c, n = c;
        for (var s = 0L; s < steps; s++)
        {
            a = Vector512.FusedMultiplyAdd(a, m, c);
            b = Vector512.FusedMultiplyAdd(b, m, c);
            d = Vector512.FusedMultiplyAdd(d, m, c);
            e = Vector512.FusedMultiplyAdd(e, m, c);
            f = Vector512.FusedMultiplyAdd(f, m, c);
            g = Vector512.FusedMultiplyAdd(g, m, c);
            h = Vector512.FusedMultiplyAdd(h, m, c);
            i = Vector512.FusedMultiplyAdd(i, m, c);
            j = Vector512.FusedMultiplyAdd(j, m, c);
            k = Vector512.FusedMultiplyAdd(k, m, c);
            l = Vector512.FusedMultiplyAdd(l, m, c);
            n = Vector512.FusedMultiplyAdd(n, m, c);
        }
        return Vector512.Sum(a + b + d + e + f + g + h + i + j + k + l + n);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Narrow(long steps)
    {
        Vector256<float> m = Vector256.Create(0.999f), c = Vector256.Create(1e-3f);
        Vector256<float> a = c, b = c, d = c, e = c, f = c, g = c, h = c, i = c, j = c, k = c, l = c, n = c;
        for (var s = 0L; s < steps; s++)
        {
            a = Vector256.FusedMultiplyAdd(a, m, c);
            b = Vector256.FusedMultiplyAdd(b, m, c);
            d = Vector256.FusedMultiplyAdd(d, m, c);
            e = Vector256.FusedMultiplyAdd(e, m, c);
            f = Vector256.FusedMultiplyAdd(f, m, c);
            g = Vector256.FusedMultiplyAdd(g, m, c);
            h = Vector256.FusedMultiplyAdd(h, m, c);
            i = Vector256.FusedMultiplyAdd(i, m, c);
            j = Vector256.FusedMultiplyAdd(j, m, c);
            k = Vector256.FusedMultiplyAdd(k, m, c);
            l = Vector256.FusedMultiplyAdd(l, m, c);
            n = Vector256.FusedMultiplyAdd(n, m, c);
        }
        return Vector256.Sum(a + b + d + e + f + g + h + i + j + k + l + n);
    }
}
