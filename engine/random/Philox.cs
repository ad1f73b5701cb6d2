using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).
/// A number is a pure function of (seed, stream, step, element), so it does not matter which thread or device asks,
/// nor in which order; nothing has to be saved to resume but the step.
/// </summary>
/// <remarks>The counter is (element lo, element hi, step, stream); the key is the 64-bit seed.</remarks>
public readonly struct Philox(ulong seed, uint stream, uint step = 0)
{
    private const uint M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

    /// <summary>The 128 random bits at counter (<paramref name="block"/>, step, stream).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public (uint A, uint B, uint C, uint D) Block(ulong block)
    {
        uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = step, c3 = stream;
        uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
        for (var round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)M0 * c0, p1 = (ulong)M1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += W0;
            k1 += W1;
        }
        return (c0, c1, c2, c3);
    }

    /// <summary>32 random bits for one element; four neighbouring elements share a block.</summary>
    public uint Bits(ulong element)
    {
        var (a, b, c, d) = Block(element >> 2);
        return (element & 3) switch { 0 => a, 1 => b, 2 => c, _ => d };
    }

    /// <summary>The bits of <see cref="RunLength"/> elements from element 4·<paramref name="block"/> on: eight counters abreast in 64-bit lanes.</summary>
    internal unsafe void Run(ulong block, uint* to)
    {
        var low = Vector512.Create(0xFFFFFFFFul);
        var counter = Vector512.Create(block) + Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7);
        Vector512<ulong> c0 = counter & low, c1 = counter >>> 32, c2 = Vector512.Create((ulong)step), c3 = Vector512.Create((ulong)stream);
        uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
        for (var round = 0; round < 10; round++)
        {
            Vector512<ulong> p0 = c0 * M0, p1 = c2 * M1;
            c0 = (p1 >>> 32) ^ c1 ^ Vector512.Create((ulong)k0);
            c1 = p1 & low;
            c2 = (p0 >>> 32) ^ c3 ^ Vector512.Create((ulong)k1);
            c3 = p0 & low;
            k0 += W0;
            k1 += W1;
        }
        var halves = stackalloc ulong[16];
        (c0 | (c1 << 32)).Store(halves);
        (c2 | (c3 << 32)).Store(halves + 8);
        var words = (ulong*)to;
        for (var lane = 0; lane < 8; lane++) (words[2 * lane], words[2 * lane + 1]) = (halves[lane], halves[lane + 8]);
    }

    /// <summary>Elements <see cref="Run"/> fills.</summary>
    internal const int RunLength = 32;

    /// <summary>Uniform in [0, 1) with 24 bits, so every value is exact in F32.</summary>
    public float Uniform(ulong element) => (Bits(element) >> 8) * (1f / (1 << 24));

    /// <summary>Uniform in [low, high).</summary>
    public float Uniform(ulong element, float low, float high) => low + (high - low) * Uniform(element);

    /// <summary>Standard normal by Box and Muller from the element's own block (two of its four words).</summary>
    public float Normal(ulong element)
    {
        var (a, b, _, _) = Block(element);
        var u = ((a >> 8) + 1) * (1.0 / (1 << 24)); // (0, 1]: the logarithm stays finite
        var v = (b >> 8) * (1.0 / (1 << 24));
        return (float)(Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v));
    }

    /// <summary>An integer in [0, <paramref name="bound"/>), by multiply and shift (bias below 2⁻³² · bound).</summary>
    public int Next(ulong element, int bound) => (int)(((ulong)Bits(element) * (uint)bound) >> 32);

    /// <summary>A permutation of 0..count−1 (Fisher and Yates), the same for the same (seed, stream, step).</summary>
    public int[] Permutation(int count)
    {
        var order = new int[count];
        for (var i = 0; i < count; i++) order[i] = i;
        for (var i = count - 1; i > 0; i--)
        {
            var j = Next((ulong)i, i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }
}
