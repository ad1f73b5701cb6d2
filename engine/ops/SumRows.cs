using System.Runtime.CompilerServices;

namespace Plip.Engine;

// The sum of all rows, and its inverse, a vector repeated: the gradient of a bias and a bias.
//   SumRows        y_c = Σ_r x_rc       dx_rc = dy_c      y is F32 whatever x is: it is mostly a parameter's gradient
//   BroadcastRows  y_rc = v_c           dv_c = Σ_r dy_rc
//   saved          nothing
//   order          blocks of rows, fixed by the shape, are summed in F32 and then added in order
// Cost: one pass: 4 bytes an element in F32, 2 in BF16. Four rows are added at a time, so that a sum is loaded and stored once
// for four elements; rows narrower than a vector are taken several abreast, as one wide row, and folded at the end.
public static partial class Ops
{
    /// <summary>Σ over all rows: (…, C) F32 or BF16 → (C), always F32. Partial sums are F32 over fixed blocks of rows, then added in order.</summary>
    public static Tensor SumRows(Tensor x)
    {
        var y = Tensor.Empty(x.Device, new Shape(x.Cols));
        y.Device.Run(x.DType, new SumRowsKernel(y, x));
        return Tape.Record(y, [x], dy => [BroadcastRows(dy, x.Shape, x.DType)]);
    }

    /// <summary>
    /// Repeats a vector (C) over all rows of <paramref name="shape"/> (…, C); the gradient is <see cref="SumRows"/>, stored as
    /// the vector is.
    /// </summary>
    /// <param name="v">F32 or BF16, C elements in any shape.</param>
    /// <param name="shape">The shape of the result.</param>
    /// <param name="type">The type of the result: the vector's, which is the default, or BF16 from an F32 vector.</param>
    /// <exception cref="ArgumentException">The vector is not C long, or it is BF16 and the result is to be F32.</exception>
    public static Tensor BroadcastRows(Tensor v, Shape shape, DType? type = null)
    {
        var result = type ?? v.DType;
        Require.That(v.Count == shape.Cols, $"expected a vector of {shape.Cols} for {shape}, got {v.Shape}");
        Require.That(v.DType == DType.F32 || v.DType == result,
            $"a vector of {v.DType} is repeated as {v.DType}, not {result}; convert it first with Ops.Cast");
        var y = Tensor.Empty(v.Device, shape, result);
        y.Device.Run(result, new BroadcastRowsKernel(y, v));
        return Tape.Record(y, [v], dy =>
        {
            var sum = SumRows(dy);
            var stored = Cast(sum, v.DType);
            var dv = stored.View(v.Shape);
            stored.Release();
            sum.Release();
            return [dv];
        });
    }
}

/// <summary>Rows taken several at a time.</summary>
internal static unsafe class RowBlocks
{
    /// <summary>Rows a task takes: about <see cref="CpuDevice.Grain"/> elements.</summary>
    public static int PerTask(int cols) => Math.Max(1, CpuDevice.Grain / Math.Max(1, cols));

    /// <summary>sum[0..cols] = Σ over <paramref name="rows"/> rows, <paramref name="stride"/> elements apart, in F32 and in the order of the rows.</summary>
    public static void Sum<V, T>(float* sum, T* x, long stride, long rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        new Span<float>(sum, cols).Clear();
        var r = 0L;
        for (; r <= rows - 4; r += 4) Loop.Run<V, AddFour<T>>(new(sum, x + r * stride, stride), 0, cols);
        for (; r < rows; r++) Rows.AddTo<V, T>(sum, x + r * stride, cols);
    }

    /// <summary>y = Σ over the rows of x on a GPU, in F32: blocks of rows, then the blocks in order.</summary>
    public static void Sum(CudaDevice gpu, Tensor y, Tensor x)
    {
        const int PerBlock = 256; // rows, as in the kernel
        int cols = x.Cols, blocks = Launch.Blocks(x.Rows, PerBlock);
        using var partial = gpu.Scratch((long)blocks * cols);
        gpu.Launch("sum_rows", "sum_rows", [("TYPE", x.DType), ("VECTOR", DType.F32)], Launch.Grid(Launch.Blocks(cols, 32), blocks).Of(32, 8), partial, x, x.Rows, cols);
        Add(gpu, y, partial, blocks);
    }

    /// <summary>y = Σ over so many rows of partial sums on a GPU, in their order.</summary>
    public static void Add(CudaDevice gpu, Tensor y, CudaScratch partial, int rows) => gpu.Launch(
        "sum_rows", "add_rows", [("TYPE", DType.F32), ("VECTOR", DType.F32)], Launch.Grid(Launch.Blocks(y.Count, 32)).Of(32, 8), y, partial, rows, (int)y.Count);

    private readonly struct AddFour<T>(float* sum, T* x, long stride) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            T* a = x + i, b = a + stride, c = b + stride, d = c + stride;
            (V.Load(sum + i) + T.Load<V>(a) + T.Load<V>(b) + T.Load<V>(c) + T.Load<V>(d)).Store(sum + i);
        }
    }
}

file readonly unsafe struct SumRowsKernel(Tensor y, Tensor x) : IKernel
{
    private const int Wide = 64; // columns that keep every width of vector busy

    public Work Work => Work.On("sum_rows", 1, x, y);

    public void Run(CudaDevice gpu, DType type) => RowBlocks.Sum(gpu, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var px = x.At<T>();
        int cols = x.Cols, rows = x.Rows;
        if (cols == 0) return;
        var abreast = Math.Max(1, Wide / cols);
        var width = abreast * cols;
        // Many short rows to a block, so that the blocks' sums are few beside what they sum.
        var perBlock = Math.Max(64, CpuDevice.Grain / width) * abreast;
        var blocks = (rows + perBlock - 1) / perBlock;
        using var partial = cpu.Scratch((long)blocks * width);
        var sums = partial.At;
        cpu.For(blocks, b =>
        {
            var from = (long)b * perBlock;
            var count = Math.Min(perBlock, rows - from);
            var sum = sums + (long)b * width;
            var whole = count / abreast;
            RowBlocks.Sum<V, T>(sum, px + from * cols, width, whole, width);
            for (var k = 1; k < abreast; k++) Rows.AddTo<V, F32>(sum, (F32*)(sum + (long)k * cols), cols);
            for (var r = whole * abreast; r < count; r++) Rows.AddTo<V, T>(sum, px + (from + r) * cols, cols);
        });
        cpu.AddRows<V>(y.F32, sums, width, blocks, cols);
    }
}

file readonly unsafe struct BroadcastRowsKernel(Tensor y, Tensor v) : IKernel
{
    public Work Work => Work.On("broadcast_rows", 0, y, v);

    public void Run(CudaDevice gpu, DType type) => gpu.Launch(
        "sum_rows", "broadcast_rows", [("TYPE", type), ("VECTOR", v.DType)], Launch.PerElement(y.Count), y, v, y.Count, y.Cols);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (v.DType == DType.F32) Repeat<V, T, F32>(cpu, y.At<T>(), (F32*)v.F32, y.Rows, y.Cols);
        else Repeat<V, T, T>(cpu, y.At<T>(), v.At<T>(), y.Rows, y.Cols);
    }

    private static void Repeat<V, T, TVector>(CpuDevice cpu, T* y, TVector* v, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
        where TVector : unmanaged, IElement<TVector> =>
        cpu.ForRange(rows, RowBlocks.PerTask(cols), (from, to) =>
        {
            for (var r = from; r < to; r++) Loop.Run<V, Copy<T, TVector>>(new(y + r * cols, v), 0, cols);
        });

    private readonly struct Copy<T, TVector>(T* y, TVector* v) : ILoop
        where T : unmanaged, IElement<T>
        where TVector : unmanaged, IElement<TVector>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(TVector.Load<V>(v + i), y + i);
    }
}
