using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Sums and means over everything.
//   y = Σ x        dx = dy broadcast
//   y = mean x     dx = dy/n broadcast
// Order: runs of a fixed length are summed in F32 vectors, the runs' sums in F64, always in the same order. A run is short,
// for of equal terms F32 may round every addition the same way: a thousand in a lane were seen to err by 1e-5.
// Cost: x read once, or dx written once: 4 bytes an element in F32, 2 in BF16.
public static partial class Ops
{
    /// <summary>Σ of all elements, F32 or BF16: an F32 scalar.</summary>
    public static Tensor Sum(Tensor x) => ScaledSum(x, 1f);

    /// <summary>Mean of all elements, F32 or BF16: an F32 scalar.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static Tensor Mean(Tensor x)
    {
        Require.That(x.Count > 0, $"expected elements, got shape {x.Shape}");
        return ScaledSum(x, 1f / x.Count);
    }

    private static Tensor ScaledSum(Tensor x, float scale, [CallerMemberName] string op = "")
    {
        var y = Tensor.Empty(x.Device, new Shape(), DType.F32, op);
        y.Device.Run(x.DType, new SumKernel(y, x, scale));
        return Tape.Record(y, [x], dy =>
        {
            var dx = Tensor.Like(x, op);
            dx.Device.Run(dx.DType, new SpreadKernel(dx, dy, scale));
            return [dx];
        }, null, op);
    }
}

file readonly unsafe struct SumKernel(Tensor y, Tensor x, float scale) : IKernel
{
    private const int TermsPerRun = 1024;

    public Work Work => Work.On("sum", 1, x, y);

    public void Run(CudaDevice gpu, DType type)
    {
        const int PerBlock = 4096; // as in the kernel
        var blocks = Launch.Blocks(x.Count, PerBlock);
        using var partial = gpu.Scratch(blocks);
        gpu.Launch("reduce", "sum_blocks", [("TYPE", type)], Launch.Grid(blocks).Of(256), partial, x, x.Count);
        gpu.Launch("reduce", "sum_all", [("TYPE", type)], Launch.Grid(1).Of(256), y, partial, blocks, scale);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var px = x.At<T>();
        var grain = CpuDevice.GrainOf(x.Count);
        var blocks = (x.Count + grain - 1) / grain;
        using var scratch = cpu.Scratch(2 * blocks);
        var sums = (double*)scratch.At;
        cpu.ForRange(x.Count, grain, (from, to) => sums[from / grain] = Block<V, T>(px + from, to - from));
        double sum = 0;
        for (var b = 0L; b < blocks; b++) sum += sums[b];
        *y.F32 = (float)(sum * scale);
    }

    private static double Block<V, T>(T* x, long n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        double sum = 0;
        for (var i = 0L; i < n; i += TermsPerRun) sum += Rows.Sum<V, T>(x + i, Math.Min(TermsPerRun, n - i));
        return sum;
    }
}

file readonly unsafe struct SpreadKernel(Tensor dx, Tensor dy, float scale) : IKernel
{
    public Work Work => Work.On("sum_backward", 0, dx, dy);

    public void Run(CudaDevice gpu, DType type) =>
        gpu.Launch("reduce", "spread", [("TYPE", type)], Launch.PerElement(dx.Count), dx, dy, dx.Count, scale);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(dx.Count, new(dx.At<T>(), *dy.F32 * scale));

    private readonly struct Body<T>(T* dx, float value) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Create(value), dx + i);
    }
}
