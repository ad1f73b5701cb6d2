using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// Matrix products on the CPU, any size and any leading dimensions, summed in F32 whatever the operands are stored as. B is
/// packed into panels, once for all tasks, or where A has few rows by the task that uses them; A is read where it lies if it
/// is F32 in rows, else block by block through a task's own memory. Each element of C is summed by one thread in one order, so the bits do not depend on the number of threads.
/// </summary>
internal static unsafe class Gemm
{
    // A tile's rows of a K block (24 KB) stay in L1 and a block of 16 tiles (400 KB) in L2, from which the packed panel comes at
    // 8 bytes a cycle, a quarter of what L2 gives. Smaller blocks read all of B, and write C, more often.
    private const int TilesPerBlock = 16, KBlock = 768;

    // Up to so many rows a task takes them all; more panels to a task read A less often, fewer give more tasks.
    // Where B is small it stays in L2 and is packed once for all.
    private const int FewRows = 512, LargeOperand = 1 << 17, MostPanels = 4;

    // Elements of a result that does not fit L2.
    private const int LargeResult = 1 << 19;

    // Terms from which on a sum is worth cutting.
    private const int LongSum = 256;

    /// <summary>C (m×n) = op(A)·op(B), plus the bias row when given, or added to C when <paramref name="accumulate"/> (F32 only).</summary>
    /// <param name="gelu">Where GELU of the result goes as well (m×n, as C lies; C itself to keep nothing else), or null.</param>
    public static void Run<V, TA, TB, TC>(
        CpuDevice cpu, bool transA, bool transB, int m, int n, int k,
        TA* a, nint lda, TB* b, nint ldb, TC* c, nint ldc, bool accumulate = false, float* bias = null, TC* gelu = null)
        where V : struct, IVector<V>
        where TA : unmanaged, IElement<TA>
        where TB : unmanaged, IElement<TB>
        where TC : unmanaged, IElement<TC>
    {
        if (m == 0 || n == 0) return;
        if (!transA && m <= FewRows && (long)n * k >= LargeOperand && !IsSplit<V, TC>(m, n, k, bias != null || gelu != null || accumulate))
        {
            ByColumns<V, InRows<V, TA>, TaskPanels<V, TB>, TC>(cpu, m, n, k, new(a, lda), new(b, ldb, transB, n), c, ldc, accumulate, bias, gelu);
            return;
        }
        using var packed = new PackedB<V>(cpu, k, n).Fill(cpu, transB, b, ldb);
        if (transA) Run<V, Transposed<TA>, TC>(cpu, m, n, k, new(a, lda), packed, c, ldc, accumulate, bias, gelu);
        else Run<V, InRows<V, TA>, TC>(cpu, m, n, k, new(a, lda), packed, c, ldc, accumulate, bias, gelu);
    }

    /// <summary>The same with B packed and A from anywhere.</summary>
    public static void Run<V, TA, TC>(
        CpuDevice cpu, int m, int n, int k, TA a, PackedB<V> packed, TC* c, nint ldc, bool accumulate = false, float* bias = null, TC* gelu = null)
        where V : struct, IVector<V>
        where TA : struct, IOperand
        where TC : unmanaged, IElement<TC>
    {
        var panels = packed.Panels;
        var rowTasks = RowTasks<V>(m);
        var rowBlock = ((m + rowTasks - 1) / rowTasks + V.TileRows - 1) / V.TileRows * V.TileRows; // blocks of one size
        if (IsSplit<V, TC>(m, n, k, bias != null || gelu != null || accumulate))
        {
            SplitSum(cpu, m, n, k, a, packed, (float*)c, ldc);
            return;
        }
        // Short products are cut along N as well, so that a few rows still feed several threads.
        var columnTasks = rowTasks >= 8 ? 1 : Math.Min(panels, (8 + rowTasks - 1) / rowTasks);
        cpu.For(rowTasks * columnTasks, task =>
        {
            var (ri, ci) = (task / columnTasks, task % columnTasks);
            int i0 = ri * rowBlock, rows = Math.Min(m - i0, rowBlock);
            if (rows <= 0) return;
            int p0 = panels * ci / columnTasks, p1 = panels * (ci + 1) / columnTasks;
            Block<V, TA, SharedPanels<V>, TC>(
                a, new(packed), i0, rows, n, p0, p1, 0, k, c + i0 * ldc, ldc, accumulate, bias, gelu == null ? null : gelu + i0 * ldc, IsLarge(m, n));
        });
    }

    /// <summary>
    /// With few rows packing all of B through memory would cost a good part of the product: a task takes all rows and a few
    /// panels, which it packs itself, one stretch of one panel at a time.
    /// </summary>
    private static void ByColumns<V, TA, TB, TC>(
        CpuDevice cpu, int m, int n, int k, TA a, TB b, TC* c, nint ldc, bool accumulate, float* bias, TC* gelu)
        where V : struct, IVector<V>
        where TA : struct, IOperand
        where TB : struct, IPanels<V>
        where TC : unmanaged, IElement<TC>
    {
        var panels = (n + PackedB<V>.Columns - 1) / PackedB<V>.Columns;
        var group = Math.Clamp(panels / 12, 1, MostPanels);
        cpu.For((panels + group - 1) / group, task =>
            Block<V, TA, TB, TC>(a, b, 0, m, n, task * group, Math.Min(panels, (task + 1) * group), 0, k, c, ldc, accumulate, bias, gelu, IsLarge(m, n)));
    }

    private static bool IsLarge(int m, int n) => (long)m * n >= LargeResult;

    private static int RowTasks<V>(int m) where V : struct, IVector<V> => (m + TilesPerBlock * V.TileRows - 1) / (TilesPerBlock * V.TileRows);

    private static bool IsSplit<V, TC>(int m, int n, int k, bool more) where V : struct, IVector<V> =>
        typeof(TC) == typeof(F32) && !more && k >= 2 * LongSum && RowTasks<V>(m) * ((n + PackedB<V>.Columns - 1) / PackedB<V>.Columns) < 8;

    /// <summary>
    /// A small result of long sums (the gradient of a weight over a batch's tokens) gives no tasks by its tiles: the sum is cut
    /// instead, at places that depend on its length alone, and the parts are added in order.
    /// </summary>
    private static void SplitSum<V, TA>(CpuDevice cpu, int m, int n, int k, TA a, PackedB<V> packed, float* c, nint ldc)
        where V : struct, IVector<V>
        where TA : struct, IOperand
    {
        var parts = Math.Min(8, k / LongSum);
        using var partial = cpu.Scratch((long)parts * m * n);
        var sums = partial.At;
        cpu.For(parts, part =>
        {
            int from = (int)((long)k * part / parts), to = (int)((long)k * (part + 1) / parts), step = TilesPerBlock * V.TileRows;
            for (var i = 0; i < m; i += step)
                Block<V, TA, SharedPanels<V>, F32>(
                    a, new(packed), i, Math.Min(step, m - i), n, 0, packed.Panels, from, to, (F32*)(sums + ((long)part * m + i) * n), n, false, null, null, large: false);
        });
        for (var i = 0; i < (ldc == n ? 1 : m); i++)
            cpu.AddRows<V>(c + i * ldc, sums + (long)i * n, (long)m * n, parts, ldc == n ? m * n : n);
    }

    private static void Block<V, TA, TB, TC>(
        TA a, TB b, int i0, int rows, int n, int p0, int p1, int from, int to, TC* c, nint ldc, bool accumulate, float* bias, TC* gelu, bool large)
        where V : struct, IVector<V>
        where TA : struct, IOperand
        where TB : struct, IPanels<V>
        where TC : unmanaged, IElement<TC>
    {
        // Sums of a narrower C are kept in F32 until they are complete.
        var direct = typeof(TC) == typeof(F32);
        var columns = direct ? 0 : (p1 - p0) * PackedB<V>.Columns;
        var tiles = (rows + V.TileRows - 1) / V.TileRows;
        var stretch = Math.Min(KBlock, to - from);
        var copied = a.IsInPlace ? 0 : ((long)tiles * V.TileRows * stretch + 15) / 16 * 16;
        var packed = b.ArePacked ? 0 : (long)stretch * PackedB<V>.Columns;
        var memory = TaskMemory.Take(copied + packed + (long)rows * columns);
        var sums = memory + copied + packed;
        if (direct)
        {
            sums = (float*)c + p0 * PackedB<V>.Columns;
            columns = (int)ldc;
        }
        var pointers = stackalloc float*[MicroKernels.MaxRows];
        var k0 = from;
        do
        {
            var kc = Math.Min(KBlock, to - k0);
            var block = a.Rows(i0, rows, k0, kc, V.TileRows, memory, out var stride);
            for (var p = p0; p < p1; p++)
            {
                int j = p * PackedB<V>.Columns, count = Math.Min(PackedB<V>.Columns, n - j);
                var narrow = count <= V.Count;
                var target = sums + (p - p0) * PackedB<V>.Columns;
                var panel = b.Panel(p, k0, kc, memory + copied);
                var (nextP, nextK) = p + 1 < p1 || k0 + kc >= to ? (p + 1, k0) : (p0, k0 + kc);
                var nextCount = Math.Min(KBlock, to - nextK);
                var add = accumulate || k0 > from;
                var start = add || bias == null ? null : bias + j;
                for (int i = 0, tile = 0, height; i < rows; i += height, tile++)
                {
                    var high = !TA.InTiles && b.ArePacked && count == V.Count && rows - i >= NarrowTiles.Rows<V>();
                    height = high ? NarrowTiles.Rows<V>() : Math.Min(V.TileRows, rows - i);
                    var corner = target + i * (nint)columns;
                    var last = k0 + kc >= to;
                    if (last && (!direct || (large && kc < MicroKernels.ShortSum))) Ahead.Target(c + i * ldc + j, ldc, height, count);
                    if (last && gelu != null) Ahead.Target(gelu + i * ldc + j, ldc, height, count);
                    if (kc == 0)
                    {
                        if (!add) FillRows(corner, columns, height, count, start);
                    }
                    else if (TA.InTiles)
                    {
                        if (start != null) FillRows(corner, columns, height, count, start);
                        MicroKernels.Outer<V>(
                            block + i * stride, V.TileRows, 0, panel, narrow ? V.Count : PackedB<V>.Columns, 0, 1, kc, narrow,
                            corner, columns, height, count, add || start != null);
                    }
                    else if (high) NarrowTiles.Run<V>(block + i * stride, stride, 1, 0, kc, panel, 0, corner, columns, add, start);
                    else
                    {
                        for (var r = 0; r < V.TileRows; r++) pointers[r] = block + (i + Math.Min(r, height - 1)) * stride;
                        if (b.ArePacked) MicroKernels.Rows<V>(pointers, 1, 0, kc, panel, narrow, corner, columns, height, count, add, start);
                        else MicroKernels.RowsAhead<V>(pointers, kc, panel, narrow, corner, columns, height, count, add, start, b.Ahead(nextP, nextK, nextCount, tile, tiles));
                    }
                    if (!last || (direct && gelu == null)) continue;
                    for (var r = 0; r < height; r++)
                        Finish<V, TC>(c + (i + r) * ldc + j, gelu == null ? null : gelu + (i + r) * ldc + j, corner + r * (nint)columns, count);
                }
            }
            k0 += KBlock;
        } while (k0 < to);
    }

    /// <summary>
    /// C (m×n) = or += Aᵀ·B with A (k×m), B (k×n), by one thread and without packing: for small blocks inside other loops.
    /// Reads up to a tile's width past a row of B and its height past one of A.
    /// </summary>
    public static void OuterSerial<V>(int m, int n, int k, float* a, nint lda, float* b, nint ldb, float* c, nint ldc, bool accumulate)
        where V : struct, IVector<V>
    {
        var width = MicroKernels.Columns<V>();
        for (var j = 0; j < n; j += width)
        {
            var nj = Math.Min(width, n - j);
            for (var i = 0; i < m; i += V.TileRows)
                MicroKernels.Outer<V>(a + i, lda, 0, b + j, ldb, 0, 1, k, nj <= V.Count, c + i * ldc + j, ldc, Math.Min(V.TileRows, m - i), nj, accumulate);
        }
    }

    /// <summary>Rows of the bias, or of zeros.</summary>
    public static void FillRows(float* c, nint ldc, int rows, int n, float* bias)
    {
        for (var i = 0; i < rows; i++, c += ldc)
        {
            if (bias == null) new Span<float>(c, n).Clear();
            else new ReadOnlySpan<float>(bias, n).CopyTo(new Span<float>(c, n));
        }
    }

    private static void Finish<V, TC>(TC* c, TC* gelu, float* sums, int n)
        where V : struct, IVector<V>
        where TC : unmanaged, IElement<TC>
    {
        if (typeof(TC) != typeof(F32)) Rows.Round<V, TC>(c, sums, n);
        if (gelu != null) Loop.Run<V, Activating<TC>>(new Activating<TC>(gelu, c), 0, n);
    }

    private readonly struct Activating<T>(T* to, T* from) : ILoop where T : unmanaged, IElement<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var x = T.Load<V>(from + i);
            T.Store(x * VectorMath.NormalCdf(x), to + i);
        }
    }
}
