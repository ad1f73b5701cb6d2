using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Plip.Engine;

/// <summary>
/// Where a kernel writes whole vectors and nothing is read back. A result too large to be found in a cache again goes past
/// them: an ordinary store reads the line first, a third of the traffic of a copy. Decided by the tensor alone, and the bits
/// are the same either way.
/// </summary>
internal readonly unsafe struct Target<T>(T* at, bool streams) where T : unmanaged, IElement<T>
{
    /// <summary>A tensor's elements, whose rows of <paramref name="cols"/> are written in vectors from each row's start.</summary>
    public static Target<T> Of(Tensor y, long cols) => new(y.At<T>(), cols * sizeof(T) % Streams.Line == 0 && Streams.Suits(y.At<T>(), y.Bytes));

    /// <summary>A tensor's elements, in tasks of a multiple of <see cref="CpuDevice.Grain"/>.</summary>
    public static Target<T> Of(Tensor y) => Of(y, CpuDevice.Grain);

    /// <summary>The first element.</summary>
    public T* At
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Target<T> operator +(Target<T> y, nint elements) => new(y.At + elements, y.Past);

    /// <summary>Stores element <paramref name="i"/> and those behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store<V>(V v, long i) where V : struct, IVector<V>
    {
        if (streams) T.StoreStream(v, at + i);
        else T.Store(v, at + i);
    }

    private bool Past => streams;
}

/// <summary>Stores that go past the caches.</summary>
internal static class Streams
{
    /// <summary>Results from this size on are streamed: half of a last cache of 32 MB. Of smaller ones the next op finds most there.</summary>
    public const long LeastBytes = 16 << 20;

    /// <summary>Bytes of a cache line.</summary>
    public const int Line = 64;

    /// <summary>Whether a result of so many bytes, written from here on, is large enough, and aligned.</summary>
    public static unsafe bool Suits(void* at, long bytes) => bytes >= LeastBytes && (nint)at % Line == 0;

    /// <summary>Everything streamed so far becomes visible to others before what this thread writes next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fence()
    {
        if (Sse.IsSupported) Sse.StoreFence();
    }
}
