using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Mean negative log-likelihood of the labelled class, softmax fused in.
//   forward   L = 1/n Σ_t (lse_t − x_t[label_t]),  lse_t = log Σ_v e^(x_tv),  n = rows that are not ignored
//   backward  dx_t = dL/n · (e^(x_t − lse_t) − onehot(label_t));  0 for ignored rows
//   saved     x, n, and lse: one float a row. Probabilities are recomputed in the pass that writes dx, so no (T, V) tensor
//             but dx itself is ever written.
//   care      the largest logit is taken off before exp; losses are summed in F64 in the order of the rows
// Cost: x read once forward (4 bytes an element in F32), once backward with dx written (8); half that in BF16. At V = 30522
// a row is 122 KB and stays in L2 between its maximum and its sum. Where the logits are made for this loss alone,
// LinearCrossEntropy does without them.
public static partial class Ops
{
    /// <summary>
    /// Mean cross entropy: logits (T, V) F32 or BF16, labels I32 (T) → F32 scalar; 0, with zero gradient, when every row is ignored.
    /// </summary>
    /// <param name="logits">Unnormalised log-probabilities.</param>
    /// <param name="labels">The right class of each row, or <paramref name="ignoreIndex"/>; read again by the backward.</param>
    /// <param name="ignoreIndex">The label of rows that do not count.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or a label is outside 0 … V−1 (the error names its row; on a GPU the next read throws it).</exception>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, int ignoreIndex = -100)
    {
        Require.Rank(logits, 2, "logits (T, V)");
        Require.Type(labels, DType.I32);
        Require.That(labels.Count == logits.Shape[0], $"expected one label for each row of {logits.Shape}, got {labels.Shape}");
        var counted = Tensor.Empty(logits.Device, new Shape(1), DType.I32);
        labels.Device.Run(DType.F32, new LabelCount(counted, labels, logits.Cols, ignoreIndex, nameof(CrossEntropy)));
        var y = Tensor.Empty(logits.Device, new Shape());
        var lse = Tensor.PerRow(logits);
        y.Device.Run(logits.DType, new CrossEntropyForward(y, lse, logits, labels, ignoreIndex, counted));
        return Tape.Record(y, [logits], dy =>
        {
            var dx = Tensor.Like(logits);
            dx.Device.Run(dx.DType, new CrossEntropyBackward(dx, dy, lse, logits, labels, ignoreIndex, counted));
            return [dx];
        }, [lse, counted]);
    }
}

/// <summary>
/// How many rows are not ignored, their labels checked. A GPU notes the first label that is no class and ignores it (<see cref="CudaFaults"/>); the
/// number stays there: a captured graph counts anew in each replay.
/// </summary>
internal readonly unsafe struct LabelCount(Tensor counted, Tensor labels, int classes, int ignore, string op) : IKernel
{
    public Work Work => Work.On("count_labels", 0, labels);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "faults", "count_labels", [], Launch.BlockPerRow(1),
        counted, labels, gpu.Faults.Record, (int)labels.Count, classes, ignore, gpu.Faults.Of(op));

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var at = labels.I32;
        var count = 0;
        for (var t = 0; t < labels.Count; t++)
        {
            if (at[t] == ignore) continue;
            if ((uint)at[t] >= (uint)classes)
                throw new IndexFault(IndexFaultKind.Label, op, t, at[t], classes, ignore).Exception();
            count++;
        }
        *counted.I32 = count;
    }
}

file readonly unsafe struct CrossEntropyForward(
    Tensor y, Tensor lse, Tensor x, Tensor labels, int ignore, Tensor counted) : IKernel
{
    public Work Work => Work.On("cross_entropy_forward", 18, x, lse, labels);

    public void Run(CudaDevice gpu, DType type)
    {
        using var losses = gpu.Scratch(x.Rows);
        ReadOnlySpan<Define> constants = [("TYPE", type), ("PACK", 16 / type.Size()), ("THREADS", RowTeam.Threads(x.Cols))];
        gpu.Launch(
            "cross_entropy", "cross_entropy_forward", constants, RowTeam.Launch(x.Rows, x.Cols),
            losses, lse, x, labels, x.Rows, x.Cols, ignore);
        CrossEntropyMean.Launch(gpu, constants, y, losses, counted, x.Rows);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var px = x.At<T>();
        var pl = lse.F32;
        var at = labels.I32;
        var (rows, cols, ignored) = (x.Rows, x.Cols, ignore);
        using var scratch = cpu.Scratch(rows);
        var losses = scratch.At;
        cpu.ForRange(rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var t = from; t < to; t++)
            {
                losses[t] = 0;
                if (at[t] == ignored) continue;
                T* row = px + t * cols;
                // max + log Σ − x[label], the two large terms first: with logits of 10⁴ their difference is exact.
                var max = Rows.Max<V, T>(row, cols);
                var log = MathF.Log(SoftmaxRows.ExpSum<V, T>(row, cols, max));
                pl[t] = max + log;
                losses[t] = max - T.Load<Vec1>(row + at[t]).Value + log;
            }
        });
        *y.F32 = CrossEntropyMean.Of(losses, rows, *counted.I32);
    }
}

/// <summary>The mean of losses over the rows that count, summed in F64 in the order of the rows; 0 of none.</summary>
internal static unsafe class CrossEntropyMean
{
    public static void Launch(CudaDevice gpu, ReadOnlySpan<Define> constants, Tensor y, CudaScratch losses, Tensor counted, int rows) =>
        gpu.Launch("cross_entropy", "cross_entropy_mean", constants, Engine.Launch.Grid(1).Of(256), y, losses, counted, rows);

    public static float Of(float* losses, int rows, int counted)
    {
        double sum = 0;
        for (var t = 0; t < rows; t++) sum += losses[t];
        return counted == 0 ? 0f : (float)(sum / counted);
    }
}

file readonly unsafe struct CrossEntropyBackward(
    Tensor dx, Tensor dy, Tensor lse, Tensor x, Tensor labels, int ignore, Tensor counted) : IKernel
{
    public Work Work => Work.On("cross_entropy_backward", 18, dx, x, lse, labels);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "cross_entropy", "cross_entropy_backward", [("TYPE", type), ("PACK", Pack.Of(type, x, dx)), ("THREADS", RowTeam.Threads(x.Cols))],
        RowTeam.Launch(x.Rows, x.Cols), dx, dy, lse, x, labels, counted, x.Rows, x.Cols, ignore);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        T* pdx = dx.At<T>(), px = x.At<T>();
        var pl = lse.F32;
        var at = labels.I32;
        var (cols, ignored, scale) = (x.Cols, ignore, *counted.I32 == 0 ? 0f : *dy.F32 / *counted.I32);
        cpu.ForRange(x.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var t = from; t < to; t++)
            {
                T* o = pdx + t * cols, row = px + t * cols;
                if (at[t] == ignored)
                {
                    new Span<T>(o, cols).Clear();
                    continue;
                }
                Loop.Run<V, Gradient<T>>(new(o, row, pl[t], scale), 0, cols);
                // Written whole, not corrected in place: p − 1 is rounded once when dx is BF16.
                var p = VectorMath.ExpToZero(T.Load<Vec1>(row + at[t]) - new Vec1(pl[t]));
                T.Store((p - new Vec1(1f)) * new Vec1(scale), o + at[t]);
            }
        });
    }

    private readonly struct Gradient<T>(T* dx, T* x, float lse, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> =>
            T.Store(VectorMath.ExpToZero(T.Load<V>(x + i) - V.Create(lse)) * V.Create(scale), dx + i);
    }
}
