using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>The fixed blocks of pixels that tasks take: of 128 KB of F32 or, of large tensors, up to 512, and never across two pictures.</summary>
internal readonly struct PixelBlocks
{
    private readonly int _size;

    public PixelBlocks(Tensor x)
    {
        Pixels = x.Shape[1] * x.Shape[2];
        _size = Math.Max(16, Math.Max(2 * CpuDevice.Grain, CpuDevice.GrainOf(x.Count)) / Math.Max(1, x.Cols));
        PerPicture = (Pixels + _size - 1) / _size;
        Count = x.Shape[0] * PerPicture;
    }

    public int Pixels { get; }

    public int PerPicture { get; }

    public int Count { get; }

    /// <summary>Picture, first pixel counted over all pictures, and number of pixels.</summary>
    public (int Picture, nint From, int Count) this[int block]
    {
        get
        {
            var (n, first) = (block / PerPicture, block % PerPicture * _size);
            return (n, (nint)n * Pixels + first, Math.Min(_size, Pixels - first));
        }
    }
}

/// <summary>Sums over the pixels of each picture, block by block: the same bits for any number of threads.</summary>
internal static unsafe class PixelSums
{
    /// <summary>Adds so many pixels of picture n to <paramref name="sum"/> (C); <paramref name="spare"/> is as long and nobody's.</summary>
    public delegate void Block(int n, nint from, int count, float* sum, float* spare);

    /// <summary>y_n = scale·Σ over the blocks of picture n, in order.</summary>
    public static void Run<V, T>(CpuDevice cpu, Tensor y, Tensor x, float scale, Block body)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        var (blocks, cols) = (new PixelBlocks(x), x.Cols);
        using var partial = cpu.Scratch(2L * blocks.Count * cols);
        var sums = partial.At;
        var py = y.At<T>();
        cpu.For(blocks.Count, task =>
        {
            var (n, from, count) = blocks[task];
            var sum = sums + 2L * task * cols;
            new Span<float>(sum, 2 * cols).Clear();
            body(n, from, count, sum, sum + cols);
        });
        cpu.For(x.Shape[0], n =>
        {
            var total = sums + 2L * n * blocks.PerPicture * cols;
            for (var b = 1; b < blocks.PerPicture; b++) Rows.AddTo<V, F32>(total, (F32*)(total + 2L * b * cols), cols);
            Columns.Each<V, Scaled<T>>(new(py + (nint)n * cols, total, scale), cols);
        });
    }

    private readonly struct Scaled<T>(T* y, float* x, float scale) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V> => T.Store(V.Load(x + i) * V.Create(scale), y + i);
    }
}
