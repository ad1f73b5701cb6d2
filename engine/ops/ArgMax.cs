namespace Plip.Engine;

// The place of the largest element of each row.
//   forward   y_r = the smallest c with x_rc = max x_r;  a NaN counts as the largest
//   backward  none: a step function
// Cost: 4 bytes an element; the row is in L1 when its maximum is looked for the second time.
public static partial class Ops
{
    /// <summary>Where each row of x (…, C) is largest, the first place if several are: I32 (rows). It has no gradient.</summary>
    /// <exception cref="ArgumentException">Rows are empty.</exception>
    public static Tensor ArgMax(Tensor x)
    {
        Require.That(x.Cols > 0, $"rows of {x.Shape} are empty");
        var y = Tensor.Empty(x.Device, new Shape(x.Rows), DType.I32);
        y.Device.Run(cpu: cpu => ArgMaxCpu.Forward(cpu, y, x));
        return Tape.RecordWithoutGradient(y, [x]);
    }
}

file static unsafe class ArgMaxCpu
{
    public static void Forward(CpuDevice cpu, Tensor y, Tensor x)
    {
        var py = y.I32;
        var px = x.F32;
        var cols = x.Cols;
        cpu.ForRange(x.Rows, Math.Max(1, CpuDevice.Grain / cols), (from, to) =>
        {
            for (var r = from; r < to; r++) py[r] = First(px + r * cols, cols);
        });
    }

    private static int First(float* row, int n)
    {
        var max = Simd.Max(row, n);
        var span = new ReadOnlySpan<float>(row, n);
        if (!float.IsNaN(max)) return span.IndexOf(max);
        var i = 0;
        while (!float.IsNaN(span[i])) i++;
        return i;
    }
}
