using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Softmax and its logarithm over the last axis.
//   Softmax     y = e^(x−m)/Σ e^(x−m)         dx = y⊙(dy − Σ y⊙dy)          saved y
//   LogSoftmax  y = x − m − log Σ e^(x−m)     dx = dy − eʸ·Σ dy             saved y
//   care        m = max x is taken off first: e^x overflows from 89 on
//   −∞          an entry gets probability 0 and no gradient; a row of nothing else gets zeros (log: −∞), not NaN
// Cost: a row stays in L1 through its three reads: 8 bytes an element forward and 12 backward in F32, half in BF16, and two
// exps at most. The second exp of Softmax is cheaper than keeping the first in F32 beside a BF16 result.
public static partial class Ops
{
    /// <summary>Softmax over the last axis. Any shape, F32 or BF16.</summary>
    public static Tensor Softmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, cpu: new RowForward<Probability>(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, cpu: new SoftmaxBackward(dx, dy, y));
            return [dx];
        });
    }

    /// <summary>Logarithm of <see cref="Softmax"/> over the last axis, without its underflow. Any shape, F32 or BF16.</summary>
    public static Tensor LogSoftmax(Tensor x)
    {
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, cpu: new RowForward<LogProbability>(y, x));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, cpu: new LogSoftmaxBackward(dx, dy, y));
            return [dx];
        });
    }
}

/// <summary>What the softmax, the fused cross entropy and the contrastive losses share.</summary>
internal static unsafe class SoftmaxRows
{
    /// <summary>Σ e^(scale·x − shift).</summary>
    public static float ExpSum<V, T>(T* x, long n, float shift, float scale = 1f)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, ExpTerm<T>>(new(x, scale, shift), n);

    private readonly struct ExpTerm<T>(T* x, float scale, float shift) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => VectorMath.ExpToZero(V.Fma(T.Load<V>(x + i), V.Create(scale), V.Create(-shift)));
    }
}

/// <summary>What a forward writes: made of x − m and one number of the row.</summary>
file interface IForm
{
    static abstract string Name { get; }

    static abstract float OfSum(float sum);

    static abstract V Of<V>(V centred, V ofSum) where V : struct, IVector<V>;
}

file readonly struct Probability : IForm
{
    public static string Name => "softmax_forward";

    public static float OfSum(float sum) => 1f / sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<V>(V centred, V ofSum) where V : struct, IVector<V> => VectorMath.ExpToZero(centred) * ofSum;
}

file readonly struct LogProbability : IForm
{
    public static string Name => "log_softmax_forward";

    public static float OfSum(float sum) => MathF.Log(sum);

    // In two steps: x − m is exact where x is near m, and 10⁴ + log Σ would lose the logarithm's digits.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<V>(V centred, V ofSum) where V : struct, IVector<V> => centred - ofSum;
}

file readonly unsafe struct RowForward<TForm>(Tensor y, Tensor x) : ICpuKernel where TForm : struct, IForm
{
    public Work Work => Work.On(TForm.Name, 20, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                T* row = px + r * cols;
                var max = Rows.Max<V, T>(row, cols);
                // A row of −∞ has no difference to its maximum: its sum is 0, its centred entries stay −∞.
                if (float.IsNegativeInfinity(max)) max = 0f;
                var sum = SoftmaxRows.ExpSum<V, T>(row, cols, max);
                Loop.Run<V, Write<T>>(new(py + r * cols, row, max, sum == 0 ? 0f : TForm.OfSum(sum)), 0, cols);
            }
        });
    }

    private readonly struct Write<T>(T* y, T* x, float max, float ofSum) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(TForm.Of(T.Load<V>(x + i) - V.Create(max), V.Create(ofSum)), y + i);
    }
}

file readonly unsafe struct SoftmaxBackward(Tensor dx, Tensor dy, Tensor y) : ICpuKernel
{
    public Work Work => Work.On("softmax_backward", 4, dx, dy, y);

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

file readonly unsafe struct LogSoftmaxBackward(Tensor dx, Tensor dy, Tensor y) : ICpuKernel
{
    public Work Work => Work.On("log_softmax_backward", 20, dx, dy, y);

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
