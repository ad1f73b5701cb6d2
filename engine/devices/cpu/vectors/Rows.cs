using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Sums and extremes of a row of elements of any storage type, in F32.</summary>
internal static unsafe class Rows
{
    /// <summary>Σ x.</summary>
    public static float Sum<V, T>(T* x, long n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, Plain<T>>(new Plain<T>(x), n);

    /// <summary>Σ (x − c)².</summary>
    public static float SumSquares<V, T>(T* x, long n, float c = 0f)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, Square<T>>(new Square<T>(x, c), n);

    /// <summary>Σ x·y.</summary>
    public static float Dot<V, T>(T* x, T* y, long n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Sum<V, Product<T>>(new Product<T>(x, y), n);

    /// <summary>max x; −∞ for n = 0, NaN if any is.</summary>
    public static float Max<V, T>(T* x, long n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Max<V, Plain<T>>(new Plain<T>(x), n);

    /// <summary>sum += x.</summary>
    public static void AddTo<V, T>(float* sum, T* x, long n)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => Loop.Run<V, AddLoop<T>>(new AddLoop<T>(sum, x), 0, n);

    private readonly struct Plain<T>(T* x) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => T.Load<V>(x + i);
    }

    private readonly struct Square<T>(T* x, float c) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V>
        {
            var d = T.Load<V>(x + i) - V.Create(c);
            return d * d;
        }
    }

    private readonly struct Product<T>(T* x, T* y) : ITerm where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V At<V>(long i) where V : struct, IVector<V> => T.Load<V>(x + i) * T.Load<V>(y + i);
    }

    private readonly struct AddLoop<T>(float* sum, T* x) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => (V.Load(sum + i) + T.Load<V>(x + i)).Store(sum + i);
    }
}
