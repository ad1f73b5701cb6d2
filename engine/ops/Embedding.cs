using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Rows picked by number, and their gradients put back.
//   forward   y_t = x[i_t]
//   backward  dx_r = Σ_{t: i_t = r} dy_t
//   saved     nothing but the indices
//   order     the positions are sorted by (index, position) and each row of dx is summed by one thread in the order of
//             the positions: no atomics, the same bits for any number of threads, however often a word repeats
// Cost: y once forward. Backward writes all of dx, zeros included: 94 MB for BERT's 30522 × 768 table, so a table that
// does not train should be frozen, and then nothing is written.
public static partial class Ops
{
    /// <summary>Rows of a table by id: table (V, C), ids I32 (T) → (T, C). F32.</summary>
    /// <exception cref="ArgumentException">An id is outside 0 … V−1; the error names its position.</exception>
    public static Tensor Embedding(Tensor table, Tensor ids) => RowsCpu.Gather(table, ids, "id");

    /// <summary>
    /// Some rows of a matrix, in any order and as often as asked: x (R, C), indices I32 (T) → (T, C). Masked tokens are
    /// taken out with it before the projection on the vocabulary, first tokens with the offsets of their sequences. F32.
    /// </summary>
    /// <exception cref="ArgumentException">An index is outside 0 … R−1; the error names its position.</exception>
    public static Tensor GatherRows(Tensor x, Tensor indices) => RowsCpu.Gather(x, indices, "index");
}

file static unsafe class RowsCpu
{
    public static Tensor Gather(Tensor x, Tensor indices, string what, [CallerMemberName] string op = "")
    {
        Require.Rank(x, 2, "a matrix of rows (R, C)", op);
        Require.Type(indices, DType.I32, op);
        Require.That(indices.Shape.Rank == 1, $"expected a list (T,) of {what} numbers, got {indices.Shape}", op);
        var rows = indices.ToArray<int>();
        for (var t = 0; t < rows.Length; t++)
            Require.That(rows[t] >= 0 && rows[t] < x.Shape[0], $"{what} {rows[t]} at position {t} is outside 0..{x.Shape[0] - 1}", op);
        var y = Tensor.Empty(x.Device, new Shape(rows.Length, x.Cols), DType.F32, op);
        y.Device.Run(cpu: cpu => Forward(cpu, y, x, rows));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(cpu: cpu => Backward(cpu, dx, dy, rows));
            return [dx];
        }, null, op);
    }

    private static void Forward(CpuDevice cpu, Tensor y, Tensor x, int[] rows)
    {
        float* py = y.F32, px = x.F32;
        var cols = x.Cols;
        cpu.ForRange(rows.Length, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            for (var t = from; t < to; t++)
                new ReadOnlySpan<float>(px + (long)rows[t] * cols, cols).CopyTo(new Span<float>(py + t * cols, cols));
        });
    }

    private static void Backward(CpuDevice cpu, Tensor dx, Tensor dy, int[] rows)
    {
        float* pdx = dx.F32, pdy = dy.F32;
        var cols = dx.Cols;
        cpu.ForRange(dx.Count, CpuDevice.Grain, (from, to) => new Span<float>(pdx + from, (int)(to - from)).Clear());
        var order = new long[rows.Length];
        for (var t = 0; t < rows.Length; t++) order[t] = ((long)rows[t] << 32) | (uint)t;
        Array.Sort(order);
        cpu.ForRange(order.Length, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols)), (from, to) =>
        {
            // A task owns the runs of equal rows that begin in its range: it skips the run it starts inside and finishes its last.
            var i = (int)from;
            while (i > 0 && i < to && order[i] >> 32 == order[i - 1] >> 32) i++;
            while (i < to)
            {
                var row = order[i] >> 32;
                var sum = new Span<float>(pdx + row * cols, cols);
                for (; i < order.Length && order[i] >> 32 == row; i++)
                    Simd.AddTo(sum, new ReadOnlySpan<float>(pdy + (order[i] & 0xffffffff) * cols, cols));
            }
        });
    }
}
