using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Packed sequences (DESIGN 3): tokens of all sequences one after the other, sequence b is rows cu[b] … cu[b+1]−1.
//   SegmentMean     y_b = 1/n_b Σ_t x_t          dx_t = dy_b / n_b
//   AddPerSequence  y_t = x_t + v_b              dx = dy,  dv_b = Σ_t dy_t      (t over the tokens of b)
//   saved           nothing
// Cost: one pass over the tokens. A sequence is summed by one thread in the order of its tokens, so the bits never vary.
public static partial class Ops
{
    /// <summary>Mean over the rows of each sequence: x (T, C), offsets I32 (B+1) → (B, C). F32.</summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="cuSeqlens">Where each sequence starts, and T at the end.</param>
    /// <exception cref="ArgumentException">The offsets are not 0 … T in order, or a sequence is empty.</exception>
    public static Tensor SegmentMean(Tensor x, Tensor cuSeqlens)
    {
        Require.Rank(x, 2, "packed rows (T, C)");
        var offsets = Packed.Offsets(cuSeqlens, x.Rows);
        for (var b = 0; b + 1 < offsets.Length; b++)
            Require.That(offsets[b] < offsets[b + 1], $"sequence {b} is empty and has no mean");
        var y = Tensor.Empty(x.Device, new Shape(offsets.Length - 1, x.Cols));
        y.Device.Run(cpu: cpu => SequencesCpu.Sum(cpu, y, x, offsets, mean: true));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x);
            dx.Device.Run(cpu: cpu => SequencesCpu.SpreadMean(cpu, dx, dy, offsets));
            return [dx];
        });
    }

    /// <summary>Adds a vector to every row of its sequence: x (T, C), v (B, C), offsets I32 (B+1) → (T, C). F32.</summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="v">One vector for each sequence.</param>
    /// <param name="cuSeqlens">Where each sequence starts, and T at the end.</param>
    /// <exception cref="ArgumentException">The offsets are not 0 … T in order, or v is not (B, C).</exception>
    public static Tensor AddPerSequence(Tensor x, Tensor v, Tensor cuSeqlens)
    {
        Require.Rank(x, 2, "packed rows (T, C)");
        var offsets = Packed.Offsets(cuSeqlens, x.Rows);
        var expected = new Shape(offsets.Length - 1, x.Cols);
        Require.That(v.Shape == expected, $"expected one vector for each sequence, {expected}, got {v.Shape}");
        var y = Tensor.Like(x);
        y.Device.Run(cpu: cpu => SequencesCpu.AddVector(cpu, y, x, v, offsets));
        return Tape.Record(y, [x, v], dy =>
        {
            if (!v.NeedsGrad) return [dy, null];
            var dv = Tensor.Like(v);
            dv.Device.Run(cpu: cpu => SequencesCpu.Sum(cpu, dv, dy, offsets, mean: false));
            return [dy, dv];
        });
    }
}

/// <summary>Reading and checking the offsets of packed sequences.</summary>
internal static class Packed
{
    /// <summary>The offsets on the host, checked: 0 first, never falling, <paramref name="rows"/> last.</summary>
    public static int[] Offsets(Tensor cuSeqlens, int rows, [CallerMemberName] string op = "")
    {
        Require.Type(cuSeqlens, DType.I32, op);
        Require.That(cuSeqlens.Shape.Rank == 1 && cuSeqlens.Count > 0, $"expected offsets (B+1,), got {cuSeqlens.Shape}", op);
        var at = cuSeqlens.ToArray<int>();
        Require.That(at[0] == 0, $"the offsets start at {at[0]}; the first sequence starts at row 0", op);
        for (var b = 1; b < at.Length; b++)
            Require.That(at[b] >= at[b - 1], $"the offsets fall from {at[b - 1]} to {at[b]} at position {b}", op);
        Require.That(at[^1] == rows, $"the offsets end at {at[^1]}, but there are {rows} rows", op);
        return at;
    }
}

file static unsafe class SequencesCpu
{
    public static void Sum(CpuDevice cpu, Tensor y, Tensor x, int[] offsets, bool mean)
    {
        float* py = y.F32, px = x.F32;
        var cols = x.Cols;
        cpu.For(offsets.Length - 1, b =>
        {
            var row = new Span<float>(py + (long)b * cols, cols);
            row.Clear();
            for (var t = offsets[b]; t < offsets[b + 1]; t++) Simd.AddTo(row, new ReadOnlySpan<float>(px + (long)t * cols, cols));
            if (mean) Scale(py + (long)b * cols, py + (long)b * cols, cols, 1f / (offsets[b + 1] - offsets[b]));
        });
    }

    public static void SpreadMean(CpuDevice cpu, Tensor dx, Tensor dy, int[] offsets)
    {
        float* pdx = dx.F32, pdy = dy.F32;
        var cols = dx.Cols;
        cpu.For(offsets.Length - 1, b =>
        {
            for (var t = offsets[b]; t < offsets[b + 1]; t++)
                Scale(pdx + (long)t * cols, pdy + (long)b * cols, cols, 1f / (offsets[b + 1] - offsets[b]));
        });
    }

    public static void AddVector(CpuDevice cpu, Tensor y, Tensor x, Tensor v, int[] offsets)
    {
        float* py = y.F32, px = x.F32, pv = v.F32;
        var cols = x.Cols;
        cpu.For(offsets.Length - 1, b =>
        {
            var add = pv + (long)b * cols;
            for (var t = offsets[b]; t < offsets[b + 1]; t++)
            {
                float* o = py + (long)t * cols, i = px + (long)t * cols;
                var c = 0;
                for (; c <= cols - 16; c += 16) (Vector512.Load(i + c) + Vector512.Load(add + c)).Store(o + c);
                for (; c < cols; c++) o[c] = i[c] + add[c];
            }
        });
    }

    private static void Scale(float* y, float* x, int n, float by)
    {
        var i = 0;
        for (; i <= n - 16; i += 16) (Vector512.Load(x + i) * by).Store(y + i);
        for (; i < n; i++) y[i] = x[i] * by;
    }
}
