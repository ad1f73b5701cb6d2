using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>16 lanes: AVX-512.</summary>
internal readonly unsafe struct Vec512(Vector512<float> value) : IVector<Vec512>
{
    private readonly Vector512<float> _v = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 16;
    }

    public static int TileRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Create(float x) => new(Vector512.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Load(float* p) => new(Vector512.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 LoadBF16(ushort* p) => new((Avx512F.ConvertToVector512UInt32(Vector256.Load(p)) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 LoadF16(ushort* p) => new(Halves.Widen(Avx512F.ConvertToVector512UInt32(Vector256.Load(p))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 LoadU8(byte* p) => new(Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* p) => _v.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreBF16(ushort* p) => Rounded().Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreF16(ushort* p) => Avx512F.ConvertToVector256UInt16(Halves.Round(_v)).Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStream(float* p) => _v.StoreAlignedNonTemporal(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamBF16(ushort* p) => Rounded().StoreAlignedNonTemporal(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamF16(ushort* p) => Avx512F.ConvertToVector256UInt16(Halves.Round(_v)).StoreAlignedNonTemporal(p);

    public static double SumSquares(float* p, long count)
    {
        Vector512<double> a = default, b = default, c = default, d = default; // none is added to before it is there
        var i = 0L;
        for (; i <= count - 2 * Count; i += 2 * Count)
        {
            var (low, high) = Vector512.Widen(Vector512.Load(p + i));
            var (low1, high1) = Vector512.Widen(Vector512.Load(p + i + Count));
            a = Vector512.FusedMultiplyAdd(low, low, a);
            b = Vector512.FusedMultiplyAdd(high, high, b);
            c = Vector512.FusedMultiplyAdd(low1, low1, c);
            d = Vector512.FusedMultiplyAdd(high1, high1, d);
        }
        if (i < count)
        {
            var (low, high) = Vector512.Widen(Vector512.Load(p + i));
            a = Vector512.FusedMultiplyAdd(low, low, a);
            b = Vector512.FusedMultiplyAdd(high, high, b);
        }
        return Vector512.Sum(a + b + (c + d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 operator +(Vec512 a, Vec512 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 operator -(Vec512 a, Vec512 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 operator *(Vec512 a, Vec512 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 operator /(Vec512 a, Vec512 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 operator -(Vec512 a) => new(-a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Fma(Vec512 a, Vec512 b, Vec512 c) => new(Vector512.FusedMultiplyAdd(a._v, b._v, c._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Max(Vec512 a, Vec512 b) => new(Vector512.Max(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Min(Vec512 a, Vec512 b) => new(Vector512.Min(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 MaxOr(Vec512 a, Vec512 b) => new(Vector512.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 MinOr(Vec512 a, Vec512 b) => new(Vector512.MinNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Abs(Vec512 a) => new(Vector512.Abs(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Sqrt(Vec512 a) => new(Vector512.Sqrt(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Round(Vec512 a) => new(Vector512.Round(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 PowerOfTwo(Vec512 n) => new(((Vector512.ConvertToInt32Native(n._v) + Vector512.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Scale(Vec512 a, Vec512 n) => new(Avx512F.Scale(a._v, n._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Less(Vec512 a, Vec512 b) => new(Vector512.LessThan(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 LessOrEqual(Vec512 a, Vec512 b) => new(Vector512.LessThanOrEqual(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Equal(Vec512 a, Vec512 b) => new(Vector512.Equals(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 SameBits(Vec512 a, Vec512 b) => new(Vector512.Equals(a._v.AsInt32(), b._v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Select(Vec512 mask, Vec512 a, Vec512 b) => new(Vector512.ConditionalSelect(mask._v, a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Where(Vec512 mask, Vec512 a) => new(Vector512.ConditionalSelect(mask._v, a._v, Vector512<float>.Zero));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vec512 mask) => (uint)mask._v.ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec512 Mask(uint bits)
    {
        var own = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        return new(Vector512.Equals(Vector512.Create((int)bits) & own, own).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vec512 a) => Vector512.Sum(a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vec512 a) => Vec256.Largest(new Vec256(Vector256.Max(a._v.GetLower(), a._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestOr(Vec512 a) => Vec256.LargestOr(new Vec256(Vector256.MaxNative(a._v.GetLower(), a._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector256<ushort> Rounded()
    {
        // A NaN's payload may not carry into the exponent, which would make it infinite: NaNs are cut, with the quiet bit set.
        var bits = _v.AsUInt32();
        var nearest = (bits + Vector512.Create(0x7FFFu) + ((bits >>> 16) & Vector512.Create(1u))) >>> 16;
        var nan = ~Vector512.Equals(_v, _v).AsUInt32();
        var cut = Vector512.ConditionalSelect(nan, (bits >>> 16) | Vector512.Create(0x40u), nearest);
        return Avx512F.ConvertToVector256UInt16(cut);
    }
}
