using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>4 lanes: SSE, and NEON.</summary>
internal readonly unsafe struct Vec128(Vector128<float> value) : IVector<Vec128>
{
    private readonly Vector128<float> _v = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    public static int TileRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 6;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Create(float x) => new(Vector128.Create(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Load(float* p) => new(Vector128.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 LoadBF16(ushort* p) => new((Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)p).AsUInt16()) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 LoadF16(ushort* p) => new(Halves.Widen(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)p).AsUInt16())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 LoadU8(byte* p) => new(Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(*(uint*)p).AsByte())).AsInt32()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* p) => _v.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreBF16(ushort* p)
    {
        // A NaN's payload may not carry into the exponent, which would make it infinite: NaNs are cut, with the quiet bit set.
        var bits = _v.AsUInt32();
        var nearest = (bits + Vector128.Create(0x7FFFu) + ((bits >>> 16) & Vector128.Create(1u))) >>> 16;
        var nan = ~Vector128.Equals(_v, _v).AsUInt32();
        var cut = Vector128.ConditionalSelect(nan, (bits >>> 16) | Vector128.Create(0x40u), nearest);
        *(ulong*)p = Vector128.Narrow(cut, cut).AsUInt64()[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreF16(ushort* p)
    {
        var rounded = Halves.Round(_v);
        *(ulong*)p = Vector128.Narrow(rounded, rounded).AsUInt64()[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStream(float* p) => _v.StoreAlignedNonTemporal(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamBF16(ushort* p) => StoreBF16(p); // eight bytes: no such instruction

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamF16(ushort* p) => StoreF16(p);

    public static double SumSquares(float* p, long count)
    {
        Vector128<double> a = default, b = default, c = default, d = default; // none is added to before it is there
        var i = 0L;
        for (; i <= count - 2 * Count; i += 2 * Count)
        {
            var (low, high) = Vector128.Widen(Vector128.Load(p + i));
            var (low1, high1) = Vector128.Widen(Vector128.Load(p + i + Count));
            a = Vector128.FusedMultiplyAdd(low, low, a);
            b = Vector128.FusedMultiplyAdd(high, high, b);
            c = Vector128.FusedMultiplyAdd(low1, low1, c);
            d = Vector128.FusedMultiplyAdd(high1, high1, d);
        }
        if (i < count)
        {
            var (low, high) = Vector128.Widen(Vector128.Load(p + i));
            a = Vector128.FusedMultiplyAdd(low, low, a);
            b = Vector128.FusedMultiplyAdd(high, high, b);
        }
        return Vector128.Sum(a + b + (c + d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 operator +(Vec128 a, Vec128 b) => new(a._v + b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 operator -(Vec128 a, Vec128 b) => new(a._v - b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 operator *(Vec128 a, Vec128 b) => new(a._v * b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 operator /(Vec128 a, Vec128 b) => new(a._v / b._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 operator -(Vec128 a) => new(-a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Fma(Vec128 a, Vec128 b, Vec128 c) => new(Vector128.FusedMultiplyAdd(a._v, b._v, c._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Max(Vec128 a, Vec128 b) => new(Vector128.Max(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Min(Vec128 a, Vec128 b) => new(Vector128.Min(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 MaxOr(Vec128 a, Vec128 b) => new(Vector128.MaxNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 MinOr(Vec128 a, Vec128 b) => new(Vector128.MinNative(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Abs(Vec128 a) => new(Vector128.Abs(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Sqrt(Vec128 a) => new(Vector128.Sqrt(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Round(Vec128 a) => new(Vector128.Round(a._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 PowerOfTwo(Vec128 n) => new(((Vector128.ConvertToInt32Native(n._v) + Vector128.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Scale(Vec128 a, Vec128 n) => Avx512F.VL.IsSupported ? new(Avx512F.VL.Scale(a._v, n._v)) : a * PowerOfTwo(n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Less(Vec128 a, Vec128 b) => new(Vector128.LessThan(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 LessOrEqual(Vec128 a, Vec128 b) => new(Vector128.LessThanOrEqual(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Equal(Vec128 a, Vec128 b) => new(Vector128.Equals(a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 SameBits(Vec128 a, Vec128 b) => new(Vector128.Equals(a._v.AsInt32(), b._v.AsInt32()).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Select(Vec128 mask, Vec128 a, Vec128 b) => new(Vector128.ConditionalSelect(mask._v, a._v, b._v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Where(Vec128 mask, Vec128 a) => new(Vector128.ConditionalSelect(mask._v, a._v, Vector128<float>.Zero));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vec128 mask) => (uint)mask._v.ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec128 Mask(uint bits)
    {
        var own = Vector128.Create(1, 2, 4, 8);
        return new(Vector128.Equals(Vector128.Create((int)bits) & own, own).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vec128 a) => Vector128.Sum(a._v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vec128 a)
    {
        var pairs = Vector128.Max(a._v, Vector128.Shuffle(a._v, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(pairs[0], pairs[1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestOr(Vec128 a)
    {
        var pairs = Vector128.MaxNative(a._v, Vector128.Shuffle(a._v, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(pairs, Vector128.Shuffle(pairs, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary>Four rows become four columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transpose(ref Vec128 a, ref Vec128 b, ref Vec128 c, ref Vec128 d)
    {
        if (Sse.IsSupported)
        {
            Vector128<float> ab = Sse.UnpackLow(a._v, b._v), cd = Sse.UnpackLow(c._v, d._v);
            Vector128<float> abHigh = Sse.UnpackHigh(a._v, b._v), cdHigh = Sse.UnpackHigh(c._v, d._v);
            (a, b) = (new(Sse.MoveLowToHigh(ab, cd)), new(Sse.MoveHighToLow(cd, ab)));
            (c, d) = (new(Sse.MoveLowToHigh(abHigh, cdHigh)), new(Sse.MoveHighToLow(cdHigh, abHigh)));
            return;
        }
        var (p, q, r, t) = (a._v, b._v, c._v, d._v);
        a = new(Vector128.Create(p[0], q[0], r[0], t[0]));
        b = new(Vector128.Create(p[1], q[1], r[1], t[1]));
        c = new(Vector128.Create(p[2], q[2], r[2], t[2]));
        d = new(Vector128.Create(p[3], q[3], r[3], t[3]));
    }
}
