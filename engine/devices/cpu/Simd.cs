using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// Vector building blocks of the CPU pages, 16 floats at a time. <see cref="Vector512{T}"/> runs as two or four narrower
/// vectors where the machine has no 512-bit ones.
/// </summary>
internal static unsafe class Simd
{
    /// <summary>eˣ to 2 units in the last place over the finite range (Cephes expf: x = n·ln2 + r, degree-6 polynomial in r).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Max(Vector512.Min(x, Vector512.Create(88.3f)), Vector512.Create(-87.3f));
        var n = Vector512.Round(x * 1.44269504f);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512<float>.One;
        var scale = Vector512.ShiftLeft(Vector512.ConvertToInt32(n) + Vector512.Create(127), 23).AsSingle();
        return p * scale;
    }

    /// <summary>eˣ that reaches 0: below −87.3, −∞ included, the result is exactly 0 and not the smallest normal number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ExpToZero(Vector512<float> x) =>
        Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(-87.3f)), Vector512<float>.Zero, Exp(x));

    /// <summary>
    /// Φ(x), the normal distribution function, to 1e-7, and <paramref name="bell"/> = exp(−x²/2). The lower tail is taken
    /// directly (Abramowitz and Stegun 7.1.26), not as 1 − erf, so it keeps its leading digits.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NormalCdf(Vector512<float> x, out Vector512<float> bell)
    {
        var t = Vector512<float>.One / Vector512.FusedMultiplyAdd(Vector512.Abs(x), Vector512.Create(0.3275911f * 0.70710678f), Vector512<float>.One);
        var p = Vector512.Create(0.5f * 1.061405429f);
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.5f * -1.453152027f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.5f * 1.421413741f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.5f * -0.284496736f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.5f * 0.254829592f)) * t;
        bell = Exp(x * x * -0.5f);
        var tail = p * bell;
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), tail, Vector512<float>.One - tail);
    }

    /// <summary>tanh x to 2e-7 relative: (1−e⁻²ᵃ)/(1+e⁻²ᵃ) with a = |x|, and near 0, where that cancels, Cephes' polynomial in x².</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Tanh(Vector512<float> x)
    {
        var a = Vector512.Abs(x);
        var e = Exp(a * -2f);
        var far = (Vector512<float>.One - e) / (Vector512<float>.One + e);
        far = Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), -far, far);
        var z = x * x;
        var p = Vector512.Create(-5.70498872745e-3f);
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(2.06390887954e-2f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-5.37397155531e-2f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(1.33314422036e-1f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-3.33332819422e-1f));
        var near = Vector512.FusedMultiplyAdd(p * z, x, x);
        return Vector512.ConditionalSelect(Vector512.LessThan(a, Vector512.Create(0.625f)), near, far);
    }

    /// <summary>sum += x.</summary>
    public static void AddTo(Span<float> sum, ReadOnlySpan<float> x)
    {
        fixed (float* s = sum, p = x)
        {
            var i = 0;
            for (; i <= sum.Length - 16; i += 16) (Vector512.Load(s + i) + Vector512.Load(p + i)).Store(s + i);
            for (; i < sum.Length; i++) s[i] += p[i];
        }
    }

    /// <summary>Σ x, F32, four accumulators.</summary>
    public static float Sum(float* x, int n)
    {
        Vector512<float> a = default, b = default;
        var i = 0;
        for (; i <= n - 32; i += 32)
        {
            a += Vector512.Load(x + i);
            b += Vector512.Load(x + i + 16);
        }
        for (; i <= n - 16; i += 16) a += Vector512.Load(x + i);
        var s = Vector512.Sum(a + b);
        for (; i < n; i++) s += x[i];
        return s;
    }

    /// <summary>Σ (x−c)², F32.</summary>
    public static float SumSquares(float* x, int n, float c = 0f)
    {
        Vector512<float> a = default, m = Vector512.Create(c);
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var d = Vector512.Load(x + i) - m;
            a = Vector512.FusedMultiplyAdd(d, d, a);
        }
        var s = Vector512.Sum(a);
        for (; i < n; i++) s += (x[i] - c) * (x[i] - c);
        return s;
    }

    /// <summary>Σ x·y, F32.</summary>
    public static float Dot(float* x, float* y, int n)
    {
        Vector512<float> a = default;
        var i = 0;
        for (; i <= n - 16; i += 16) a = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), Vector512.Load(y + i), a);
        var s = Vector512.Sum(a);
        for (; i < n; i++) s += x[i] * y[i];
        return s;
    }

    /// <summary>max x; −∞ for n = 0. A NaN anywhere gives NaN.</summary>
    public static float Max(float* x, int n)
    {
        var m = float.NegativeInfinity;
        var i = 0;
        if (n >= 16)
        {
            var v = Vector512.Load(x);
            for (i = 16; i <= n - 16; i += 16) v = Vector512.Max(v, Vector512.Load(x + i));
            for (var k = 0; k < 16; k++) m = MathF.Max(m, v[k]);
        }
        for (; i < n; i++) m = MathF.Max(m, x[i]);
        return m;
    }
}
