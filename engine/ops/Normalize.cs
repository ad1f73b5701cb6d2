using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Rows of length one.
//   forward   y = x / max(‖x‖, ε)
//   backward  dx = (dy − y·(y·dy)) / ‖x‖;  0 where ‖x‖ ≤ ε
//   saved     y, ‖x‖: one float a row
//   care      ‖x‖ = m·√Σ(x/m)², m the largest magnitude, where Σx² leaves F32: squares of 1e20 overflow and of 1e-20 vanish
//   zero row  y = 0 and no gradient: it has no direction, and dy/ε, what the formula's other branch would give, is 10¹²
// Cost: a row stays in L1 between its reads: 8 bytes an element forward and 12 backward in F32, half in BF16.
public static partial class Ops
{
    /// <summary>
    /// Each row of x (…, C) divided by its Euclidean norm, or by <paramref name="eps"/> where that is larger. F32 or BF16; the
    /// result is stored as x is, the norms are F32.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="eps"/> is not positive.</exception>
    public static Tensor L2Normalize(Tensor x, float eps = 1e-12f)
    {
        Require.That(eps > 0, $"expected a positive eps, got {eps}");
        var y = Tensor.Like(x);
        var norm = Tensor.PerRow(x);
        y.Device.Run(y.DType, new L2NormalizeForward(y, norm, x, eps));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, new L2NormalizeBackward(dx, dy, y, norm, eps));
            return [dx];
        }, [norm]);
    }
}

file readonly unsafe struct L2NormalizeForward(Tensor y, Tensor norm, Tensor x, float eps) : IKernel
{
    public Work Work => Work.On("l2_normalize_forward", 3, y, x, norm);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "normalize", "l2_normalize_forward", [("TYPE", type), ("PACK", Pack.Of(type, x.Cols, x, y)), ("THREADS", RowTeam.Threads(x.Cols))],
        RowTeam.Launch(x.Rows, x.Cols), y, norm, x, x.Rows, x.Cols, eps);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var pn = norm.F32;
        var (cols, least) = (x.Cols, eps);
        cpu.ForRange(x.Rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                pn[r] = Norm<V, T>(px + r * cols, cols);
                Loop.Run<V, Divide<T>>(new Divide<T>(py + r * cols, px + r * cols, Math.Max(pn[r], least)), 0, cols);
            }
        });
    }

    /// <summary>‖x‖ without overflow or underflow.</summary>
    private static float Norm<V, T>(T* x, int n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        // Inside these bounds no square overflowed, and those that vanished (below 1e-38) are too small to matter.
        var sum = Rows.SumSquares<V, T>(x, n);
        if (sum is > 1e-28f and < float.PositiveInfinity) return MathF.Sqrt(sum);
        var max = Loop.Max<V, Magnitude<T>>(new Magnitude<T>(x), n);
        if (!(max > 0) || float.IsInfinity(max)) return max; // 0, NaN and ∞ are their own norms
        return max * MathF.Sqrt(Loop.Sum<V, ScaledSquare<T>>(new ScaledSquare<T>(x, max), n));
    }

    private readonly struct Magnitude<T>(T* x) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => V.Abs(T.Load<V>(x + i));
    }

    private readonly struct ScaledSquare<T>(T* x, float by) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V>
        {
            var q = T.Load<V>(x + i) / V.Create(by);
            return q * q;
        }
    }

    /// <summary>A division: 1/by is infinite for the smallest norms.</summary>
    private readonly struct Divide<T>(T* y, T* x, float by) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(x + i) / V.Create(by), y + i);
    }
}

file readonly unsafe struct L2NormalizeBackward(Tensor dx, Tensor dy, Tensor y, Tensor norm, float eps) : IKernel
{
    public Work Work => Work.On("l2_normalize_backward", 5, dx, dy, y, norm);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "normalize", "l2_normalize_backward", [("TYPE", type), ("PACK", Pack.Of(type, y.Cols, dx, dy, y)), ("THREADS", RowTeam.Threads(y.Cols))],
        RowTeam.Launch(y.Rows, y.Cols), dx, dy, y, norm, y.Rows, y.Cols, eps);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), py = y.At<T>();
        var pn = norm.F32;
        var (cols, least) = (y.Cols, eps);
        cpu.ForRange(y.Rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                T* o = pdx + r * cols, g = pdy + r * cols, u = py + r * cols;
                if (pn[r] <= least) new Span<T>(o, cols).Clear();
                else Loop.Run<V, Gradient<T>>(new Gradient<T>(o, g, u, Rows.Dot<V, T>(g, u, cols), pn[r]), 0, cols);
            }
        });
    }

    private readonly struct Gradient<T>(T* dx, T* dy, T* y, float dot, float norm) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            T.Store((T.Load<V>(dy + i) - T.Load<V>(y + i) * V.Create(dot)) / V.Create(norm), dx + i);
    }
}
