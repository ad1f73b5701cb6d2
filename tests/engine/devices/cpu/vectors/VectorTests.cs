using System.Runtime.InteropServices;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Every operation of every width against the same in plain C#, special values included.</summary>
public unsafe class VectorTests
{
    private static readonly float[] Samples =
    [
        0f, -0f, 1f, -1f, 0.5f, 1.5f, 2.5f, -2.5f, 3.1415927f, -87f, 88f, 1e-30f, -1e30f, 127.49f, -126f, 65504f,
        float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.Epsilon, 1.00390625f, 1.01171875f, -0.1f, 7f,
    ];

    [Fact]
    public void Wide_vectors_compute_what_one_lane_does()
    {
        if (CpuDevice.WidestVector >= 512) Same<Vec512>();
        if (CpuDevice.WidestVector >= 256) Same<Vec256>();
        Same<Vec128>();
    }

    [Fact]
    public void Sums_and_extremes_are_those_of_the_lanes()
    {
        if (CpuDevice.WidestVector >= 512) Reduces<Vec512>();
        if (CpuDevice.WidestVector >= 256) Reduces<Vec256>();
        Reduces<Vec128>();
        Reduces<Vec1>();
    }

    [Fact]
    public void BF16_rounds_to_nearest_even_and_keeps_NaN()
    {
        // 1 + 2⁻⁸ lies between two BF16 numbers: the even one is 1; 1 + 3·2⁻⁸ goes up; the largest F32 becomes ∞.
        float[] from = [1.00390625f, 1.01171875f, float.NaN, BitConverter.UInt32BitsToSingle(0x7F800001), float.MaxValue, -1.00390625f, 3f, 0.1f];
        ushort[] expected = [0x3F80, 0x3F82, 0x7FC0, 0x7FC0, 0x7F80, 0xBF80, 0x4040, 0x3DCD];
        for (var i = 0; i < from.Length; i++)
        {
            ushort bits;
            new Vec1(from[i]).StoreBF16(&bits);
            Assert.Equal(expected[i], float.IsNaN(from[i]) ? (ushort)(bits & 0x7FC0) : bits);
        }
    }

    /// <summary>All 65,536 of them widen to what .NET's own conversion makes of them, and those that are numbers come back.</summary>
    [Fact]
    public void Every_F16_widens_exactly_and_comes_back()
    {
        if (CpuDevice.WidestVector >= 512) Halves<Vec512>();
        if (CpuDevice.WidestVector >= 256) Halves<Vec256>();
        Halves<Vec128>();
        Halves<Vec1>();

        static void Halves<V>() where V : struct, IVector<V>
        {
            ushort* from = (ushort*)Block(V.Count), to = (ushort*)Block(V.Count);
            var wide = Block(V.Count);
            for (var first = 0; first < 65536; first += V.Count)
            {
                for (var i = 0; i < V.Count; i++) from[i] = (ushort)(first + i);
                var v = V.LoadF16(from);
                v.Store(wide);
                v.StoreF16(to);
                for (var i = 0; i < V.Count; i++)
                {
                    var half = BitConverter.UInt16BitsToHalf(from[i]);
                    if (Half.IsNaN(half)) Assert.True(float.IsNaN(wide[i]) && Half.IsNaN(BitConverter.UInt16BitsToHalf(to[i])), $"{typeof(V).Name}: {from[i]:x4}");
                    else Assert.True(BitConverter.SingleToInt32Bits((float)half) == BitConverter.SingleToInt32Bits(wide[i]) && to[i] == from[i], $"{typeof(V).Name}: {from[i]:x4}");
                }
            }
            foreach (var p in (nint[])[(nint)from, (nint)to, (nint)wide]) NativeMemory.Free((void*)p);
        }
    }

    /// <summary>
    /// Every F16 number, the middle between it and the next, which goes to the even one, the F32 neighbours of both, and a number of each
    /// F32 exponent and sign with a fraction of its own: half a million in all, against .NET's conversion.
    /// </summary>
    [Fact]
    public void F16_rounds_to_nearest_even_with_infinities_subnormals_and_NaN()
    {
        if (CpuDevice.WidestVector >= 512) Rounds<Vec512>();
        if (CpuDevice.WidestVector >= 256) Rounds<Vec256>();
        Rounds<Vec128>();
        Rounds<Vec1>();

        static IEnumerable<uint> Bits()
        {
            for (var h = 0; h < 0x7C00; h++)
            {
                float at = (float)BitConverter.UInt16BitsToHalf((ushort)h), next = h == 0x7BFF ? 65536f : (float)BitConverter.UInt16BitsToHalf((ushort)(h + 1));
                foreach (var x in (float[])[at, (at + next) / 2])
                {
                    var bits = BitConverter.SingleToUInt32Bits(x);
                    foreach (var near in (uint[])[bits == 0 ? 0 : bits - 1, bits, bits + 1]) yield return near;
                }
            }
            var random = new Philox(7, 7);
            for (var i = 0u; i < 60_000; i++) yield return (i % 256) << 23 | (uint)(random.Uniform(i) * 0x7FFFFF);
        }

        static void Rounds<V>() where V : struct, IVector<V>
        {
            var from = Block(V.Count);
            var to = (ushort*)Block(V.Count);
            foreach (var some in Bits().SelectMany(b => (uint[])[b, b | 0x80000000]).Chunk(V.Count))
            {
                for (var i = 0; i < some.Length; i++) from[i] = BitConverter.UInt32BitsToSingle(some[i]);
                V.Load(from).StoreF16(to);
                for (var i = 0; i < some.Length; i++)
                {
                    var expected = (Half)from[i];
                    var own = BitConverter.UInt16BitsToHalf(to[i]);
                    Assert.True(Half.IsNaN(expected) ? Half.IsNaN(own) : BitConverter.HalfToUInt16Bits(expected) == to[i], $"{typeof(V).Name}: {some[i]:x8} gives {to[i]:x4}");
                }
            }
            NativeMemory.Free(from);
            NativeMemory.Free(to);
        }
    }

    private static void Same<V>() where V : struct, IVector<V>
    {
        var lanes = V.Count;
        float* a = Block(lanes), b = Block(lanes), c = Block(lanes);
        foreach (var offset in Enumerable.Range(0, Samples.Length))
        {
            for (var i = 0; i < lanes; i++)
            {
                a[i] = Samples[(offset + i) % Samples.Length];
                b[i] = Samples[(3 * offset + 2 * i + 1) % Samples.Length];
                c[i] = Samples[(offset + 5 * i + 2) % Samples.Length];
            }
            V va = V.Load(a), vb = V.Load(b), vc = V.Load(c);
            Lanes("+", va + vb, i => a[i] + b[i]);
            Lanes("-", va - vb, i => a[i] - b[i]);
            Lanes("*", va * vb, i => a[i] * b[i]);
            Lanes("/", va / vb, i => a[i] / b[i]);
            Lanes("negate", -va, i => -a[i]);
            Lanes("fma", V.Fma(va, vb, vc), i => MathF.FusedMultiplyAdd(a[i], b[i], c[i]));
            Lanes("max", V.Max(va, vb), i => MathF.Max(a[i], b[i]));
            Lanes("min", V.Min(va, vb), i => MathF.Min(a[i], b[i]));
            Lanes("max or", V.MaxOr(V.Create(0.5f), vb), i => b[i] < 0.5f ? 0.5f : b[i]);
            Lanes("min or", V.MinOr(V.Create(0.5f), vb), i => b[i] > 0.5f ? 0.5f : b[i]);
            Lanes("abs", V.Abs(va), i => MathF.Abs(a[i]));
            Lanes("sqrt", V.Sqrt(va), i => MathF.Sqrt(a[i]));
            Lanes("round", V.Round(va), i => MathF.Round(a[i], MidpointRounding.ToEven));
            Lanes("less", V.Select(V.Less(va, vb), va, vc), i => a[i] < b[i] ? a[i] : c[i]);
            Lanes("less or equal", V.Where(V.LessOrEqual(va, vb), vc), i => a[i] <= b[i] ? c[i] : 0f);
            Lanes("equal", V.Where(V.Equal(va, vb), vc), i => a[i] == b[i] ? c[i] : 0f);
            Lanes("same bits", V.Where(V.SameBits(va, vb), vc), i => BitConverter.SingleToInt32Bits(a[i]) == BitConverter.SingleToInt32Bits(b[i]) ? c[i] : 0f);
            Lanes("own bits", V.Where(V.SameBits(va, va), vc), i => c[i]);
            var bits = (ushort*)Block(lanes);
            va.StoreBF16(bits);
            Lanes("bf16", V.LoadBF16(bits), i =>
            {
                ushort one;
                new Vec1(a[i]).StoreBF16(&one);
                return Vec1.LoadBF16(&one).Value;
            });
            NativeMemory.Free(bits);
        }
        var bytes = (byte*)c;
        for (var i = 0; i < lanes; i++) (bytes[i], a[i]) = ((byte)(17 * i + 250), i * 15 - 126);
        Lanes("bytes", V.LoadU8(bytes), i => bytes[i]);
        Lanes("2^n", V.PowerOfTwo(V.Load(a)), i => MathF.Pow(2, a[i]));
        Lanes("a 2^n", V.Scale(V.Create(1.37f), V.Load(a)), i => 1.37f * MathF.Pow(2, a[i]));
        for (var bits = 0u; bits <= 0x5555; bits += 0x1111)
        {
            var set = bits & (uint)((1L << lanes) - 1);
            Lanes("mask", V.Where(V.Mask(bits | 0xFFF00000), V.Create(3f)), i => (bits >> i & 1) * 3f);
            Assert.Equal(set, V.Bits(V.Mask(bits)));
        }
        Streams<V>();
        foreach (var p in (nint[])[(nint)a, (nint)b, (nint)c]) NativeMemory.Free((void*)p);
    }

    /// <summary>What is streamed is what is stored.</summary>
    private static void Streams<V>() where V : struct, IVector<V>
    {
        float* to = (float*)NativeMemory.AlignedAlloc(128, 64), plain = Block(32);
        for (var i = 0; i < V.Count; i++) plain[i] = Samples[i];
        var v = V.Load(plain);
        v.StoreStream(to);
        Plip.Engine.Streams.Fence();
        Assert.True(new ReadOnlySpan<int>(to, V.Count).SequenceEqual(new ReadOnlySpan<int>(plain, V.Count)));
        v.StoreStreamBF16((ushort*)to);
        v.StoreBF16((ushort*)plain);
        Plip.Engine.Streams.Fence();
        Assert.True(new ReadOnlySpan<ushort>(to, V.Count).SequenceEqual(new ReadOnlySpan<ushort>(plain, V.Count)));
        v.StoreStreamF16((ushort*)to);
        v.StoreF16((ushort*)plain);
        Plip.Engine.Streams.Fence();
        Assert.True(new ReadOnlySpan<ushort>(to, V.Count).SequenceEqual(new ReadOnlySpan<ushort>(plain, V.Count)));
        NativeMemory.AlignedFree(to);
        NativeMemory.Free(plain);
    }

    private static void Lanes<V>(string what, V actual, Func<int, float> expected) where V : struct, IVector<V>
    {
        var lanes = stackalloc float[V.Count];
        actual.Store(lanes);
        for (var i = 0; i < V.Count; i++)
        {
            var e = expected(i);
            Assert.True(e.Equals(lanes[i]), $"{typeof(V).Name} {what}: lane {i} is {lanes[i]:R}, expected {e:R}");
        }
    }

    private static void Reduces<V>() where V : struct, IVector<V>
    {
        var x = stackalloc float[V.Count];
        for (var i = 0; i < V.Count; i++) x[i] = i % 3 == 1 ? -i : i;
        var host = new ReadOnlySpan<float>(x, V.Count).ToArray();
        Assert.Equal(host.Sum(), V.Sum(V.Load(x)));
        Assert.Equal(host.Max(), V.Largest(V.Load(x)));
        Assert.Equal(host.Max(), V.LargestOr(V.Load(x)));
        const int vectors = 5;
        var many = Block(vectors * V.Count);
        var squares = 0.0;
        for (var i = 0; i < vectors * V.Count; i++) squares += (double)(many[i] = i - 7) * (i - 7);
        Assert.Equal(squares, V.SumSquares(many, vectors * V.Count)); // small whole numbers: exact
        Assert.Equal(0, V.SumSquares(many, 0));
        new Span<float>(many, vectors * V.Count).Clear();
        many[0] = 3e30f; // whose square is beyond F32
        Assert.Equal((double)3e30f * 3e30f, V.SumSquares(many, vectors * V.Count));
        NativeMemory.Free(many);
        x[V.Count - 1] = float.NaN;
        Assert.True(float.IsNaN(V.Largest(V.Load(x))));
    }

    private static float* Block(int lanes) => (float*)NativeMemory.AllocZeroed((nuint)lanes, sizeof(float));
}
