using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>The left operand of a product, from wherever it lies: F32, read in blocks of (rows × a stretch of K).</summary>
internal unsafe interface IOperand
{
    /// <summary>
    /// True where a block comes tile by tile, and a tile (kc × its rows) column by column: where rows of A lie in memory as
    /// columns this is a plain copy. Else a block is rows.
    /// </summary>
    static abstract bool InTiles { get; }

    /// <summary>True where <see cref="Rows"/> needs no memory.</summary>
    bool IsInPlace { get; }

    /// <summary>Rows row … row+rows of A at columns k0 … k0+kc.</summary>
    /// <param name="tile">Rows of a tile.</param>
    /// <param name="memory">rows·kc floats for a copy, rows rounded up to whole tiles.</param>
    /// <param name="stride">Floats from one row to the next; kc for a block in tiles.</param>
    float* Rows(int row, int rows, int k0, int kc, int tile, float* memory, out nint stride);
}

/// <summary>A (m×k) as it stands.</summary>
internal readonly unsafe struct InRows<V, T>(T* a, nint lda) : IOperand
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    public static bool InTiles => false;

    public bool IsInPlace => typeof(T) == typeof(F32);

    public float* Rows(int row, int rows, int k0, int kc, int tile, float* memory, out nint stride)
    {
        T* at = a + row * lda + k0;
        stride = lda;
        if (typeof(T) == typeof(F32)) return (float*)at;
        stride = kc;
        for (var i = 0; i < rows; i++) Engine.Rows.Widen<V, T>(memory + (nint)i * kc, at + i * lda, kc);
        return memory;
    }
}

/// <summary>The transpose of A (k×m).</summary>
internal readonly unsafe struct Transposed<T>(T* a, nint lda) : IOperand where T : unmanaged, IElement<T>
{
    // Columns copied for one tile before the next: whole lines are written, and what is read fits L1 at any stride.
    private const int Run = 8;

    public static bool InTiles => true;

    public bool IsInPlace => false;

    public float* Rows(int row, int rows, int k0, int kc, int tile, float* memory, out nint stride)
    {
        stride = kc;
        var whole = rows / tile * tile;
        T* source = a + k0 * lda + row;
        for (var k = 0; k < kc; k += Run)
        {
            var count = Math.Min(Run, kc - k);
            CopyTiles(source + k * lda, lda, count, whole, tile, memory + k * tile, (nint)kc * tile);
        }
        for (var k = 0; k < kc && whole < rows; k++)
            for (var i = 0; i < tile; i++)
                memory[(nint)whole * kc + k * tile + i] = whole + i < rows ? T.Load<Vec1>(source + k * lda + whole + i).Value : 0f;
        return memory;
    }

    /// <summary>A tile has 4 … 8 rows: two loads of four, which overlap unless it has 8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyTiles(T* source, nint lda, int count, int rows, int tile, float* to, nint tileStride)
    {
        for (var i = 0; i < rows; i += tile, to += tileStride)
        {
            T* from = source + i;
            var at = to;
            for (var k = 0; k < count; k++, from += lda, at += tile)
            {
                Vec128 first = T.Load<Vec128>(from), last = T.Load<Vec128>(from + tile - 4);
                first.Store(at);
                last.Store(at + tile - 4);
            }
        }
    }
}

/// <summary>
/// What a filter sees, transposed: row (r, s, c) holds, for every output pixel, the input it is multiplied with; zero in the
/// padding. The gradient of the weights is this times the gradient of the output.
/// </summary>
internal readonly unsafe struct FilterViews<T>(T* x, ConvShape shape) : IOperand where T : unmanaged, IElement<T>
{
    public static bool InTiles => false;

    public bool IsInPlace => false;

    public float* Rows(int row, int rows, int k0, int kc, int tile, float* memory, out nint stride)
    {
        stride = kc;
        // Stretches of output pixels in one line, and of channels under one tap, are plain transposes.
        for (int i = 0, channels; i < rows; i += channels)
        {
            var (tap, c) = Math.DivRem(row + i, shape.C);
            channels = Math.Min(shape.C - c, rows - i);
            var (r, s) = Math.DivRem(tap, shape.S);
            for (int k = 0, count; k < kc; k += count)
            {
                var (line, col) = Math.DivRem(k0 + k, shape.Wo);
                count = Math.Min(shape.Wo - col, kc - k);
                var (n, ho) = Math.DivRem(line, shape.Ho);
                Line(memory + (nint)i * kc + k, kc, n, ho * shape.Stride + r - shape.Padding, col, count, s, c, channels);
            }
        }
        return memory;
    }

    private void Line(float* to, nint ldt, int n, int h, int col, int count, int s, int c, int channels)
    {
        // Columns col … col+count whose input lies in the picture.
        var (first, last) = (0, 0);
        if (h >= 0 && h < shape.H)
        {
            first = Math.Clamp((shape.Padding - s + shape.Stride - 1) / shape.Stride - col, 0, count);
            var room = shape.W - 1 + shape.Padding - s;
            last = room < 0 ? 0 : Math.Clamp(room / shape.Stride + 1 - col, 0, count);
        }
        if (first > 0 || last < count)
            for (var i = 0; i < channels; i++)
            {
                if (first > 0) new Span<float>(to + i * ldt, Math.Min(first, count)).Clear();
                if (last < count) new Span<float>(to + i * ldt + Math.Max(last, 0), count - Math.Max(last, 0)).Clear();
            }
        if (last <= first) return;
        var w = (col + first) * shape.Stride + s - shape.Padding;
        Transpose.Run(
            x + (((nint)n * shape.H + h) * shape.W + w) * shape.C + c, (nint)shape.Stride * shape.C, last - first, channels, to + first, ldt);
    }
}
