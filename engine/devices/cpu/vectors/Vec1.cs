using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>One lane: the tail of a row goes through the same code as its vectors.</summary>
internal readonly unsafe struct Vec1(float value) : IVector<Vec1>
{
    /// <summary>The lane.</summary>
    public readonly float Value = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1;
    }

    public static int TileRows
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 6;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Create(float x) => new(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Load(float* p) => new(*p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 LoadBF16(ushort* p) => new(BitConverter.UInt32BitsToSingle((uint)*p << 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 LoadF16(ushort* p) => new((float)*(Half*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 LoadU8(byte* p) => new(*p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* p) => *p = Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreBF16(ushort* p)
    {
        var bits = BitConverter.SingleToUInt32Bits(Value);
        *p = (ushort)(float.IsNaN(Value) ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreF16(ushort* p) => *(Half*)p = (Half)Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStream(float* p) => Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamBF16(ushort* p) => StoreBF16(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreStreamF16(ushort* p) => StoreF16(p);

    public static double SumSquares(float* p, long count)
    {
        var sum = 0.0;
        for (var i = 0L; i < count; i++) sum += (double)p[i] * p[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 operator +(Vec1 a, Vec1 b) => new(a.Value + b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 operator -(Vec1 a, Vec1 b) => new(a.Value - b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 operator *(Vec1 a, Vec1 b) => new(a.Value * b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 operator /(Vec1 a, Vec1 b) => new(a.Value / b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 operator -(Vec1 a) => new(-a.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Fma(Vec1 a, Vec1 b, Vec1 c) => new(MathF.FusedMultiplyAdd(a.Value, b.Value, c.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Max(Vec1 a, Vec1 b) => new(MathF.Max(a.Value, b.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Min(Vec1 a, Vec1 b) => new(MathF.Min(a.Value, b.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 MaxOr(Vec1 a, Vec1 b) => a.Value > b.Value ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 MinOr(Vec1 a, Vec1 b) => a.Value < b.Value ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Abs(Vec1 a) => new(MathF.Abs(a.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Sqrt(Vec1 a) => new(MathF.Sqrt(a.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Round(Vec1 a) => new(MathF.Round(a.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 PowerOfTwo(Vec1 n) => new(BitConverter.Int32BitsToSingle(((int)n.Value + 127) << 23));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Scale(Vec1 a, Vec1 n) => a * PowerOfTwo(n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Less(Vec1 a, Vec1 b) => Mask(a.Value < b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 LessOrEqual(Vec1 a, Vec1 b) => Mask(a.Value <= b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Equal(Vec1 a, Vec1 b) => Mask(a.Value == b.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 SameBits(Vec1 a, Vec1 b) => Mask(BitConverter.SingleToInt32Bits(a.Value) == BitConverter.SingleToInt32Bits(b.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Select(Vec1 mask, Vec1 a, Vec1 b) => IsSet(mask) ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Where(Vec1 mask, Vec1 a) => IsSet(mask) ? a : default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vec1 mask) => IsSet(mask) ? 1u : 0u;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec1 Mask(uint bits) => Mask((bits & 1) != 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vec1 a) => a.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Vec1 a) => a.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float LargestOr(Vec1 a) => a.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vec1 Mask(bool set) => new(BitConverter.Int32BitsToSingle(set ? -1 : 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSet(Vec1 mask) => BitConverter.SingleToInt32Bits(mask.Value) != 0;
}
