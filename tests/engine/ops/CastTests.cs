using CsCheck;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class CastTests
{
    /// <summary>All 65536 patterns come back as they were, so widening is exact and narrowing leaves alone what fits.</summary>
    [Theory, OnEachDevice]
    public void Every_16_bit_number_survives_the_way_there_and_back(string device)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var patterns = Enumerable.Range(0, 65536).Select(i => (ushort)i).ToArray();
        var wide = Ops.Cast(Tensor.From(d, patterns, new(65536)), DType.F32);
        var (values, back) = (wide.ToArray(), Ops.Cast(wide, DType.BF16).ToArray<ushort>());
        for (var i = 0; i < 65536; i++)
        {
            var value = BitConverter.UInt32BitsToSingle((uint)i << 16);
            Assert.Equal(value, values[i]);
            if (float.IsNaN(value)) Assert.True((back[i] & 0x7FFF) > 0x7F80, $"NaN {i:x4} became {back[i]:x4}");
            else Assert.Equal(patterns[i], back[i]);
        }
        var halves = Array.ConvertAll(patterns, BitConverter.UInt16BitsToHalf);
        var single = Ops.Cast(Tensor.From(d, halves, new(65536)), DType.F32);
        Assert.Equal(Array.ConvertAll(halves, h => (float)h), single.ToArray());
        Assert.Equal(halves, Ops.Cast(single, DType.F16).ToArray<Half>());
    }

    /// <summary>Nearest, and of two equally near the even one: found by looking at both neighbours in F64.</summary>
    [Theory, OnEachDevice]
    public void Rounds_to_the_nearest_and_ties_to_even(string device)
    {
        using var d = Devices.Open(device);
        Gen.UInt.Array[1, 60].Sample(bits => Nearest(d, bits), iter: 500, threads: 1);
        Nearest(d, [0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7F8000, 0x7F7F7FFF, 0x80000001, 0x00008000, 0x00018000, 0xFF800000, 0x7F800000]);
        Nearest(d, [.. Enumerable.Range(0, 40).Select(i => 0x40000000u + (uint)i * 0x4000)]);
    }

    /// <summary>The trap: a NaN whose payload lies only in the lower half, or is all ones, must not round to ∞ or to zero.</summary>
    [Theory, OnEachDevice("1", "40")]
    public void A_NaN_stays_one(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        foreach (var bits in new[] { 0x7F800001u, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu })
        {
            var x = Tensor.From(d, Enumerable.Repeat(BitConverter.UInt32BitsToSingle(bits), size[0]).ToArray(), new(size));
            Assert.All(Ops.Cast(x, DType.BF16).ToArray<ushort>(), v => Assert.True((v & 0x7FFF) > 0x7F80));
            Assert.All(Ops.Cast(x, DType.F16).ToArray<Half>(), v => Assert.True(Half.IsNaN(v)));
        }
    }

    [Theory, OnEachDevice("1", "16", "37")]
    public void Integers_convert(string device, int[] size)
    {
        using var d = Devices.Open(device);
        using var step = d.BeginStep();
        var n = size[0];
        var ints = Enumerable.Range(0, n).Select(i => i % 2 == 0 ? int.MaxValue - i : int.MinValue + i).ToArray();
        var longs = Ops.Cast(Tensor.From(d, ints, new(n)), DType.I64);
        Assert.Equal(Array.ConvertAll(ints, i => (long)i), longs.ToArray<long>());
        Assert.Equal(ints, Ops.Cast(longs, DType.I32).ToArray<int>());
        var bytes = Enumerable.Range(0, n).Select(i => (byte)(255 - 7 * i)).ToArray();
        Assert.Equal(Array.ConvertAll(bytes, b => (float)b), Ops.Cast(Tensor.From(d, bytes, new(n)), DType.F32).ToArray());
        Assert.Same(longs, Ops.Cast(longs, DType.I64));
    }

    /// <summary>The gradient passes through the same rounding: BF16 has 8 bits of precision, F16 has 11.</summary>
    [Theory, OnEachDevice]
    public void Gradients_come_back_in_the_type_of_the_input(string device)
    {
        using var d = Devices.Open(device);
        foreach (var (type, unit) in new[] { (DType.BF16, 1.0 / 256), (DType.F16, 1.0 / 2048) })
        {
            using var step = d.BeginStep();
            var x = Input.Normal(new(3, 20)).ToTensor(d);
            var w = Values.Normal(60, 2);
            var narrow = Ops.Cast(x, type);
            var y = Ops.Cast(Ops.Cast(narrow, type == DType.BF16 ? DType.F16 : DType.BF16), DType.F32);
            Assert.Equal(type, narrow.DType);
            Ops.Sum(Ops.Multiply(y, Tensor.From(d, w, y.Shape))).Backward();
            var g = x.Grad!.ToArray();
            Assert.Equal(DType.F32, x.Grad.DType);
            for (var i = 0; i < g.Length; i++)
                Assert.True(Math.Abs(g[i] - w[i]) <= Math.Abs(w[i]) * (unit + 1.0 / 256), $"gradient {g[i]:R} for {w[i]:R}");
        }
    }

    [Fact]
    public void Says_what_does_not_convert()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        Assert.Equal("Cast: no conversion from F32 to I32", Assert.Throws<ArgumentException>(() => Ops.Cast(Tensor.Zeros(d, new(2)), DType.I32)).Message);
        Assert.Equal("Cast: element 1 is 2147483648, which does not fit in an I32",
            Assert.Throws<OverflowException>(() => Ops.Cast(Tensor.From(d, [1L, 1L << 31], new(2)), DType.I32)).Message);
    }

    private static void Nearest(Device d, uint[] bits)
    {
        using var step = d.BeginStep();
        var values = Array.ConvertAll(bits, BitConverter.UInt32BitsToSingle);
        var x = Tensor.From(d, values, new(bits.Length));
        var (b, h) = (Ops.Cast(x, DType.BF16).ToArray<ushort>(), Ops.Cast(x, DType.F16).ToArray<Half>());
        for (var i = 0; i < bits.Length; i++)
        {
            if (float.IsNaN(values[i])) continue;
            NearestHalf(values[i], h[i]);
            // The truncated pattern and the next one away from zero enclose the value; 2^128 stands for the overflow to ∞.
            var low = bits[i] >> 16;
            double Wide(uint pattern) => (pattern & 0x7FFF) == 0x7F80 ? Math.Pow(2, 128) : Math.Abs((double)BitConverter.UInt32BitsToSingle(pattern << 16));
            double v = Math.Abs((double)values[i]), down = v - Wide(low), up = Wide(low + 1) - v;
            var expected = float.IsInfinity(values[i]) || down < up || (down == up && low % 2 == 0) ? low : low + 1;
            Assert.True(expected == b[i], $"{bits[i]:x8} became {b[i]:x4}, expected {expected:x4}");
        }
    }

    /// <summary>No neighbour is nearer, and one equally near is odd; from 65520 on, half-way to 2¹⁶, it is ∞.</summary>
    private static void NearestHalf(double value, Half half)
    {
        if (Math.Abs(value) >= 65520) Assert.Equal(value < 0 ? Half.NegativeInfinity : Half.PositiveInfinity, half);
        else
            foreach (var other in new[] { Half.BitIncrement(half), Half.BitDecrement(half) })
            {
                double off = Math.Abs((double)half - value), beside = Math.Abs((double)other - value);
                var even = BitConverter.HalfToUInt16Bits(half) % 2 == 0;
                Assert.True(off < beside || (off == beside && even), $"{value:R} became {half}, but {other} is as near or nearer");
            }
    }
}
