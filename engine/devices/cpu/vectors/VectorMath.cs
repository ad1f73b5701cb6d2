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
    /// Φ(x), the normal distribution function, to 1.3e-7, and <paramref name="bell"/> = exp(−x²/2), which costs nothing where it
    /// is not used.
    /// </summary>
    /// <remarks>
    /// Φ = ½ + x·P(x²), P of degree 14: neither an exp nor a division. Its coefficients are those in u = 2x²/5.2² − 1 of the
    /// polynomial whose error, weighted by max(|x|, x²), is the smallest over |x| ≤ 5.2 (least squares at 400 Chebyshev points, the
    /// weights raised where the error was large, forty times): 3.2e-8 before rounding. Beyond 5.2 P stays what it is there, so
    /// that ½ + x·P passes 0 or 1, where it is cut.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalCdf<V>(V x, out V bell) where V : struct, IVector<V>
    {
        var square = x * x;
        bell = Exp(square * V.Create(-0.5f));
        // With x as the second operand a NaN passes all three.
        var u = V.Fma(V.MinOr(V.Create(5.2f * 5.2f), square), V.Create(2f / (5.2f * 5.2f)), V.Create(-1f));
        var v = u * u; // even and odd powers apart: two chains half as long
        var even = V.Fma(V.Create(0.000172190747f), v, V.Create(0.000692234549f));
        var odd = V.Create(-0.000539188972f);
        odd = V.Fma(odd, v, V.Create(-0.00104567595f));
        even = V.Fma(even, v, V.Create(0.00255560945f));
        odd = V.Fma(odd, v, V.Create(-0.00499318074f));
        even = V.Fma(even, v, V.Create(0.00807054434f));
        odd = V.Fma(odd, v, V.Create(-0.0123921363f));
        even = V.Fma(even, v, V.Create(0.018116869f));
        odd = V.Fma(odd, v, V.Create(-0.0247537643f));
        even = V.Fma(even, v, V.Create(0.0319645293f));
        odd = V.Fma(odd, v, V.Create(-0.0399264134f));
        even = V.Fma(even, v, V.Create(0.050026007f));
        odd = V.Fma(odd, v, V.Create(-0.0677437782f));
        even = V.Fma(even, v, V.Create(0.135949984f));
        var cdf = V.Fma(x, V.Fma(odd, u, even), V.Create(0.5f));
        return V.MaxOr(default, V.MinOr(V.Create(1f), cdf));
    }

    /// <summary>
    /// The derivative Φ(x) + x·φ(x) of x·Φ(x), to 3.6e-7, as ½ + x·S(x²) for |x| ≤ 5.6 and what it is there beyond. S is made like
    /// the polynomial of <see cref="NormalCdf{V}"/>, of degree 17 and weighted by |x|: 1.3e-8 before rounding.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V GeluSlope<V>(V x) where V : struct, IVector<V>
    {
        x = V.MaxOr(V.Create(-5.6f), V.MinOr(V.Create(5.6f), x));
        var u = V.Fma(x * x, V.Create(2f / (5.6f * 5.6f)), V.Create(-1f));
        var v = u * u;
        var even = V.Create(0.00372031983f);
        var odd = V.Create(-0.00140176131f);
        odd = V.Fma(odd, v, V.Create(-0.00232052361f));
        even = V.Fma(even, v, V.Create(0.00211056275f));
        odd = V.Fma(odd, v, V.Create(-0.01205015f));
        even = V.Fma(even, v, V.Create(0.0235679895f));
        odd = V.Fma(odd, v, V.Create(-0.0298329256f));
        even = V.Fma(even, v, V.Create(0.0401900746f));
        odd = V.Fma(odd, v, V.Create(-0.0558196492f));
        even = V.Fma(even, v, V.Create(0.0676792264f));
        odd = V.Fma(odd, v, V.Create(-0.0725727379f));
        even = V.Fma(even, v, V.Create(0.0713803619f));
        odd = V.Fma(odd, v, V.Create(-0.0650584102f));
        even = V.Fma(even, v, V.Create(0.0567131862f));
        odd = V.Fma(odd, v, V.Create(-0.0509606563f));
        even = V.Fma(even, v, V.Create(0.0518067479f));
        odd = V.Fma(odd, v, V.Create(-0.0642825365f));
        even = V.Fma(even, v, V.Create(0.126416653f));
        return V.Fma(x, V.Fma(odd, u, even), V.Create(0.5f));
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
