using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Mean negative log-likelihood of the labelled class, softmax fused in.
//   forward   L = 1/n Σ_t (lse_t − x_t[label_t]),  lse_t = log Σ_v e^(x_tv),  n = rows that are not ignored
//   backward  dx_t = dL/n · (e^(x_t − lse_t) − onehot(label_t));  0 for ignored rows
//   saved     x, and lse: one float a row. Probabilities are recomputed in the pass that writes dx, so no (T, V) tensor
//             but dx itself is ever written.
//   care      the largest logit is taken off before exp; losses are summed in F64 in the order of the rows
// Cost: x read once forward (4 bytes an element), once backward with dx written (8). At V = 30522 a row is 122 KB; to
// project only the rows that count, take them first with GatherRows.
public static partial class Ops
{
    /// <summary>Mean cross entropy: logits (T, V) F32, labels I32 (T) → scalar; 0, with zero gradient, when every row is ignored.</summary>
    /// <param name="logits">Unnormalised log-probabilities.</param>
    /// <param name="labels">The right class of each row, or <paramref name="ignoreIndex"/>.</param>
    /// <param name="ignoreIndex">The label of rows that do not count.</param>
    /// <exception cref="ArgumentException">Shapes do not fit, or a label is outside 0 … V−1 (the error names its row).</exception>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, int ignoreIndex = -100)
    {
        Require.Rank(logits, 2, "logits (T, V)");
        Require.Type(labels, DType.I32);
        Require.That(labels.Count == logits.Shape[0], $"expected one label for each row of {logits.Shape}, got {labels.Shape}");
        var classes = labels.ToArray<int>();
        var counted = 0;
        for (var t = 0; t < classes.Length; t++)
        {
            if (classes[t] == ignoreIndex) continue;
            Require.That(classes[t] >= 0 && classes[t] < logits.Cols,
                $"row {t} has label {classes[t]}, outside 0..{logits.Cols - 1}; rows to leave out carry {ignoreIndex}");
            counted++;
        }
        var y = Tensor.Empty(logits.Device, new Shape());
        var lse = Tensor.Empty(logits.Device, new Shape(classes.Length));
        y.Device.Run(cpu: cpu => CrossEntropyCpu.Forward(cpu, y, lse, logits, classes, ignoreIndex, counted));
        return Tape.Record(y, [logits], dy =>
        {
            var dx = Tensor.Like(logits);
            dx.Device.Run(cpu: cpu => CrossEntropyCpu.Backward(cpu, dx, dy, lse, logits, classes, ignoreIndex, counted));
            return [dx];
        }, [lse]);
    }
}

file static unsafe class CrossEntropyCpu
{
    public static void Forward(CpuDevice cpu, Tensor y, Tensor lse, Tensor x, int[] labels, int ignore, int counted)
    {
        float* px = x.F32, pl = lse.F32;
        var cols = x.Cols;
        var losses = new float[labels.Length];
        cpu.ForRange(labels.Length, SoftmaxCpu.RowsPerTask(cols), (from, to) =>
        {
            for (var t = from; t < to; t++)
            {
                if (labels[t] == ignore) continue;
                float* row = px + t * cols;
                // max + log Σ − x[label], the two large terms first: with logits of 10⁴ their difference is exact.
                var max = Simd.Max(row, cols);
                var log = MathF.Log(SoftmaxCpu.ExpSum(row, cols, max));
                pl[t] = max + log;
                losses[t] = max - row[labels[t]] + log;
            }
        });
        double sum = 0;
        foreach (var l in losses) sum += l;
        *y.F32 = counted == 0 ? 0f : (float)(sum / counted);
    }

    public static void Backward(CpuDevice cpu, Tensor dx, Tensor dy, Tensor lse, Tensor x, int[] labels, int ignore, int counted)
    {
        float* pdx = dx.F32, px = x.F32, pl = lse.F32;
        var cols = x.Cols;
        var scale = counted == 0 ? 0f : *dy.F32 / counted;
        cpu.ForRange(labels.Length, SoftmaxCpu.RowsPerTask(cols), (from, to) =>
        {
            for (var t = from; t < to; t++)
            {
                float* o = pdx + t * cols, row = px + t * cols;
                if (labels[t] == ignore)
                {
                    new Span<float>(o, cols).Clear();
                    continue;
                }
                var shift = Vector512.Create(pl[t]);
                for (var i = 0; i < cols; i += 16)
                {
                    var v = Simd.ExpToZero(Vector512.Load(row + i) - shift) * scale;
                    if (i <= cols - 16) v.Store(o + i);
                    else
                        for (var k = 0; i + k < cols; k++) o[i + k] = v[k];
                }
                o[labels[t]] -= scale;
            }
        });
    }
}
