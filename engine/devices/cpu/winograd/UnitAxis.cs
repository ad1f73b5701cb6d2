using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>F(2, 3): two neighbouring outputs of a filter that moves by one. 4 products for 6, in two dimensions 16 for 36.</summary>
internal readonly unsafe struct UnitAxis : IWinogradGradientAxis
{
    public static int Inputs => 4;

    public static int Step => 2;

    public static int Outputs => 2;

    public static int Points => 4;

    public static int Kinds => 4;

    public static int Kind(int point) => point;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<V>(float* x, nint xs, float* t, nint ts) where V : struct, IVector<V>
    {
        V x0 = V.Load(x), x1 = V.Load(x + xs), x2 = V.Load(x + 2 * xs), x3 = V.Load(x + 3 * xs);
        (x0 - x2).Store(t);
        (x1 + x2).Store(t + ts);
        (x2 - x1).Store(t + 2 * ts);
        (x1 - x3).Store(t + 3 * ts);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<V>(float* m, nint ms, float* y, nint ys) where V : struct, IVector<V>
    {
        V m1 = V.Load(m + ms), m2 = V.Load(m + 2 * ms);
        (V.Load(m) + m1 + m2).Store(y);
        (m1 - m2 - V.Load(m + 3 * ms)).Store(y + ys);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void OutputGradient<V>(float* dy, nint ys, float* z, nint zs) where V : struct, IVector<V>
    {
        V y0 = V.Load(dy), y1 = V.Load(dy + ys);
        y0.Store(z);
        (y0 + y1).Store(z + zs);
        (y0 - y1).Store(z + 2 * zs);
        (-y1).Store(z + 3 * zs);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Filter<V>(float* w, nint ws, float* u, nint us) where V : struct, IVector<V>
    {
        V w0 = V.Load(w), w1 = V.Load(w + ws), w2 = V.Load(w + 2 * ws), half = V.Create(0.5f);
        w0.Store(u);
        ((w0 + w2 + w1) * half).Store(u + us);
        ((w0 + w2 - w1) * half).Store(u + 2 * us);
        w2.Store(u + 3 * us);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FilterGradient<V>(float* du, nint us, float* dw, nint ws) where V : struct, IVector<V>
    {
        V u1 = V.Load(du + us), u2 = V.Load(du + 2 * us), half = V.Create(0.5f);
        var even = (u1 + u2) * half;
        (V.Load(du) + even).Store(dw);
        ((u1 - u2) * half).Store(dw + ws);
        (even + V.Load(du + 3 * us)).Store(dw + 2 * ws);
    }
}
