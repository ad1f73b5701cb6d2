namespace Plip.Engine;

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
        for (var i = 0; i < k; i++, source += stride, panel += width)
        {
            Rows.Widen<V, T>(panel, source, count);
            for (var c = count; c < width; c++) panel[c] = 0;
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
