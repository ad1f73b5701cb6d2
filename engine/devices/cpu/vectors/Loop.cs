using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>What an elementwise loop does at element i, for as many elements as <c>V</c> has lanes.</summary>
internal interface ILoop
{
    void At<V>(long i) where V : struct, IVector<V>;
}

/// <summary>A term of a sum, at element i.</summary>
internal interface ITerm
{
    V At<V>(long i) where V : struct, IVector<V>;
}

/// <summary>
/// Loops over a row: whole vectors first, then the tail lane by lane through the same body. A body is a struct of pointers,
/// passed by value, so that the JIT keeps them in registers (captured by a lambda they are read again at every element).
/// </summary>
internal static class Loop
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<V, TLoop>(TLoop body, long from, long to)
        where V : struct, IVector<V>
        where TLoop : struct, ILoop
    {
        var i = from;
        for (; i <= to - V.Count; i += V.Count) body.At<V>(i);
        for (; i < to; i++) body.At<Vec1>(i);
    }

    /// <summary>Σ of the terms, F32, four vectors abreast.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum<V, TTerm>(TTerm term, long count)
        where V : struct, IVector<V>
        where TTerm : struct, ITerm
    {
        V a = default, b = default, c = default, d = default;
        var i = 0L;
        for (; i <= count - 4 * V.Count; i += 4 * V.Count)
        {
            a += term.At<V>(i);
            b += term.At<V>(i + V.Count);
            c += term.At<V>(i + 2 * V.Count);
            d += term.At<V>(i + 3 * V.Count);
        }
        for (; i <= count - V.Count; i += V.Count) a += term.At<V>(i);
        var sum = V.Sum(a + b + (c + d));
        for (; i < count; i++) sum += term.At<Vec1>(i).Value;
        return sum;
    }

    /// <summary>The largest term; −∞ for none, NaN if any is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max<V, TTerm>(TTerm term, long count)
        where V : struct, IVector<V>
        where TTerm : struct, ITerm
    {
        var a = V.Create(float.NegativeInfinity);
        var i = 0L;
        for (; i <= count - V.Count; i += V.Count) a = V.Max(a, term.At<V>(i));
        var max = V.Largest(a);
        for (; i < count; i++) max = MathF.Max(max, term.At<Vec1>(i).Value);
        return max;
    }
}
