namespace Plip.Engine;

// The place of the largest element of each row.
//   forward   y_r = the smallest c with x_rc = max x_r;  a NaN counts as the largest
//   backward  none: a step function
// Cost: 4 bytes an element in F32, 2 in BF16; the row is in L1 when its maximum is looked for the second time.
public static partial class Ops
{
    /// <summary>Where each row of x (…, C) is largest, the first place if several are: F32 or BF16 → I32 (rows). It has no gradient.</summary>
    /// <exception cref="ArgumentException">Rows are empty.</exception>
    public static Tensor ArgMax(Tensor x)
    {
        Require.That(x.Cols > 0, $"rows of {x.Shape} are empty");
        var y = Tensor.Empty(x.Device, new Shape(x.Rows), DType.I32);
        y.Device.Run(x.DType, new ArgMaxKernel(y, x));
        return Tape.RecordWithoutGradient(y, [x]);
    }
}

file readonly unsafe struct ArgMaxKernel(Tensor y, Tensor x) : IKernel
{
    public Work Work => Work.On("arg_max", 1, x, y);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "arg_max", "arg_max", [("TYPE", type), ("PACK", 16 / type.Size()), ("THREADS", RowTeam.Threads(x.Cols))],
        RowTeam.Launch(x.Rows, x.Cols), y, x, x.Rows, x.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var py = y.I32;
        var px = x.At<T>();
        var cols = x.Cols;
        cpu.ForRange(x.Rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++) py[r] = First<V, T>(px + r * cols, cols);
        });
    }

    private static int First<V, T>(T* row, int n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var max = Rows.Max<V, T>(row, n);
        var i = 0;
        if (float.IsNaN(max))
        {
            while (!float.IsNaN(T.Load<Vec1>(row + i).Value)) i++;
            return i;
        }
        V top = V.Create(max), one = V.Create(1f);
        while (i <= n - V.Count && V.Sum(V.Where(V.Equal(T.Load<V>(row + i), top), one)) == 0) i += V.Count;
        while (T.Load<Vec1>(row + i).Value != max) i++;
        return i;
    }
}
