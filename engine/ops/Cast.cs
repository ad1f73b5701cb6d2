using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Another element type.
//   forward   y = x as the other type; to BF16 and F16 by rounding to nearest, ties to even; a NaN stays one
//   backward  dx = dy as x's type, where both are float
//   saved     nothing
// Cost: one pass. BF16 is the upper half of an F32: rounding is an addition of 7FFF plus the last bit that stays. F16 takes about ten
// operations (Halves), which a pass over memory hides.
public static partial class Ops
{
    /// <summary>
    /// x as <paramref name="type"/>: F32 ↔ BF16, F32 ↔ F16, BF16 ↔ F16 (by way of F32), I32 ↔ I64, U8 → F32. The same
    /// type gives x itself.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such conversion.</exception>
    /// <exception cref="OverflowException">An I64 does not fit in an I32; the error names its position.</exception>
    public static Tensor Cast(Tensor x, DType type)
    {
        if (x.DType == type) return x;
        if (x.DType != DType.F32 && type != DType.F32 && x.DType.IsFloat() && type.IsFloat()) return Cast(Cast(x, DType.F32), type);
        var y = Tensor.Empty(x.Device, x.Shape, type);
        switch (x.DType, type)
        {
            case (DType.F32, DType.BF16 or DType.F16) or (DType.BF16 or DType.F16, DType.F32): CastInto(y, x); break;
            case (DType.U8, DType.F32): y.Device.Run(DType.F32, new BytesKernel(y, x)); break;
            case (DType.I32, DType.I64): y.Device.Run(DType.F32, new OneByOneKernel<Widen>(y, x)); break;
            case (DType.I64, DType.I32): y.Device.Run(DType.F32, new OneByOneKernel<Narrow>(y, x)); break;
            default:
                y.Release();
                throw new ArgumentException($"Cast: no conversion from {x.DType} to {type}");
        }
        return type.IsFloat() && x.DType.IsFloat()
            ? Tape.Record(y, [x], dy => [Cast(dy, x.DType)])
            : Tape.RecordWithoutGradient(y, [x]);
    }

    /// <summary>y = x as y's type, outside the tape; one of them is F32 and the other BF16 or F16.</summary>
    internal static void CastInto(Tensor y, Tensor x)
    {
        Require.SameShape(y, x);
        if (x.DType == DType.F32) y.Device.Run(y.DType, new CastKernel<F32>(y, x));
        else if (x.DType == DType.F16) y.Device.Run(y.DType, new CastKernel<F16>(y, x));
        else y.Device.Run(y.DType, new CastKernel<BF16>(y, x));
    }
}

file static class FloatCast
{
    private const int Widest = 4; // elements of F32 in 16 bytes

    public static void Launch(CudaDevice gpu, Tensor y, Tensor x)
    {
        var pack = Pack.Of(DType.F32, y, x) == 1 ? 1 : Widest;
        gpu.Launch("cast", "cast", [("FROM", x.DType), ("TO", y.DType), ("PACK", pack)], Engine.Launch.PerElement(y.Count, pack), y, x, y.Count);
    }
}

/// <summary>From <typeparamref name="TFrom"/> to the type it is launched with.</summary>
file readonly unsafe struct CastKernel<TFrom>(Tensor y, Tensor x) : IKernel where TFrom : unmanaged, IElement<TFrom>
{
    public Work Work => Work.On("cast", 0, y, x);

    public void Run(CudaDevice gpu, DType type) => FloatCast.Launch(gpu, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(y.At<T>(), x.At<TFrom>()));

    private readonly struct Body<T>(T* y, TFrom* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(TFrom.Load<V>(x + i), y + i);
    }
}

file readonly unsafe struct BytesKernel(Tensor y, Tensor x) : IKernel
{
    public Work Work => Work.On("cast", 0, y, x);

    public void Run(CudaDevice gpu, DType type) => FloatCast.Launch(gpu, y, x);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body<T>>(y.Count, new(y.At<T>(), (byte*)x.Address));

    private readonly struct Body<T>(T* y, byte* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.LoadU8(x + i), y + i);
    }
}

/// <summary>A conversion for which no vectors are made: ids and offsets are few.</summary>
file unsafe interface IConversion
{
    static abstract void At(void* y, void* x, long i);
}

file readonly unsafe struct Widen : IConversion
{
    public static void At(void* y, void* x, long i) => ((long*)y)[i] = ((int*)x)[i];
}

file readonly unsafe struct Narrow : IConversion
{
    public static void At(void* y, void* x, long i)
    {
        var v = ((long*)x)[i];
        if (v != (int)v) throw new OverflowException($"Cast: element {i} is {v}, which does not fit in an I32");
        ((int*)y)[i] = (int)v;
    }
}

file readonly unsafe struct OneByOneKernel<TConversion>(Tensor y, Tensor x) : IKernel where TConversion : struct, IConversion
{
    public Work Work => Work.On("cast", 0, y, x);

    /// <summary>By way of the host: ids and offsets are few, and one that does not fit must be reported here and now.</summary>
    public void Run(CudaDevice gpu, DType type)
    {
        byte[] from = new byte[x.Bytes], to = new byte[y.Bytes];
        gpu.Download(x.Address, from);
        fixed (byte* f = from, t = to)
            for (var i = 0L; i < y.Count; i++) TConversion.At(t, f, i);
        gpu.Upload(to, y.Address);
    }

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<Vec1, Body>(y.Count, new((void*)y.Address, (void*)x.Address));

    private readonly struct Body(void* y, void* x) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => TConversion.At(y, x, i);
    }
}
