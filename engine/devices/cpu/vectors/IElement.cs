using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>How an element lies in memory. Arithmetic is F32 whatever it is: loads widen, stores round.</summary>
internal unsafe interface IElement<T> where T : unmanaged, IElement<T>
{
    static abstract DType Type { get; }

    static abstract V Load<V>(T* p) where V : struct, IVector<V>;

    static abstract void Store<V>(V v, T* p) where V : struct, IVector<V>;

    /// <summary>Past the caches: <see cref="IVector{V}.StoreStream"/>.</summary>
    static abstract void StoreStream<V>(V v, T* p) where V : struct, IVector<V>;
}

/// <summary>An F32 in memory.</summary>
[StructLayout(LayoutKind.Sequential, Size = 4)]
internal readonly unsafe struct F32 : IElement<F32>
{
    public static DType Type => DType.F32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(F32* p) where V : struct, IVector<V> => V.Load((float*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V v, F32* p) where V : struct, IVector<V> => v.Store((float*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStream<V>(V v, F32* p) where V : struct, IVector<V> => v.StoreStream((float*)p);
}

/// <summary>A BF16 in memory: half the bytes of an F32, its range, 8 bits of precision.</summary>
[StructLayout(LayoutKind.Sequential, Size = 2)]
internal readonly unsafe struct BF16 : IElement<BF16>
{
    public static DType Type => DType.BF16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(BF16* p) where V : struct, IVector<V> => V.LoadBF16((ushort*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V v, BF16* p) where V : struct, IVector<V> => v.StoreBF16((ushort*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStream<V>(V v, BF16* p) where V : struct, IVector<V> => v.StoreStreamBF16((ushort*)p);
}

/// <summary>An F16 in memory: half the bytes of an F32, 11 bits of precision, from 6e-8 to 65504.</summary>
[StructLayout(LayoutKind.Sequential, Size = 2)]
internal readonly unsafe struct F16 : IElement<F16>
{
    public static DType Type => DType.F16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(F16* p) where V : struct, IVector<V> => V.LoadF16((ushort*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V v, F16* p) where V : struct, IVector<V> => v.StoreF16((ushort*)p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStream<V>(V v, F16* p) where V : struct, IVector<V> => v.StoreStreamF16((ushort*)p);
}
