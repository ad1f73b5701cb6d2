using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Rows picked by number, and their gradients put back.
//   forward   y_t = x[i_t]
//   backward  dx_r = Σ_{t: i_t = r} dy_t
//   saved     nothing but the indices
//   types     a table's gradient is F32, for it is a parameter's; a picked activation's is stored as the activation is
//   order     positions are put in order of their rows (a counting sort), then each row of dx is summed by one thread in the
//             order of its positions, in F32: no atomics, the same bits for any number of threads, however often a word repeats
// Cost: y once forward. Backward writes all of dx once, zeros included: 94 MB for BERT's 30522 × 768 table, streamed past
// the caches; so a table that does not train should be frozen, and then nothing is written.
public static partial class Ops
{
    /// <summary>
    /// Rows of a table by id: table (V, C) F32 or BF16, ids I32 (T) → (T, C), stored as the table is. The gradient of the
    /// table is F32 in both cases. The backward reads the ids again.
    /// </summary>
    /// <exception cref="ArgumentException">An id is outside 0 … V−1; the error names its position. On a GPU it is thrown by the next read.</exception>
    public static Tensor Embedding(Tensor table, Tensor ids) => Picked(table, ids, IndexFaultKind.Id, DType.F32);

    /// <summary>
    /// Some rows of a matrix, in any order and as often as asked: x (R, C) F32 or BF16, indices I32 (T) → (T, C), stored as
    /// x is. Masked tokens are taken out with it before the projection on the vocabulary, first tokens with the offsets of
    /// their sequences. The backward reads the indices again.
    /// </summary>
    /// <exception cref="ArgumentException">An index is outside 0 … R−1; the error names its position. On a GPU it is thrown by the next read.</exception>
    public static Tensor GatherRows(Tensor x, Tensor indices) => Picked(x, indices, IndexFaultKind.Index, x.DType);

    private static Tensor Picked(Tensor x, Tensor indices, IndexFaultKind kind, DType gradient, [CallerMemberName] string op = "")
    {
        Require.Rank(x, 2, "a matrix of rows (R, C)", op);
        Require.Type(indices, DType.I32, op);
        Require.That(indices.Shape.Rank == 1, $"expected a list (T,) of {(kind == IndexFaultKind.Id ? "id" : "index")} numbers, got {indices.Shape}", op);
        indices.Device.Run(DType.F32, new PickCheck(indices, x.Shape[0], kind, op));
        var y = Tensor.Empty(x.Device, new Shape(indices.Shape[0], x.Cols), x.DType, op);
        y.Device.Run(y.DType, new GatherForward(y, x, indices));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Empty(x.Device, x.Shape, gradient, op);
            dx.Device.Run(dy.DType, new GatherBackward(dx, dy, indices));
            return [dx];
        }, null, op);
    }
}

/// <summary>That all picks lie in 0 … limit−1. A GPU notes the first that does not and sets those to 0 (<see cref="CudaFaults"/>).</summary>
file readonly unsafe struct PickCheck(Tensor picks, int limit, IndexFaultKind kind, string op) : IKernel
{
    public Work Work => Work.On("check_picks", 0, picks);

    public void Run(CudaDevice gpu, DType type)
    {
        if (limit > 0)
            gpu.Launch("faults", "check_picks", [], Launch.BlockPerRow(1), picks, gpu.Faults.Record, (int)picks.Count, limit, (int)kind, gpu.Faults.Of(op));
        else if (picks.Count > 0)
            Check(picks.ToArray<int>()); // of no rows none can be picked, not even row 0
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Check(new(picks.I32, (int)picks.Count));

    private void Check(ReadOnlySpan<int> at)
    {
        for (var t = 0; t < at.Length; t++)
            if ((uint)at[t] >= (uint)limit) throw new IndexFault(kind, op, t, at[t], limit).Exception();
    }
}

file readonly unsafe struct GatherForward(Tensor y, Tensor x, Tensor indices) : IKernel
{
    public Work Work => new("gather_rows", 2 * y.Bytes + indices.Bytes, 0);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "embedding", "gather_rows", [("TYPE", type), ("GRADIENT", DType.F32), ("PACK", Pack.Of(type, x.Cols, x, y))],
        Launch.WarpPerRow(y.Rows), y, x, indices, y.Rows, x.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* py = y.At<T>(), px = x.At<T>();
        var at = indices.I32;
        var cols = x.Cols;
        cpu.ForRange(y.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var t = from; t < to; t++)
            {
                // Rows lie anywhere, and the processor foresees none but the one it reads.
                if (t + 2 < to) Ahead.Line(px + (long)at[t + 2] * cols, cols);
                new ReadOnlySpan<T>(px + (long)at[t] * cols, cols).CopyTo(new Span<T>(py + t * cols, cols));
            }
        });
    }
}

file readonly unsafe struct GatherBackward(Tensor dx, Tensor dy, Tensor indices) : IKernel
{
    public Work Work => new("gather_rows_backward", dx.Bytes + dy.Bytes + indices.Bytes, dy.Count);

    public void Run(CudaDevice gpu, DType type)
    {
        const int Chunk = 64, Threads = 64; // as in the kernels
        int count = dy.Rows, cols = dx.Cols, pack = Pack.Of(DType.F32, cols, dx, dy), chunks = Launch.Blocks(count, Chunk);
        gpu.Clear(dx.Address, dx.Bytes);
        var (order, sorted) = (Tensor.Empty(gpu, new Shape(count), DType.I32), Tensor.Empty(gpu, new Shape(count), DType.I32));
        using var partial = gpu.Scratch(2L * chunks * cols);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("GRADIENT", dx.DType), ("PACK", pack)];
        var grid = Launch.Grid(chunks, Launch.Blocks(cols, Threads * pack)).Of(Threads);
        gpu.Launch("embedding", "sort_picks", constants, Launch.PerElement(count), order, sorted, indices, count);
        gpu.Launch("embedding", "sum_picks", constants, grid, dx, partial, dy, order, sorted, count, cols);
        gpu.Launch("embedding", "join_picks", constants, grid, dx, partial, sorted, count, cols);
        order.Release();
        sorted.Release();
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (dx.DType == DType.F32) Into<V, T, F32>(cpu, Target<F32>.Of(dx, dx.Cols));
        else Into<V, T, T>(cpu, Target<T>.Of(dx, dx.Cols));
    }

    private void Into<V, T, TGradient>(CpuDevice cpu, Target<TGradient> pdx)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TGradient : unmanaged, IElement<TGradient>
    {
        var pdy = dy.At<T>();
        int cols = dx.Cols, rows = dx.Rows, count = dy.Rows;
        using var scratch = cpu.Scratch(rows + 2L + count);
        int* starts = (int*)scratch.At, order = starts + rows + 2;
        Sort(indices.I32, count, starts, rows, order);
        cpu.ForRange(rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++)
            {
                var row = pdx + (nint)(r * cols);
                int first = starts[r], picks = starts[r + 1] - first;
                if (picks == 0) Loop.Run<V, Zero<TGradient>>(new(row), 0, cols);
                else if (picks == 1) Loop.Run<V, Copy<T, TGradient>>(new(row, pdy + (long)order[first] * cols), 0, cols);
                else Sum<V, T, TGradient>(row, pdy, order + first, picks, cols);
            }
        });
    }

    /// <summary>order = positions by (row, position); those of row r are order[starts[r]] … order[starts[r+1] − 1].</summary>
    private static void Sort(int* at, int count, int* starts, int rows, int* order)
    {
        // Counted two places on, so that after the sums starts[r+1] is where row r begins; handing out its places moves it to
        // where row r ends, which is where the next begins.
        new Span<int>(starts, rows + 2).Clear();
        for (var t = 0; t < count; t++) starts[at[t] + 2]++;
        for (var r = 2; r < rows + 2; r++) starts[r] += starts[r - 1];
        for (var t = 0; t < count; t++) order[starts[at[t] + 1]++] = t;
    }

    /// <summary>Σ of the picked rows, a block of columns at a time in F32 that stays in L1.</summary>
    [SkipLocalsInit]
    private static void Sum<V, T, TGradient>(Target<TGradient> row, T* dy, int* picked, int picks, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TGradient : unmanaged, IElement<TGradient>
    {
        const int Block = 256;
        var sum = stackalloc float[Block];
        for (var c = 0; c < cols; c += Block)
        {
            var width = Math.Min(Block, cols - c);
            new Span<float>(sum, width).Clear();
            for (var k = 0; k < picks; k++) Rows.AddTo<V, T>(sum, dy + (long)picked[k] * cols + c, width);
            Loop.Run<V, Copy<F32, TGradient>>(new(row + c, (F32*)sum), 0, width);
        }
    }

    private readonly struct Copy<TFrom, TTo>(Target<TTo> to, TFrom* from) : ILoop
        where TFrom : unmanaged, IElement<TFrom>
        where TTo : unmanaged, IElement<TTo>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => to.Store(TFrom.Load<V>(from + i), i);
    }

    private readonly struct Zero<TTo>(Target<TTo> to) : ILoop where TTo : unmanaged, IElement<TTo>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => to.Store(default(V), i);
    }
}
