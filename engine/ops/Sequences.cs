using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Packed sequences (DESIGN 3): tokens of all sequences one after the other, sequence b is rows cu[b] … cu[b+1]−1.
//   SegmentMean     y_b = 1/n_b Σ_t x_t          dx_t = dy_b / n_b
//   AddPerSequence  y_t = x_t + v_b              dx = dy,  dv_b = Σ_t dy_t      (t over the tokens of b)
//   saved           nothing
// Cost: one pass over the tokens: SegmentMean 4 bytes an element in F32, AddPerSequence 8, half in BF16. A column of a sequence
// is summed in F32 by one thread in the order of its tokens, so the bits never vary.
public static partial class Ops
{
    /// <summary>Mean over the rows of each sequence: x (T, C) F32 or BF16, offsets I32 (B+1) → (B, C), stored as x is.</summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="cuSeqlens">Where each sequence starts, and T at the end; read again by the backward.</param>
    /// <exception cref="ArgumentException">The offsets are not 0 … T in order, or a sequence is empty.</exception>
    public static Tensor SegmentMean(Tensor x, Tensor cuSeqlens)
    {
        Require.Rank(x, 2, "packed rows (T, C)");
        var y = Tensor.Empty(x.Device, new Shape(Packed.Count(cuSeqlens, x.Rows, filled: true), x.Cols), x.DType);
        y.Device.Run(x.DType, new SequenceSum(y, x, cuSeqlens, mean: true));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(dx.DType, new SegmentMeanBackward(dx, dy, cuSeqlens));
            return [dx];
        });
    }

    /// <summary>
    /// Adds a vector to every row of its sequence: x (T, C) F32 or BF16, v (B, C) F32 or as x is, offsets I32 (B+1) → (T, C),
    /// stored as x is.
    /// </summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="v">One vector for each sequence.</param>
    /// <param name="cuSeqlens">Where each sequence starts, and T at the end; read again by the backward.</param>
    /// <exception cref="ArgumentException">The offsets are not 0 … T in order, or v is not (B, C) or of neither type.</exception>
    public static Tensor AddPerSequence(Tensor x, Tensor v, Tensor cuSeqlens)
    {
        Require.Rank(x, 2, "packed rows (T, C)");
        var expected = new Shape(Packed.Count(cuSeqlens, x.Rows), x.Cols);
        Require.That(v.Shape == expected, $"expected one vector for each sequence, {expected}, got {v.Shape}");
        if (v.DType != DType.F32) Require.Type(v, x.DType);
        var y = Tensor.Like(x);
        y.Device.Run(y.DType, new AddPerSequenceForward(y, x, v, cuSeqlens));
        return Tape.Record(y, [x, v], dy =>
        {
            if (!v.NeedsGrad) return [dy, null];
            var dv = Tensor.Like(v);
            dv.Device.Run(dy.DType, new SequenceSum(dv, dy, cuSeqlens, mean: false));
            return [dy, dv];
        });
    }
}

/// <summary>y_b = Σ over the rows of sequence b, or their mean.</summary>
file readonly unsafe struct SequenceSum(Tensor y, Tensor x, Tensor cuSeqlens, bool mean) : IKernel
{
    private const int Block = 1024; // columns a task sums: 4 KB that stay in L1

    public Work Work => Work.On(mean ? "segment_mean" : "segment_sum", 1, x, y, cuSeqlens);

    public void Run(CudaDevice gpu, DType type)
    {
        var pack = Pack.Of(DType.F32, x.Cols, x, y);
        gpu.Launch(
            "sequences", "sequence_sum", [("TYPE", type), ("OTHER", y.DType), ("PACK", pack)],
            Launch.Grid(y.Rows, Launch.Blocks(x.Cols, 32 * pack)).Of(32, 8), y, x, cuSeqlens, x.Cols, mean ? 1 : 0);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (y.DType == DType.F32) Into<V, T, F32>(cpu, (F32*)y.F32);
        else Into<V, T, T>(cpu, y.At<T>());
    }

    private void Into<V, T, TSum>(CpuDevice cpu, TSum* py)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TSum : unmanaged, IElement<TSum>
    {
        var px = x.At<T>();
        var at = cuSeqlens.I32;
        var (cols, divide, blocks) = (x.Cols, mean, (x.Cols + Block - 1) / Block);
        cpu.For(y.Rows * blocks, task =>
        {
            int b = task / blocks, from = task % blocks * Block, width = Math.Min(Block, cols - from);
            int first = at[b], count = at[b + 1] - first;
            Columns<V, T, TSum>(py + (long)b * cols + from, px + (long)first * cols + from, count, cols, width, divide ? 1f / count : 1f);
        });
    }

    [SkipLocalsInit]
    private static void Columns<V, T, TSum>(TSum* y, T* x, int count, int stride, int width, float scale)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TSum : unmanaged, IElement<TSum>
    {
        var sum = stackalloc float[Block];
        RowBlocks.Sum<V, T>(sum, x, stride, count, width);
        Loop.Run<V, Scaled<TSum, F32>>(new(y, (F32*)sum, scale), 0, width);
    }
}

/// <summary>dx_t = dy_b / n_b for the rows t of sequence b.</summary>
file readonly unsafe struct SegmentMeanBackward(Tensor dx, Tensor dy, Tensor cuSeqlens) : IKernel
{
    public Work Work => Work.On("segment_mean_backward", 1, dx, dy, cuSeqlens);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "sequences", "segment_mean_backward", [("TYPE", type), ("OTHER", type), ("PACK", Pack.Of(DType.F32, dx.Cols, dx, dy))],
        Launch.WarpPerRow(dx.Rows), dx, dy, cuSeqlens, dy.Rows, dx.Rows, dx.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), pdy = dy.At<T>();
        var at = cuSeqlens.I32;
        var (cols, last) = (dx.Cols, (int)cuSeqlens.Count - 1);
        cpu.ForRange(dx.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            var b = Packed.SequenceOf(at, last, from);
            for (var t = from; t < to; t++)
            {
                while (at[b + 1] <= t) b++;
                Loop.Run<V, Scaled<T, T>>(new(pdx + t * cols, pdy + (long)b * cols, 1f / (at[b + 1] - at[b])), 0, cols);
            }
        });
    }
}

/// <summary>y_t = x_t + v_b for the rows t of sequence b.</summary>
file readonly unsafe struct AddPerSequenceForward(Tensor y, Tensor x, Tensor v, Tensor cuSeqlens) : IKernel
{
    public Work Work => Work.On("add_per_sequence", 1, y, x, v, cuSeqlens);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "sequences", "add_per_sequence", [("TYPE", type), ("OTHER", v.DType), ("PACK", Pack.Of(DType.F32, x.Cols, y, x, v))],
        Launch.WarpPerRow(x.Rows), y, x, v, cuSeqlens, v.Rows, x.Rows, x.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (v.DType == DType.F32) Add<V, T, F32>(cpu, (F32*)v.F32);
        else Add<V, T, T>(cpu, v.At<T>());
    }

    private void Add<V, T, TVector>(CpuDevice cpu, TVector* pv)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TVector : unmanaged, IElement<TVector>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var at = cuSeqlens.I32;
        var (cols, last) = (x.Cols, (int)cuSeqlens.Count - 1);
        cpu.ForRange(x.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            var b = Packed.SequenceOf(at, last, from);
            for (var t = from; t < to; t++)
            {
                while (at[b + 1] <= t) b++;
                Loop.Run<V, Sum<T, TVector>>(new(py + t * cols, px + t * cols, pv + (long)b * cols), 0, cols);
            }
        });
    }

    private readonly struct Sum<T, TVector>(T* y, T* x, TVector* v) : ILoop
        where T : unmanaged, IElement<T>
        where TVector : unmanaged, IElement<TVector>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(T.Load<V>(x + i) + TVector.Load<V>(v + i), y + i);
    }
}

file readonly unsafe struct Scaled<TTo, TFrom>(TTo* to, TFrom* from, float by) : ILoop
    where TTo : unmanaged, IElement<TTo>
    where TFrom : unmanaged, IElement<TFrom>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void At<V>(long i) where V : struct, IVector<V> => TTo.Store(TFrom.Load<V>(from + i) * V.Create(by), to + i);
}
