using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Plip.Engine;

/// <summary>
/// F32 matrix products on the CPU, any size and any leading dimensions. B is packed once into panels of 32 columns that
/// all tasks share; A is read where it lies, or transposed block by block into a task's scratch. Each element of C is
/// summed by one thread in one order, so the bits do not depend on the number of threads.
/// </summary>
internal static unsafe class Gemm
{
    // A block of 64 rows times a K block of 256 keeps the packed panel (32 KB) in L1 and the rows in L2.
    private const int RowBlock = 64, KBlock = 256;

    /// <summary>C (m×n) = op(A)·op(B), plus the bias row when given, or added to C when <paramref name="accumulate"/>.</summary>
    public static void Run(
        CpuDevice cpu, bool transA, bool transB, int m, int n, int k,
        float* a, int lda, float* b, int ldb, float* c, int ldc, bool accumulate = false, float* bias = null)
    {
        if (m == 0 || n == 0) return;
        if (k == 0)
        {
            for (var i = 0; i < m && !accumulate; i++) FillRow(c + (nint)i * ldc, n, bias);
            return;
        }
        using var packed = new PackedB(cpu, transB, k, n, b, ldb);
        var panels = packed.Panels;
        // Short products are cut along N as well, so that a few rows still feed several threads.
        var rowTasks = (m + RowBlock - 1) / RowBlock;
        var columnTasks = rowTasks >= 8 ? 1 : Math.Min(panels, (8 + rowTasks - 1) / rowTasks);
        cpu.For(rowTasks * columnTasks, task =>
        {
            var (ri, ci) = (task / columnTasks, task % columnTasks);
            int i0 = ri * RowBlock, i1 = Math.Min(m, i0 + RowBlock);
            int p0 = panels * ci / columnTasks, p1 = panels * (ci + 1) / columnTasks;
            Block(transA, i0, i1, p0, p1, n, k, a, lda, packed, c, ldc, accumulate, bias);
        });
    }

    [SkipLocalsInit]
    private static void Block(
        bool transA, int i0, int i1, int p0, int p1, int n, int k,
        float* a, int lda, PackedB packed, float* c, int ldc, bool accumulate, float* bias)
    {
        var rows = stackalloc float*[MicroKernels.MR];
        var transposed = stackalloc float[transA ? RowBlock * KBlock : 0];
        for (var k0 = 0; k0 < k; k0 += KBlock)
        {
            var kc = Math.Min(KBlock, k - k0);
            float* block = a + (nint)i0 * lda + k0;
            nint stride = lda;
            if (transA)
            {
                Transpose(a + (nint)k0 * lda + i0, lda, i1 - i0, kc, transposed);
                block = transposed;
                stride = kc;
            }
            for (var p = p0; p < p1; p++)
            {
                var panel = packed.Panel(p) + (nint)k0 * packed.Width(p);
                var narrow = packed.Narrow(p);
                int j = p * MicroKernels.NR, nj = Math.Min(MicroKernels.NR, n - j);
                for (var i = i0; i < i1; i += MicroKernels.MR)
                {
                    var count = Math.Min(MicroKernels.MR, i1 - i);
                    for (var r = 0; r < MicroKernels.MR; r++) rows[r] = block + (i - i0 + Math.Min(r, count - 1)) * stride;
                    float* tile = c + (nint)i * ldc + j;
                    if (k0 == 0 && bias != null)
                        for (var r = 0; r < count; r++) FillRow(tile + (nint)r * ldc, nj, bias + j);
                    MicroKernels.Rows(rows, 1, 0, kc, panel, narrow, tile, ldc, count, nj, accumulate || k0 > 0 || bias != null);
                }
            }
        }
    }

    /// <summary>C (m×n) = or += Aᵀ·B with A (k×m), B (k×n), by one thread and without packing: for small blocks inside other loops.</summary>
    /// <remarks>Reads up to 31 floats past a row of B and 7 past one of A.</remarks>
    public static void OuterSerial(int m, int n, int k, float* a, nint lda, float* b, nint ldb, float* c, nint ldc, bool accumulate)
    {
        for (var j = 0; j < n; j += MicroKernels.NR)
        {
            var nj = Math.Min(MicroKernels.NR, n - j);
            for (var i = 0; i < m; i += MicroKernels.MR)
                MicroKernels.Outer(a + i, lda, 0, b + j, ldb, 0, 1, k, nj <= 16, c + i * ldc + j, ldc, Math.Min(MicroKernels.MR, m - i), nj, accumulate);
        }
    }

    private static void FillRow(float* row, int n, float* bias)
    {
        if (bias == null) new Span<float>(row, n).Clear();
        else new ReadOnlySpan<float>(bias, n).CopyTo(new Span<float>(row, n));
    }

    /// <summary>Rows of the block become contiguous: dst[i, k] = src[k, i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose(float* src, nint lda, int rows, int kc, float* dst)
    {
        var i = 0;
        for (; i + 8 <= rows; i += 8)
        {
            var d = dst + (nint)i * kc;
            for (nint k = 0; k < kc; k++)
            {
                var s = src + k * lda + i;
                d[k] = s[0];
                d[k + kc] = s[1];
                d[k + 2 * (nint)kc] = s[2];
                d[k + 3 * (nint)kc] = s[3];
                d[k + 4 * (nint)kc] = s[4];
                d[k + 5 * (nint)kc] = s[5];
                d[k + 6 * (nint)kc] = s[6];
                d[k + 7 * (nint)kc] = s[7];
            }
        }
        for (; i < rows; i++)
            for (nint k = 0; k < kc; k++) dst[(nint)i * kc + k] = src[k * lda + i];
    }
}

/// <summary>op(B) (k×n) in panels of 32 columns, each k rows of 32 (16 where the last panel is that narrow), zero-filled.</summary>
internal sealed unsafe class PackedB : IDisposable
{
    private readonly Storage _storage;
    private readonly float* _at;
    private readonly int _k, _n;

    public PackedB(CpuDevice cpu, bool trans, int k, int n, float* b, nint ldb)
        : this(cpu, k, n, (panel, j, width, count) => Pack(trans, k, b, ldb, panel, j, width, count))
    {
    }

    /// <summary>Panels filled by the caller: fill(panel, first column, panel width, columns that exist).</summary>
    public PackedB(CpuDevice cpu, int k, int n, Fill fill)
    {
        (_k, _n) = (k, n);
        Panels = (n + MicroKernels.NR - 1) / MicroKernels.NR;
        _storage = cpu.Allocate((long)Panels * k * MicroKernels.NR * sizeof(float), "Gemm");
        _at = (float*)_storage.Pointer;
        cpu.For(Panels, p => fill(Panel(p), p * MicroKernels.NR, Width(p), Math.Min(MicroKernels.NR, _n - p * MicroKernels.NR)));
    }

    public delegate void Fill(float* panel, int column, int width, int count);

    public int Panels { get; }

    public float* Panel(int p) => _at + (nint)p * _k * MicroKernels.NR;

    public bool Narrow(int p) => _n - p * MicroKernels.NR <= 16;

    public int Width(int p) => Narrow(p) ? 16 : MicroKernels.NR;

    public void Dispose() => _storage.Release("the product was done");

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(bool trans, int k, float* b, nint ldb, float* panel, int j, int width, int count)
    {
        if (trans)
        {
            for (var c = 0; c < count; c++)
            {
                float* s = b + (j + c) * ldb, d = panel + c;
                for (nint i = 0; i < k; i++, d += width) *d = s[i];
            }
            for (var c = count; c < width; c++)
            {
                var d = panel + c;
                for (nint i = 0; i < k; i++, d += width) *d = 0;
            }
            return;
        }
        PackRows(b + j, ldb, k, panel, width, count);
    }

    /// <summary>Copies k rows of <paramref name="count"/> floats into a panel's rows, zero-filled to its width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackRows(float* source, nint stride, int k, float* panel, int width, int count)
    {
        for (var i = 0; i < k; i++, source += stride, panel += width)
        {
            if (count == 32)
            {
                Vector512.Load(source).Store(panel);
                Vector512.Load(source + 16).Store(panel + 16);
            }
            else if (count == 16 && width == 16) Vector512.Load(source).Store(panel);
            else
            {
                for (var c = 0; c < count; c++) panel[c] = source[c];
                for (var c = count; c < width; c++) panel[c] = 0;
            }
        }
    }
}
