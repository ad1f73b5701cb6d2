using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Softmax and its logarithm over the last axis.
//   Softmax     y = e^(x−m)/Σ e^(x−m)         dx = y⊙(dy − Σ y⊙dy)          saved y
//   LogSoftmax  y = x − m − log Σ e^(x−m)     dx = dy − eʸ·Σ dy             saved y
//   care        m = max x is taken off first: e^x overflows from 89 on
//   −∞          an entry gets probability 0 and no gradient; a row of nothing else gets zeros (log: −∞), not NaN
// Cost: a row stays in L1 through its three reads: 8 bytes an element forward and 12 backward in F32, half in BF16, and one
// exp each way. Softmax keeps its exps in F32 until they are divided: where y is F32 in y itself, where it is BF16 beside it.
public static partial class Ops
{
    /// <summary>Softmax over the last axis. Any shape, F32 or BF16.</summary>
    public static Tensor Softmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, new RowForward<Probability>(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, new SoftmaxBackward(dx, dy, y));
            return [dx];
        });
    }

    /// <summary>Logarithm of <see cref="Softmax"/> over the last axis, without its underflow. Any shape, F32 or BF16.</summary>
    public static Tensor LogSoftmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, new RowForward<LogProbability>(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, new LogSoftmaxBackward(dx, dy, y));
            return [dx];
        });
    }
}

/// <summary>What the softmax, the fused cross entropy and the contrastive losses share.</summary>
internal static unsafe class SoftmaxRows
{
    /// <summary>Σ e^(scale·x − shift).</summary>
    /// <remarks>
    /// A method of its own: several loops of exps in one method are more than the JIT inlines, and what it leaves out is ten
    /// times as slow.
    /// </remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float ExpSum<V, T>(T* x, long n, float shift, float scale = 1f)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, ExpTerm<T>>(new(x, scale, shift), n);

    /// <summary>Launches one of the two backward kernels.</summary>
    public static void Backward(CudaDevice gpu, DType type, string kernel, Tensor dx, Tensor dy, Tensor y)
    {
        var pack = Pack.Of(type, y.Cols, dx, dy, y);
        gpu.Launch(
            "softmax", kernel, [("TYPE", type), ("PACK", pack), ("THREADS", RowTeam.Threads(y.Cols)), ("STEPS", RowTeam.Steps(y.Cols, pack))],
            RowTeam.Launch(y.Rows, y.Cols), dx, dy, y, y.Rows, y.Cols);
    }

    private readonly struct ExpTerm<T>(T* x, float scale, float shift) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => VectorMath.ExpToZero(V.Fma(T.Load<V>(x + i), V.Create(scale), V.Create(-shift)));
    }
}

/// <summary>What a forward writes: made of x − m, or of its exp, and one number of the row.</summary>
file interface IForm
{
    static abstract string Name { get; }

    /// <summary>Whether y is a multiple of the exps; otherwise they are summed and forgotten.</summary>
    static abstract bool KeepsExps { get; }

    static abstract float OfSum(float sum);

    static abstract V Of<V>(V centred, V ofSum) where V : struct, IVector<V>;
}

file readonly struct Probability : IForm
{
    public static string Name => "softmax_forward";

    public static bool KeepsExps => true;

    public static float OfSum(float sum) => 1f / sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<V>(V centred, V ofSum) where V : struct, IVector<V> => VectorMath.ExpToZero(centred) * ofSum;
}

file readonly struct LogProbability : IForm
{
    public static string Name => "log_softmax_forward";

    public static bool KeepsExps => false;

    public static float OfSum(float sum) => MathF.Log(sum);

    // In two steps: x − m is exact where x is near m, and 10⁴ + log Σ would lose the logarithm's digits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<V>(V centred, V ofSum) where V : struct, IVector<V> => centred - ofSum;
}

file readonly unsafe struct RowForward<TForm>(Tensor y, Tensor x) : IKernel where TForm : struct, IForm
{
    private const int MostKept = 4096; // exps beside a BF16 row: 16 KB of L1; a longer row takes them twice

    public Work Work => Work.On(TForm.Name, 20, y, x);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(type, x.Cols, x, y);
        gpu.Launch(
            "softmax", TForm.Name, [("TYPE", type), ("PACK", pack), ("THREADS", RowTeam.Threads(x.Cols)), ("STEPS", RowTeam.Steps(x.Cols, pack))],
            RowTeam.Launch(x.Rows, x.Cols), y, x, x.Rows, x.Cols);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowBlocks.PerTask(cols), (from, to) => Block<V, T>(py + from * cols, px + from * cols, (int)(to - from), cols));
    }

    [SkipLocalsInit]
    private static void Block<V, T>(T* y, T* x, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (TForm.KeepsExps && cols == 4 * V.Count)
        {
            FourVectors<V, T>(y, x, rows);
            return;
        }
        var beside = TForm.KeepsExps && T.Type != DType.F32 && cols <= MostKept;
        var kept = stackalloc float[beside ? cols : 0];
        for (; rows > 0; rows--, y += cols, x += cols)
        {
            var max = Rows.Max<V, T>(x, cols);
            // A row of −∞ has no difference to its maximum: its sum is 0, its centred entries stay −∞.
            if (float.IsNegativeInfinity(max)) max = 0f;
            var exps = !TForm.KeepsExps ? null : T.Type == DType.F32 ? (float*)y : beside ? kept : null;
            var sum = exps != null ? KeepExps<V, T>(exps, x, max, cols) : SoftmaxRows.ExpSum<V, T>(x, cols, max);
            var ofSum = sum == 0 ? 0f : TForm.OfSum(sum);
            if (exps != null) Loop.Run<V, Scale<T>>(new(y, exps, ofSum), 0, cols);
            else Loop.Run<V, Write<T>>(new(y, x, max, ofSum), 0, cols);
        }
    }

    /// <summary>Rows of four vectors: from load to store in registers.</summary>
    /// <remarks>A NaN need not be the maximum: it makes the sum one, and with it the row.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void FourVectors<V, T>(T* y, T* x, int rows)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        for (; rows > 0; rows--, y += 4 * V.Count, x += 4 * V.Count)
        {
            V a = T.Load<V>(x), b = T.Load<V>(x + V.Count), c = T.Load<V>(x + 2 * V.Count), d = T.Load<V>(x + 3 * V.Count);
            var max = V.LargestOr(V.MaxOr(V.MaxOr(a, b), V.MaxOr(c, d)));
            var shift = V.Create(float.IsNegativeInfinity(max) ? 0f : max);
            a = VectorMath.ExpToZero(a - shift);
            b = VectorMath.ExpToZero(b - shift);
            c = VectorMath.ExpToZero(c - shift);
            d = VectorMath.ExpToZero(d - shift);
            var sum = V.Sum(a + b + (c + d));
            var by = V.Create(sum == 0 ? 0f : TForm.OfSum(sum));
            T.Store(a * by, y);
            T.Store(b * by, y + V.Count);
            T.Store(c * by, y + 2 * V.Count);
            T.Store(d * by, y + 3 * V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float KeepExps<V, T>(float* exps, T* x, float max, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, KeepExp<T>>(new(exps, x, max), cols);

    /// <summary>Keeps an exp and sums it.</summary>
    private readonly struct KeepExp<T>(float* e, T* x, float max) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V>
        {
            var exp = VectorMath.ExpToZero(T.Load<V>(x + i) - V.Create(max));
            exp.Store(e + i);
            return exp;
        }
    }

    private readonly struct Scale<T>(T* y, float* e, float by) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Load(e + i) * V.Create(by), y + i);
    }

    private readonly struct Write<T>(T* y, T* x, float max, float ofSum) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(TForm.Of(T.Load<V>(x + i) - V.Create(max), V.Create(ofSum)), y + i);
    }
}

file readonly unsafe struct SoftmaxBackward(Tensor dx, Tensor dy, Tensor y) : IKernel
{
    public Work Work => Work.On("softmax_backward", 4, dx, dy, y);

    public void Run(CudaDevice gpu, DType type) => SoftmaxRows.Backward(gpu, type, "softmax_backward", dx, dy, y);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), py = y.At<T>();
        var cols = y.Cols;
        cpu.ForRange(y.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                T* g = pdy + r * cols, p = py + r * cols;
                Loop.Run<V, Gradient<T>>(new(pdx + r * cols, g, p, Rows.Dot<V, T>(g, p, cols)), 0, cols);
            }
        });
    }

    private readonly struct Gradient<T>(T* dx, T* dy, T* y, float dot) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(y + i) * (T.Load<V>(dy + i) - V.Create(dot)), dx + i);
    }
}

file readonly unsafe struct LogSoftmaxBackward(Tensor dx, Tensor dy, Tensor y) : IKernel
{
    public Work Work => Work.On("log_softmax_backward", 20, dx, dy, y);

    public void Run(CudaDevice gpu, DType type) => SoftmaxRows.Backward(gpu, type, "log_softmax_backward", dx, dy, y);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>(), py = y.At<T>();
        var cols = y.Cols;
        cpu.ForRange(y.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                T* g = pdy + r * cols, p = py + r * cols;
                var sum = Loop.Sum<V, Counted<T>>(new(g, p), cols);
                Loop.Run<V, Gradient<T>>(new(pdx + r * cols, g, p, sum), 0, cols);
            }
        });
    }

    // An entry of −∞ is a constant: its dy counts for nothing, as if it were not in the row.
    private readonly struct Counted<T>(T* dy, T* y) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> =>
            V.Select(V.Equal(T.Load<V>(y + i), V.Create(float.NegativeInfinity)), default, T.Load<V>(dy + i));
    }

    private readonly struct Gradient<T>(T* dx, T* dy, T* y, float sum) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var p = T.Load<V>(y + i);
            var d = T.Load<V>(dy + i) - VectorMath.ExpToZero(p) * V.Create(sum);
            T.Store(V.Select(V.Equal(p, V.Create(float.NegativeInfinity)), default, d), dx + i);
        }
    }
}
