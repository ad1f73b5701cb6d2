using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// F16 to F32 and back, for .NET 10 has no instruction for it: ten integer operations for a vector each way, where BF16 takes two to widen
/// and six to round.
/// </summary>
/// <remarks>
/// Widened, a number's exponent and fraction move up by 13 bits and the exponent is counted from 127 and not from 15. An infinite one or a NaN
/// wants the largest exponent: 112 once more. A subnormal f·2⁻²⁴ is written behind a leading 1, as 2⁻¹⁴·(1 + f·2⁻¹⁰), and 2⁻¹⁴ is taken away
/// again: exact, and no subnormal F32 is met, which costs some processors 150 cycles.
/// Rounded, half of the last place that stays goes on, less one in the last place that goes where the place above is even; a carry out of
/// 65504's fraction is infinity. What will be subnormal, less than 2⁻¹⁴, is added to ½, whose last place is 2⁻²⁴: the processor rounds.
/// </remarks>
internal static class Halves
{
    private const uint Rebias = 112u << 23, Nearest = unchecked(0xFFFu - Rebias), Leading = 113u << 23, Half = 126u << 23;

    // In place as widened: the least normal number and the least that is not finite.
    private const int LeastNormal = 1 << 23, Infinite = 31 << 23;

    // As F32: F16's least normal number 2⁻¹⁴, 2¹⁶, which is beyond all of them, and infinity.
    private const int Normal = 113 << 23, Beyond = 143 << 23, NotFinite = 255 << 23;

    /// <summary>Widens sixteen, zero extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<uint> h)
    {
        var place = (h & Vector512.Create(0x7FFFu)) << 13;
        var value = place + Vector512.Create(Rebias);
        value = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(place.AsInt32(), Vector512.Create(Infinite)).AsUInt32(), value + Vector512.Create(Rebias), value);
        var small = (place + Vector512.Create(Leading)).AsSingle() - Vector512.Create(Leading).AsSingle();
        value = Vector512.ConditionalSelect(Vector512.LessThan(place.AsInt32(), Vector512.Create(LeastNormal)).AsUInt32(), small.AsUInt32(), value);
        return (value | ((h & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }

    /// <summary>Widens eight, zero extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Widen(Vector256<uint> h)
    {
        var place = (h & Vector256.Create(0x7FFFu)) << 13;
        var value = place + Vector256.Create(Rebias);
        value += Vector256.GreaterThanOrEqual(place.AsInt32(), Vector256.Create(Infinite)).AsUInt32() & Vector256.Create(Rebias);
        var small = (place + Vector256.Create(Leading)).AsSingle() - Vector256.Create(Leading).AsSingle();
        value = Vector256.ConditionalSelect(Vector256.LessThan(place.AsInt32(), Vector256.Create(LeastNormal)).AsUInt32(), small.AsUInt32(), value);
        return (value | ((h & Vector256.Create(0x8000u)) << 16)).AsSingle();
    }

    /// <summary>Widens four, zero extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Widen(Vector128<uint> h)
    {
        var place = (h & Vector128.Create(0x7FFFu)) << 13;
        var value = place + Vector128.Create(Rebias);
        value += Vector128.GreaterThanOrEqual(place.AsInt32(), Vector128.Create(Infinite)).AsUInt32() & Vector128.Create(Rebias);
        var small = (place + Vector128.Create(Leading)).AsSingle() - Vector128.Create(Leading).AsSingle();
        value = Vector128.ConditionalSelect(Vector128.LessThan(place.AsInt32(), Vector128.Create(LeastNormal)).AsUInt32(), small.AsUInt32(), value);
        return (value | ((h & Vector128.Create(0x8000u)) << 16)).AsSingle();
    }

    /// <summary>Rounds sixteen to nearest, ties to even; a NaN stays one. In the lower halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Round(Vector512<float> x)
    {
        var size = x.AsUInt32() & Vector512.Create(0x7FFFFFFFu);
        var near = (size + Vector512.Create(Nearest) + ((size >>> 13) & Vector512.Create(1u))) >>> 13;
        var small = (size.AsSingle() + Vector512.Create(Half).AsSingle()).AsUInt32() - Vector512.Create(Half);
        var large = Vector512.ConditionalSelect(
            Vector512.GreaterThan(size.AsInt32(), Vector512.Create(NotFinite)).AsUInt32(), Vector512.Create(0x7E00u), Vector512.Create(0x7C00u));
        near = Vector512.ConditionalSelect(Vector512.LessThan(size.AsInt32(), Vector512.Create(Normal)).AsUInt32(), small, near);
        near = Vector512.ConditionalSelect(Vector512.LessThan(size.AsInt32(), Vector512.Create(Beyond)).AsUInt32(), near, large);
        return near | ((x.AsUInt32() >>> 16) & Vector512.Create(0x8000u));
    }

    /// <summary>Rounds eight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Round(Vector256<float> x)
    {
        var size = x.AsUInt32() & Vector256.Create(0x7FFFFFFFu);
        var near = (size + Vector256.Create(Nearest) + ((size >>> 13) & Vector256.Create(1u))) >>> 13;
        var small = (size.AsSingle() + Vector256.Create(Half).AsSingle()).AsUInt32() - Vector256.Create(Half);
        var large = Vector256.ConditionalSelect(
            Vector256.GreaterThan(size.AsInt32(), Vector256.Create(NotFinite)).AsUInt32(), Vector256.Create(0x7E00u), Vector256.Create(0x7C00u));
        near = Vector256.ConditionalSelect(Vector256.LessThan(size.AsInt32(), Vector256.Create(Normal)).AsUInt32(), small, near);
        near = Vector256.ConditionalSelect(Vector256.LessThan(size.AsInt32(), Vector256.Create(Beyond)).AsUInt32(), near, large);
        return near | ((x.AsUInt32() >>> 16) & Vector256.Create(0x8000u));
    }

    /// <summary>Rounds four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> Round(Vector128<float> x)
    {
        var size = x.AsUInt32() & Vector128.Create(0x7FFFFFFFu);
        var near = (size + Vector128.Create(Nearest) + ((size >>> 13) & Vector128.Create(1u))) >>> 13;
        var small = (size.AsSingle() + Vector128.Create(Half).AsSingle()).AsUInt32() - Vector128.Create(Half);
        var large = Vector128.ConditionalSelect(
            Vector128.GreaterThan(size.AsInt32(), Vector128.Create(NotFinite)).AsUInt32(), Vector128.Create(0x7E00u), Vector128.Create(0x7C00u));
        near = Vector128.ConditionalSelect(Vector128.LessThan(size.AsInt32(), Vector128.Create(Normal)).AsUInt32(), small, near);
        near = Vector128.ConditionalSelect(Vector128.LessThan(size.AsInt32(), Vector128.Create(Beyond)).AsUInt32(), near, large);
        return near | ((x.AsUInt32() >>> 16) & Vector128.Create(0x8000u));
    }
}
