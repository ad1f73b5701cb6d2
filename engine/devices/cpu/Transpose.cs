using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Transposes into F32, four by four in registers: a quarter of the loads and stores of a scalar transpose.</summary>
internal static unsafe class Transpose
{
    // Columns of x, rows of the result, done before the next: lines of the result are written in parts, and stay in L1 until whole.
    private const int Columns = 64;

    /// <summary>to[c·ldt + r] = factor · x[r·ldx + c] for r &lt; rows, c &lt; cols.</summary>
    public static void Run<T>(T* x, nint ldx, int rows, int cols, float* to, nint ldt, float factor = 1f) where T : unmanaged, IElement<T>
    {
        for (var c = 0; c < cols; c += Columns) Strip(x + c, ldx, rows, Math.Min(Columns, cols - c), to + c * ldt, ldt, factor);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Strip<T>(T* x, nint ldx, int rows, int cols, float* to, nint ldt, float factor) where T : unmanaged, IElement<T>
    {
        var f = Vec128.Create(factor);
        var r = 0;
        for (; r <= rows - 4; r += 4)
        {
            T* source = x + r * ldx;
            var target = to + r;
            var c = 0;
            for (; c <= cols - 4; c += 4, source += 4, target += 4 * ldt)
            {
                Vec128 a = T.Load<Vec128>(source) * f, b = T.Load<Vec128>(source + ldx) * f;
                Vec128 d = T.Load<Vec128>(source + 2 * ldx) * f, e = T.Load<Vec128>(source + 3 * ldx) * f;
                Vec128.Transpose(ref a, ref b, ref d, ref e);
                a.Store(target);
                b.Store(target + ldt);
                d.Store(target + 2 * ldt);
                e.Store(target + 3 * ldt);
            }
            for (; c < cols; c++, source++, target += ldt)
                for (var i = 0; i < 4; i++) target[i] = T.Load<Vec1>(source + i * ldx).Value * factor;
        }
        for (; r < rows; r++)
            for (var c = 0; c < cols; c++) to[c * ldt + r] = T.Load<Vec1>(x + r * ldx + c).Value * factor;
    }
}
