using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Functions of a vector, lane by lane, the same at every width.</summary>
internal static class VectorMath
{
    /// <summary>eˣ to 2 units in the last place over the finite range (Cephes expf: x = n·ln2 + r, degree-6 polynomial in r).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x) where V : struct, IVector<V>
    {
        // With x as the second operand a NaN passes both.
        x = V.MaxOr(V.Create(-87.3f), V.MinOr(V.Create(88.3f), x));
        var n = V.Round(x * V.Create(1.44269504f));
        var r = V.Fma(n, V.Create(-0.693359375f), x);
        r = V.Fma(n, V.Create(2.12194440e-4f), r);
        var p = V.Create(1.9875691500e-4f);
        p = V.Fma(p, r, V.Create(1.3981999507e-3f));
        p = V.Fma(p, r, V.Create(8.3334519073e-3f));
        p = V.Fma(p, r, V.Create(4.1665795894e-2f));
        p = V.Fma(p, r, V.Create(1.6666665459e-1f));
        p = V.Fma(p, r, V.Create(5.0000001201e-1f));
        p = V.Fma(p, r * r, r) + V.Create(1f);
        return V.Scale(p, n);
    }

    /// <summary>eˣ that reaches 0: below −87.3, −∞ included, the result is exactly 0 and not the smallest normal number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpToZero<V>(V x) where V : struct, IVector<V> => V.Select(V.Less(x, V.Create(-87.3f)), default, Exp(x));

    /// <summary>
    /// Φ(x), the normal distribution function, to 1e-7, and <paramref name="bell"/> = exp(−x²/2). The lower tail is taken
    /// directly (Abramowitz and Stegun 7.1.26), not as 1 − erf, so it keeps its leading digits.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalCdf<V>(V x, out V bell) where V : struct, IVector<V>
    {
        var t = V.Create(1f) / V.Fma(V.Abs(x), V.Create(0.3275911f * 0.70710678f), V.Create(1f));
        var p = V.Create(0.5f * 1.061405429f);
        p = V.Fma(p, t, V.Create(0.5f * -1.453152027f));
        p = V.Fma(p, t, V.Create(0.5f * 1.421413741f));
        p = V.Fma(p, t, V.Create(0.5f * -0.284496736f));
        p = V.Fma(p, t, V.Create(0.5f * 0.254829592f)) * t;
        bell = Exp(x * x * V.Create(-0.5f));
        var tail = p * bell;
        return V.Select(V.Less(x, default), tail, V.Create(1f) - tail);
    }

    /// <summary>tanh x to 2e-7 relative: (1−e⁻²ᵃ)/(1+e⁻²ᵃ) with a = |x|, and near 0, where that cancels, Cephes' polynomial in x².</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<V>(V x) where V : struct, IVector<V>
    {
        var a = V.Abs(x);
        var e = Exp(a * V.Create(-2f));
        var far = (V.Create(1f) - e) / (V.Create(1f) + e);
        far = V.Select(V.Less(x, default), -far, far);
        var z = x * x;
        var p = V.Create(-5.70498872745e-3f);
        p = V.Fma(p, z, V.Create(2.06390887954e-2f));
        p = V.Fma(p, z, V.Create(-5.37397155531e-2f));
        p = V.Fma(p, z, V.Create(1.33314422036e-1f));
        p = V.Fma(p, z, V.Create(-3.33332819422e-1f));
        var near = V.Fma(p * z, x, x);
        return V.Select(V.Less(a, V.Create(0.625f)), near, far);
    }
}
