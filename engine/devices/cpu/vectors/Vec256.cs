using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>8 lanes: AVX2.</summary>
internal readonly unsafe struct Vec256(Vector256<float> value) : IVector<Vec256>
{
    private readonly Vector256<float> _v = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    public static int TileRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 6;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Create(float x) => new(Vector256.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Load(float* p) => new(Vector256.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 LoadBF16(ushort* p) => new((Avx2.ConvertToVector256Int32(p) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 LoadF16(ushort* p) => new(Halves.Widen(Avx2.ConvertToVector256Int32(p).AsUInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 LoadU8(byte* p) => new(Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(p)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* p) => _v.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreBF16(ushort* p) => Rounded().Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreF16(ushort* p) => Half().Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStream(float* p) => _v.StoreAlignedNonTemporal(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamBF16(ushort* p) => Rounded().StoreAlignedNonTemporal(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamF16(ushort* p) => Half().StoreAlignedNonTemporal(p);

    public static double SumSquares(float* p, long count)
    {
        Vector256<double> a = default, b = default, c = default, d = default; // none is added to before it is there
        var i = 0L;
        for (; i <= count - 2 * Count; i += 2 * Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(p + i));
            var (low1, high1) = Vector256.Widen(Vector256.Load(p + i + Count));
            a = Vector256.FusedMultiplyAdd(low, low, a);
            b = Vector256.FusedMultiplyAdd(high, high, b);
            c = Vector256.FusedMultiplyAdd(low1, low1, c);
            d = Vector256.FusedMultiplyAdd(high1, high1, d);
        }
        if (i < count)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(p + i));
            a = Vector256.FusedMultiplyAdd(low, low, a);
            b = Vector256.FusedMultiplyAdd(high, high, b);
        }
        return Vector256.Sum(a + b + (c + d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 operator +(Vec256 a, Vec256 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 operator -(Vec256 a, Vec256 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 operator *(Vec256 a, Vec256 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 operator /(Vec256 a, Vec256 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 operator -(Vec256 a) => new(-a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Fma(Vec256 a, Vec256 b, Vec256 c) => new(Vector256.FusedMultiplyAdd(a._v, b._v, c._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Max(Vec256 a, Vec256 b) => new(Vector256.Max(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Min(Vec256 a, Vec256 b) => new(Vector256.Min(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 MaxOr(Vec256 a, Vec256 b) => new(Vector256.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 MinOr(Vec256 a, Vec256 b) => new(Vector256.MinNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Abs(Vec256 a) => new(Vector256.Abs(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Sqrt(Vec256 a) => new(Vector256.Sqrt(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Round(Vec256 a) => new(Vector256.Round(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 PowerOfTwo(Vec256 n) => new(((Vector256.ConvertToInt32Native(n._v) + Vector256.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Scale(Vec256 a, Vec256 n) => Avx512F.VL.IsSupported ? new(Avx512F.VL.Scale(a._v, n._v)) : a * PowerOfTwo(n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Less(Vec256 a, Vec256 b) => new(Vector256.LessThan(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 LessOrEqual(Vec256 a, Vec256 b) => new(Vector256.LessThanOrEqual(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Equal(Vec256 a, Vec256 b) => new(Vector256.Equals(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 SameBits(Vec256 a, Vec256 b) => new(Vector256.Equals(a._v.AsInt32(), b._v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Select(Vec256 mask, Vec256 a, Vec256 b) => new(Vector256.ConditionalSelect(mask._v, a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Where(Vec256 mask, Vec256 a) => new(Vector256.ConditionalSelect(mask._v, a._v, Vector256<float>.Zero));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vec256 mask) => (uint)mask._v.ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec256 Mask(uint bits)
    {
        var own = Vector256.Create(1, 2, 4, 8, 16, 32, 64, 128);
        return new(Vector256.Equals(Vector256.Create((int)bits) & own, own).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vec256 a) => Vector256.Sum(a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vec256 a) => Vec128.Largest(new Vec128(Vector128.Max(a._v.GetLower(), a._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestOr(Vec256 a) => Vec128.LargestOr(new Vec128(Vector128.MaxNative(a._v.GetLower(), a._v.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector128<ushort> Half()
    {
        var rounded = Halves.Round(_v);
        return Vector128.Narrow(rounded.GetLower(), rounded.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector128<ushort> Rounded()
    {
        // A NaN's payload may not carry into the exponent, which would make it infinite: NaNs are cut, with the quiet bit set.
        var bits = _v.AsUInt32();
        var nearest = (bits + Vector256.Create(0x7FFFu) + ((bits >>> 16) & Vector256.Create(1u))) >>> 16;
        var nan = ~Vector256.Equals(_v, _v).AsUInt32();
        var cut = Vector256.ConditionalSelect(nan, (bits >>> 16) | Vector256.Create(0x40u), nearest);
        return Vector128.Narrow(cut.GetLower(), cut.GetUpper());
    }
}
