using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

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
    private const float Unit = 1f / (1 << 24);

    /// <summary>What it is made of, for kernels that draw the same numbers.</summary>
    internal (ulong Seed, uint Stream, uint Step) Key => (seed, stream, step);

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

    /// <summary>Elements <see cref="Uniforms"/> fills.</summary>
    internal const int RunLength = 32;

    /// <summary><see cref="Uniform(ulong)"/> of <see cref="RunLength"/> elements from element 4·<paramref name="block"/> on; the same bits at any width.</summary>
    /// <typeparam name="V">The device's vectors.</typeparam>
    internal unsafe void Uniforms<V>(ulong block, float* to) where V : struct, IVector<V>
    {
        if (V.Count >= Vec256.Count) Run256(block, to);
        else
            for (var i = 0u; i < RunLength; i += 16) Run128(block + i / 4, to + i);
    }

    // Counters stand in 64-bit lanes. What is left in a lane's upper half does no harm before the end: the widening product
    // reads the lower one alone. They are counted in the order in which unpacking at the end leaves them sorted.
    // A round waits for the last, so two vectors of counters go abreast; with 512-bit registers one would wait as long.
    private unsafe void Run256(ulong block, float* to)
    {
        var a0 = Vector256.Create(block) + Vector256.Create(0ul, 2, 1, 3);
        var b0 = a0 + Vector256.Create(4ul);
        Vector256<ulong> a1 = a0 >>> 32, a2 = Vector256.Create((ulong)step), a3 = Vector256.Create((ulong)stream);
        Vector256<ulong> b1 = b0 >>> 32, b2 = a2, b3 = a3, k0 = Vector256.Create(seed), k1 = k0 >>> 32;
        for (var round = 0; round < 10; round++)
        {
            Round(ref a0, ref a1, ref a2, ref a3, k0, k1);
            Round(ref b0, ref b1, ref b2, ref b3, k0, k1);
            k0 += Vector256.Create((ulong)W0);
            k1 += Vector256.Create((ulong)W1);
        }
        Store(a0, a1, a2, a3, to);
        Store(b0, b1, b2, b3, to + 16);
    }

    private unsafe void Run128(ulong block, float* to)
    {
        var a0 = Vector128.Create(block) + Vector128.Create(0ul, 1);
        var b0 = a0 + Vector128.Create(2ul);
        Vector128<ulong> a1 = a0 >>> 32, a2 = Vector128.Create((ulong)step), a3 = Vector128.Create((ulong)stream);
        Vector128<ulong> b1 = b0 >>> 32, b2 = a2, b3 = a3, k0 = Vector128.Create(seed), k1 = k0 >>> 32;
        for (var round = 0; round < 10; round++)
        {
            Round(ref a0, ref a1, ref a2, ref a3, k0, k1);
            Round(ref b0, ref b1, ref b2, ref b3, k0, k1);
            k0 += Vector128.Create((ulong)W0);
            k1 += Vector128.Create((ulong)W1);
        }
        Store(a0, a1, a2, a3, to);
        Store(b0, b1, b2, b3, to + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Round(
        ref Vector256<ulong> c0, ref Vector256<ulong> c1, ref Vector256<ulong> c2, ref Vector256<ulong> c3, Vector256<ulong> k0, Vector256<ulong> k1)
    {
        Vector256<ulong> p0 = Avx2.Multiply(c0.AsUInt32(), Vector256.Create(M0)), p1 = Avx2.Multiply(c2.AsUInt32(), Vector256.Create(M1));
        (c0, c1, c2, c3) = ((p1 >>> 32) ^ c1 ^ k0, p1, (p0 >>> 32) ^ c3 ^ k1, p0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Round(
        ref Vector128<ulong> c0, ref Vector128<ulong> c1, ref Vector128<ulong> c2, ref Vector128<ulong> c3, Vector128<ulong> k0, Vector128<ulong> k1)
    {
        Vector128<ulong> p0 = Product(c0, M0), p1 = Product(c2, M1);
        (c0, c1, c2, c3) = ((p1 >>> 32) ^ c1 ^ k0, p1, (p0 >>> 32) ^ c3 ^ k1, p0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Store(Vector256<ulong> c0, Vector256<ulong> c1, Vector256<ulong> c2, Vector256<ulong> c3, float* to)
    {
        var low = Vector256.Create((ulong)uint.MaxValue);
        Vector256<ulong> a = (c0 & low) | (c1 << 32), b = (c2 & low) | (c3 << 32);
        (Vector256.ConvertToSingle((Avx2.UnpackLow(a, b).AsUInt32() >>> 8).AsInt32()) * Unit).Store(to);
        (Vector256.ConvertToSingle((Avx2.UnpackHigh(a, b).AsUInt32() >>> 8).AsInt32()) * Unit).Store(to + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Store(Vector128<ulong> c0, Vector128<ulong> c1, Vector128<ulong> c2, Vector128<ulong> c3, float* to)
    {
        var low = Vector128.Create((ulong)uint.MaxValue);
        Vector128<ulong> a = (c0 & low) | (c1 << 32), b = (c2 & low) | (c3 << 32);
        // On x86 joining halves goes through memory, with a stall that costs as much as four rounds.
        var first = Sse2.IsSupported ? Sse2.UnpackLow(a, b) : Vector128.Create(a.GetLower(), b.GetLower());
        var second = Sse2.IsSupported ? Sse2.UnpackHigh(a, b) : Vector128.Create(a.GetUpper(), b.GetUpper());
        (Vector128.ConvertToSingle((first.AsUInt32() >>> 8).AsInt32()) * Unit).Store(to);
        (Vector128.ConvertToSingle((second.AsUInt32() >>> 8).AsInt32()) * Unit).Store(to + 4);
    }

    /// <summary>The lower halves of the lanes times m, 64 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Product(Vector128<ulong> lanes, uint m) =>
        Sse2.IsSupported ? Sse2.Multiply(lanes.AsUInt32(), Vector128.Create(m))
        : AdvSimd.IsSupported ? AdvSimd.MultiplyWideningLower(AdvSimd.ExtractNarrowingLower(lanes), Vector64.Create(m))
        : (lanes & Vector128.Create((ulong)uint.MaxValue)) * m;

    /// <summary>Uniform in [0, 1) with 24 bits, so every value is exact in F32.</summary>
    public float Uniform(ulong element) => (Bits(element) >> 8) * Unit;

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
