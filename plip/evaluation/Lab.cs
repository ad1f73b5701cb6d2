namespace Plip.Evaluation;

/// <summary>A colour in CIE 1976 L*a*b* (D65, 2° observer): L in [0, 100], a and b about −100 … 100.</summary>
/// <param name="L">Lightness.</param>
/// <param name="A">Green (−) to red (+).</param>
/// <param name="B">Blue (−) to yellow (+).</param>
public readonly record struct Lab(float L, float A, float B)
{
    /// <summary>From sRGB bytes.</summary>
    public static Lab FromRgb(byte r, byte g, byte b) => FromSrgb(r / 255f, g / 255f, b / 255f);

    /// <summary>From gamma-encoded sRGB in [0, 1]; values outside are clamped, as a display would.</summary>
    public static Lab FromSrgb(float r, float g, float b)
    {
        float lr = Linear(r), lg = Linear(g), lb = Linear(b);
        // IEC 61966-2-1 primaries to XYZ, divided by the white point, so that white is (1, 1, 1).
        var x = Curve((0.4124564f * lr + 0.3575761f * lg + 0.1804375f * lb) / 0.95047f);
        var y = Curve(0.2126729f * lr + 0.7151522f * lg + 0.0721750f * lb);
        var z = Curve((0.0193339f * lr + 0.1191920f * lg + 0.9503041f * lb) / 1.08883f);
        return new Lab(116 * y - 16, 500 * (x - y), 200 * (y - z));
    }

    /// <summary>√(w·ΔL² + Δa² + Δb²); w = 1 is ΔE*ab of 1976.</summary>
    public static float Distance(Lab p, Lab q, float lightnessWeight = 1)
    {
        float dl = p.L - q.L, da = p.A - q.A, db = p.B - q.B;
        return MathF.Sqrt(lightnessWeight * dl * dl + da * da + db * db);
    }

    private static float Linear(float c)
    {
        c = Math.Clamp(c, 0f, 1f);
        return c <= 0.04045f ? c / 12.92f : MathF.Pow((c + 0.055f) / 1.055f, 2.4f);
    }

    private static float Curve(float t) => t > 216f / 24389 ? MathF.Cbrt(t) : (24389f / 27 * t + 16) / 116;
}
