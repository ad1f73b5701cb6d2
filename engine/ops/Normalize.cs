using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Rows of length one.
//   forward   y = x / max(‖x‖, ε)
//   backward  dx = (dy − y·(y·dy)) / ‖x‖;  0 where ‖x‖ ≤ ε
//   saved     y, ‖x‖: one float a row
//   care      ‖x‖ = m·√Σ(x/m)², m the largest magnitude: squares of 1e20 overflow and of 1e-20 vanish in F32
//   zero row  y = 0 and no gradient: it has no direction, and dy/ε, what the formula's other branch would give, is 10¹²
// Cost: a row stays in L1 between its three reads: 8 bytes an element forward, 12 backward.
public static partial class Ops
{
    /// <summary>Each row of x (…, C) divided by its Euclidean norm, or by <paramref name="eps"/> where that is larger. F32.</summary>
    /// <exception cref="ArgumentException"><paramref name="eps"/> is not positive.</exception>
    public static Tensor L2Normalize(Tensor x, float eps = 1e-12f)
    {
        Require.That(eps > 0, $"expected a positive eps, got {eps}");
        var y = Tensor.Like(x);
        var norm = Tensor.PerRow(x);
        y.Device.Run(cpu: cpu => NormalizeCpu.Forward(cpu, y, norm, x, eps));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => NormalizeCpu.Backward(cpu, dx, dy, y, norm, eps));
            return [dx];
        }, [norm]);
    }
}

file static unsafe class NormalizeCpu
{
    public static void Forward(CpuDevice cpu, Tensor y, Tensor norm, Tensor x, float eps)
    {
        float* py = y.F32, pn = norm.F32, px = x.F32;
        var cols = x.Cols;
        cpu.ForRange(x.Rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* row = px + r * cols, o = py + r * cols;
                pn[r] = Norm(row, cols, o);
                Divide(o, row, cols, Math.Max(pn[r], eps));
            }
        });
    }

    /// <summary>‖x‖ without overflow or underflow; <paramref name="scratch"/> holds n floats.</summary>
    private static float Norm(float* x, int n, float* scratch)
    {
        Vector512<float> m = default;
        var i = 0;
        for (; i <= n - 16; i += 16) m = Vector512.Max(m, Vector512.Abs(Vector512.Load(x + i)));
        var max = 0f;
        for (var k = 0; k < 16; k++) max = MathF.Max(max, m[k]);
        for (; i < n; i++) max = MathF.Max(max, MathF.Abs(x[i]));
        if (!(max > 0) || float.IsInfinity(max)) return max; // 0, NaN and ∞ are their own norms
        // Squares of what lies well inside the range need no scaling, and that is every row in practice.
        if (max is > 1e-15f and < 1e15f) return MathF.Sqrt(Simd.SumSquares(x, n));
        Divide(scratch, x, n, max);
        return max * MathF.Sqrt(Simd.SumSquares(scratch, n));
    }

    /// <summary>y = x / by. A division: 1/by is infinite for the smallest norms.</summary>
    private static void Divide(float* y, float* x, int n, float by)
    {
        var d = Vector512.Create(by);
        var i = 0;
        for (; i <= n - 16; i += 16) (Vector512.Load(x + i) / d).Store(y + i);
        for (; i < n; i++) y[i] = x[i] / by;
    }

    public static void Backward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor y, Tensor norm, float eps)
    {
        float* pdx = dx.F32, pdy = dy.F32, py = y.F32, pn = norm.F32;
        var cols = y.Cols;
        cpu.ForRange(y.Rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                float* o = pdx + r * cols, g = pdy + r * cols, u = py + r * cols;
                if (pn[r] <= eps)
                {
                    new Span<float>(o, cols).Clear();
                    continue;
                }
                var dot = Simd.Dot(g, u, cols);
                Vector512<float> vd = Vector512.Create(dot), vn = Vector512.Create(pn[r]);
                var i = 0;
                for (; i <= cols - 16; i += 16) ((Vector512.Load(g + i) - Vector512.Load(u + i) * vd) / vn).Store(o + i);
                for (; i < cols; i++) o[i] = (g[i] - u[i] * dot) / pn[r];
            }
        });
    }
}
