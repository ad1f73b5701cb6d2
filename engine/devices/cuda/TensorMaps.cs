using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// Up to four tensor maps (CUtensorMap), the parameter of a kernel whose copies Hopper's tensor memory unit makes (kernels/common/tensor_map.cuh): where a tensor
/// lies, and the box of it that a copy brings. Of two-byte numbers, in lines of 128 bytes with the 128-byte swizzle.
/// </summary>
internal sealed unsafe class TensorMaps
{
    /// <summary>Maps of the parameter.</summary>
    public const int Count = 4;

    /// <summary>Elements of a box's lines.</summary>
    public const int Line = 64;

    private const int MapBytes = 128, Alignment = 64;
    private const int TypeF16 = 6, TypeBF16 = 9, Swizzle128 = 3, Promote256 = 3;

    private readonly byte[] _memory = GC.AllocateArray<byte>((Count * MapBytes) + Alignment, pinned: true);

    /// <summary>Where the first lies, as long as this lives.</summary>
    public nint Address => ((nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_memory)) + Alignment - 1) / Alignment * Alignment;

    /// <summary>A matrix (rows, columns), 64 × 64 of it a copy.</summary>
    /// <exception cref="CudaException">The driver cannot: an address or a row that is no multiple of 16 bytes.</exception>
    public static TensorMaps Matrix(nint address, DType type, long rows, int columns)
    {
        var maps = new TensorMaps();
        ulong* extent = stackalloc ulong[] { (ulong)columns, (ulong)rows };
        ulong* stride = stackalloc ulong[] { (ulong)columns * 2 };
        uint* box = stackalloc uint[] { Line, Line };
        uint* steps = stackalloc uint[] { 1, 1 };
        Cuda.Check(cuTensorMapEncodeTiled(maps.Address, TypeOf(type), 2, address, extent, stride, box, steps, 0, Swizzle128, Promote256, 0), nameof(cuTensorMapEncodeTiled));
        return maps;
    }

    /// <summary>Puts in pictures, so many pixels of 64 channels a copy, one behind the other.</summary>
    /// <param name="index">Which map, 0 to 3.</param>
    /// <exception cref="CudaException">The driver cannot.</exception>
    public TensorMaps With(int index, nint address, DType type, in PixelWalk walk, int pixels)
    {
        ulong* extent = stackalloc ulong[] { (ulong)walk.C, (ulong)walk.W, (ulong)walk.H, (ulong)walk.N };
        ulong* stride = stackalloc ulong[] { (ulong)walk.C * 2, (ulong)walk.C * (ulong)walk.W * 2, (ulong)walk.C * (ulong)walk.W * (ulong)walk.H * 2 };
        int* lower = stackalloc int[] { walk.Left, walk.Top };
        int* upper = stackalloc int[] { walk.Left + ((walk.Columns - 1) * walk.Stride) + 1 - walk.W, walk.Top + ((walk.Rows - 1) * walk.Stride) + 1 - walk.H };
        uint* steps = stackalloc uint[] { 1, (uint)walk.Stride, (uint)walk.Stride, 1 };
        Cuda.Check(
            cuTensorMapEncodeIm2col(
                Address + (index * MapBytes), TypeOf(type), 4, address, extent, stride, lower, upper, Line, (uint)pixels, steps, 0, Swizzle128, Promote256, 0),
            nameof(cuTensorMapEncodeIm2col));
        return this;
    }

    private static int TypeOf(DType type) => type == DType.BF16 ? TypeBF16 : TypeF16;
}

/// <summary>How a copy walks through pictures (N, H, W, C): Rows × Columns places of each, from (Top, Left) on by the stride; the tap is added to each.</summary>
internal readonly record struct PixelWalk(int N, int H, int W, int C, int Top, int Left, int Rows, int Columns, int Stride)
{
    /// <summary>Whether the unit can: its box's corners are signed bytes, its strides at most 8.</summary>
    public bool Fits => Stride <= 8 && Corner(Left, Columns, W) && Corner(Top, Rows, H);

    private bool Corner(int first, int count, int size) => count > 0 && first >= -128 && first <= 127 && first + ((count - 1) * Stride) + 1 - size is >= -128 and <= 127;
}

/// <summary>
/// Tensor maps that were made: a step's tensors lie where they lay in the step before, so that nothing is encoded or allocated once all were met.
/// </summary>
internal sealed class TensorMapCache
{
    private const int Most = 4096; // some 2 MB

    private readonly Dictionary<(nint Address, DType Type, PixelWalk Walk, int Pixels), TensorMaps> _made = [];

    /// <summary>The maps of a tensor seen so.</summary>
    /// <param name="address">Where it lies.</param>
    /// <param name="type">BF16 or F16.</param>
    /// <param name="key">Tells the ways to see it apart.</param>
    /// <param name="pixels">Of a box; 0 for a matrix.</param>
    /// <param name="make">Makes them.</param>
    public TensorMaps Get<TState>(nint address, DType type, in PixelWalk key, int pixels, TState state, Func<TState, TensorMaps> make)
    {
        var place = (address, type, key, pixels);
        if (_made.TryGetValue(place, out var maps)) return maps;
        if (_made.Count >= Most) _made.Clear();
        return _made[place] = make(state);
    }
}
