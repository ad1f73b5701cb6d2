using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>The right operand of a product (k×n), as panels two vectors wide over a stretch of K.</summary>
internal unsafe interface IPanels<V> where V : struct, IVector<V>
{
    /// <summary>True where <see cref="Panel"/> needs no memory.</summary>
    bool ArePacked { get; }

    /// <summary>Rows k0 … k0+kc of panel p, packed.</summary>
    /// <param name="memory">kc rows of a panel's width for a copy.</param>
    float* Panel(int p, int k0, int kc, float* memory);

    /// <summary>The part of <see cref="Panel"/>'s source to be asked for while a tile is multiplied.</summary>
    Ahead Ahead(int p, int k0, int kc, int part, int parts);
}

/// <summary>Panels packed beforehand, for all tasks.</summary>
internal readonly unsafe struct SharedPanels<V>(PackedB<V> packed) : IPanels<V> where V : struct, IVector<V>
{
    public bool ArePacked => true;

    public float* Panel(int p, int k0, int kc, float* memory) => packed.Panel(p) + (nint)k0 * packed.Width(p);

    public Ahead Ahead(int p, int k0, int kc, int part, int parts) => default;
}

/// <summary>
/// B (k×n), or its transpose (n×k), packed by the task that needs it, just before: the panel stays in L2 and never goes
/// through memory, and what comes from memory is asked for while the panel before it is multiplied.
/// </summary>
internal readonly unsafe struct TaskPanels<V, T>(T* b, nint ldb, bool trans, int n) : IPanels<V>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    public bool ArePacked => false;

    public float* Panel(int p, int k0, int kc, float* memory)
    {
        int j = p * PackedB<V>.Columns, count = Math.Min(PackedB<V>.Columns, n - j), width = count <= V.Count ? V.Count : PackedB<V>.Columns;
        if (trans) PackedB<V>.PackTransposed(b + j * ldb + k0, ldb, kc, memory, width, count);
        else PackedB<V>.PackRows(b + k0 * ldb + j, ldb, kc, memory, width, count);
        return memory;
    }

    public Ahead Ahead(int p, int k0, int kc, int part, int parts)
    {
        var j = p * PackedB<V>.Columns;
        if (j >= n) return default;
        int count = Math.Min(PackedB<V>.Columns, n - j), length = trans ? count : kc;
        int from = (int)((long)length * part / parts), rows = (int)((long)length * (part + 1) / parts) - from;
        return trans
            ? Engine.Ahead.ByColumns(b + (j + from) * ldb + k0, ldb, rows, kc)
            : Engine.Ahead.ByRows(b + (k0 + from) * ldb + j, ldb, rows, count);
    }
}

/// <summary>op(B) (k×n) in F32 panels two vectors wide, each k rows of that width (one vector where the last panel is that narrow), zero-filled.</summary>
internal sealed unsafe class PackedB<V> : IDisposable where V : struct, IVector<V>
{
    private readonly Storage _storage;
    private readonly float* _at;
    private readonly int _k, _n;

    /// <summary>Room for the panels; fill them by <see cref="Fill{T}"/> or one by one.</summary>
    public PackedB(CpuDevice cpu, int k, int n)
    {
        (_k, _n) = (k, n);
        Panels = (n + Columns - 1) / Columns;
        _storage = cpu.Allocate((long)Panels * k * Columns * sizeof(float), "Gemm");
        _at = (float*)_storage.Pointer;
    }

    /// <summary>Width of a full panel.</summary>
    public static int Columns => MicroKernels.Columns<V>();

    public int Panels { get; }

    public float* Panel(int p) => _at + (nint)p * _k * Columns;

    /// <summary>Columns of panel p that exist.</summary>
    public int Count(int p) => Math.Min(Columns, _n - p * Columns);

    public bool Narrow(int p) => Count(p) <= V.Count;

    public int Width(int p) => Narrow(p) ? V.Count : Columns;

    /// <summary>Packs the whole of B (k×n), or of its transpose (n×k), on the team.</summary>
    public PackedB<V> Fill<T>(CpuDevice cpu, bool trans, T* b, nint ldb) where T : unmanaged, IElement<T>
    {
        cpu.For(Panels, p =>
        {
            int j = p * Columns, width = Width(p), count = Count(p);
            if (trans) PackTransposed(b + j * ldb, ldb, _k, Panel(p), width, count);
            else PackRows(b + j, ldb, _k, Panel(p), width, count);
        });
        return this;
    }

    /// <summary>Packs <paramref name="count"/> columns from k rows; zero to the panel's width.</summary>
    public static void PackRows<T>(T* source, nint stride, int k, float* panel, int width, int count) where T : unmanaged, IElement<T>
    {
        if (count == Columns)
        {
            PackWhole(source, stride, k, panel);
            return;
        }
        for (var i = 0; i < k; i++, source += stride, panel += width)
        {
            Rows.Widen<V, T>(panel, source, count);
            for (var c = count; c < width; c++) panel[c] = 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackWhole<T>(T* source, nint stride, int k, float* panel) where T : unmanaged, IElement<T>
    {
        for (; k > 0; k--, source += stride, panel += Columns)
        {
            V a = T.Load<V>(source), b = T.Load<V>(source + V.Count);
            a.Store(panel);
            b.Store(panel + V.Count);
        }
    }

    /// <summary>Packs <paramref name="count"/> columns that lie as rows of k elements, times a factor; zero to the panel's width.</summary>
    public static void PackTransposed<T>(T* source, nint stride, int k, float* panel, int width, int count, float factor = 1f)
        where T : unmanaged, IElement<T>
    {
        Transpose.Run(source, stride, count, k, panel, width, factor);
        if (count == width) return;
        for (var i = 0; i < k; i++)
            for (var c = count; c < width; c++) panel[(nint)i * width + c] = 0;
    }

    public void Dispose() => _storage.Release("the product was done");
}
