using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// Two outputs of a filter that moves by two: y₀ = x₀w₀ + x₁w₁ + x₂w₂, y₁ = x₂w₀ + x₃w₁ + x₄w₂. The odd inputs meet w₁ alone;
/// the even ones are an F(2, 2) with (w₀, w₂). 5 products for 6, in two dimensions 25 for 36.
/// </summary>
internal readonly unsafe struct StridedAxis : IWinogradGradientAxis
{
    public static int Inputs => 5;

    public static int Step => 4;

    public static int Outputs => 2;

    public static int Points => 5;

    public static int Kinds => 4;

    public static int Kind(int point) => Math.Max(0, point - 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<V>(float* x, nint xs, float* t, nint ts) where V : struct, IVector<V>
    {
        var x2 = V.Load(x + 2 * xs);
        V.Load(x + xs).Store(t);
        V.Load(x + 3 * xs).Store(t + ts);
        (V.Load(x) - x2).Store(t + 2 * ts);
        x2.Store(t + 3 * ts);
        (V.Load(x + 4 * xs) - x2).Store(t + 4 * ts);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<V>(float* m, nint ms, float* y, nint ys) where V : struct, IVector<V>
    {
        var m3 = V.Load(m + 3 * ms);
        (V.Load(m) + V.Load(m + 2 * ms) + m3).Store(y);
        (V.Load(m + ms) + m3 + V.Load(m + 4 * ms)).Store(y + ys);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void OutputGradient<V>(float* dy, nint ys, float* z, nint zs) where V : struct, IVector<V>
    {
        V y0 = V.Load(dy), y1 = V.Load(dy + ys);
        y0.Store(z);
        y1.Store(z + zs);
        y0.Store(z + 2 * zs);
        (y0 + y1).Store(z + 3 * zs);
        y1.Store(z + 4 * zs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Filter<V>(float* w, nint ws, float* u, nint us) where V : struct, IVector<V>
    {
        V w0 = V.Load(w), w2 = V.Load(w + 2 * ws);
        V.Load(w + ws).Store(u);
        w0.Store(u + us);
        (w0 + w2).Store(u + 2 * us);
        w2.Store(u + 3 * us);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FilterGradient<V>(float* du, nint us, float* dw, nint ws) where V : struct, IVector<V>
    {
        var u2 = V.Load(du + 2 * us);
        (V.Load(du + us) + u2).Store(dw);
        V.Load(du).Store(dw + ws);
        (u2 + V.Load(du + 3 * us)).Store(dw + 2 * ws);
    }
}
