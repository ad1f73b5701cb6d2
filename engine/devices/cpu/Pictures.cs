namespace Plip.Engine;

/// <summary>
/// Pictures (N, h, w, C) as a filter of R×S visits them: the first output's window begins at (top, left), which is negative in
/// the padding, and each next one <c>stride</c> further.
/// </summary>
internal readonly unsafe struct Pictures<V, T>(T* x, int h, int w, int c, int top, int left, int stride, int r, int s)
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    public int C => c;

    public int R => r;

    public int S => s;

    public int Stride => stride;

    /// <summary>Memory for the window of so many outputs.</summary>
    public long WindowFloats(int rows, int cols) => (long)((rows - 1) * stride + r) * ((cols - 1) * stride + s) * c;

    /// <summary>
    /// What output rows <paramref name="row"/> … of one picture read, in F32, zero outside the picture: where it lies if it may
    /// be read there, else a copy.
    /// </summary>
    /// <param name="memory"><see cref="WindowFloats"/> of them; null for no copy, and null is what comes back then.</param>
    /// <param name="pitch">Floats from one row to the next.</param>
    public float* Window(int picture, int row, int rows, int cols, float* memory, out nint pitch)
    {
        int high = (rows - 1) * stride + r, wide = (cols - 1) * stride + s, y = row * stride + top;
        if (typeof(T) == typeof(F32) && top >= 0 && left >= 0 && y + high <= h && left + wide <= w)
        {
            pitch = (nint)w * c;
            return (float*)x + (((nint)picture * h + y) * w + left) * c;
        }
        pitch = (nint)wide * c;
        if (memory == null) return null;
        int begin = Math.Clamp(-left, 0, wide), end = Math.Clamp(w - left, begin, wide);
        var to = memory;
        for (var i = 0; i < high; i++, y++, to += pitch)
        {
            if (y < 0 || y >= h)
            {
                new Span<float>(to, (int)pitch).Clear();
                continue;
            }
            new Span<float>(to, begin * c).Clear();
            Rows.Widen<V, T>(to + begin * c, x + (((nint)picture * h + y) * w + left + begin) * c, (long)(end - begin) * c);
            new Span<float>(to + end * c, (wide - end) * c).Clear();
        }
        return memory;
    }

    /// <summary>The windows of a slab's pictures, one after another. Where no tap outside a picture is read it need not be there.</summary>
    /// <param name="memory"><see cref="WindowFloats"/> for each picture.</param>
    /// <param name="inside">Only what is inside the pictures will be read.</param>
    /// <param name="pitch">Floats from one row to the next.</param>
    /// <param name="next">Floats from one picture to the next.</param>
    public float* Windows((int Picture, int Pictures, int Row, int Rows) slab, int cols, float* memory, bool inside, out nint pitch, out nint next)
    {
        if (inside && typeof(T) == typeof(F32))
        {
            pitch = (nint)w * c;
            next = h * pitch;
            return (float*)x + slab.Picture * next + (slab.Row * stride + top) * pitch + (nint)left * c;
        }
        next = (nint)WindowFloats(slab.Rows, cols);
        var first = Window(slab.Picture, slab.Row, slab.Rows, cols, memory, out pitch);
        for (var p = 1; p < slab.Pictures; p++) Window(slab.Picture + p, slab.Row, slab.Rows, cols, memory + p * next, out pitch);
        if (first != memory) next = h * pitch;
        return first;
    }
}

/// <summary>
/// How output pixels are cut into tasks of <see cref="TilesPerTask"/> tiles or, where a pixel is little work, of
/// <see cref="TaskProducts"/> multiplications: bands of whole rows, or, where a picture has fewer pixels, several whole pictures.
/// </summary>
internal readonly struct Slabs<V> where V : struct, IVector<V>
{
    // Some 25 µs: a band copies the rows that its neighbours read as well, and its beginning costs about one.
    private const int TilesPerTask = 16, TaskProducts = 1 << 21, FewestTasks = 32;

    private readonly int _n, _bands, _pictures;

    private Slabs(int n, int ho, int wo, int bands, int pictures) => (_n, Ho, Wo, _bands, _pictures) = (n, ho, wo, bands, pictures);

    /// <param name="products">Multiplications a pixel.</param>
    public Slabs(int n, int ho, int wo, long products)
    {
        (_n, Ho, Wo) = (n, ho, wo);
        var grain = (int)Math.Max(TilesPerTask * V.TileRows, Math.Min(TaskProducts / Math.Max(products, 1), (long)n * ho * wo / FewestTasks));
        var rows = Math.Max(1, grain / wo);
        _bands = (ho + rows - 1) / rows;
        _pictures = _bands == 1 ? Math.Max(1, grain / (ho * wo)) : 1;
    }

    /// <summary>Tasks of so many whole pictures.</summary>
    public static Slabs<V> OfPictures(int n, int ho, int wo, int pictures) => new(n, ho, wo, 1, pictures);

    public int Ho { get; }

    public int Wo { get; }

    /// <summary>True where a task takes whole pictures.</summary>
    public bool IsWhole => _bands == 1;

    /// <summary>Pictures a task; the last one may have fewer.</summary>
    public int Pictures => _pictures;

    public int Count => (_n + _pictures - 1) / _pictures * _bands;

    /// <summary>The pictures and rows of a task.</summary>
    public (int Picture, int Pictures, int Row, int Rows) this[int task]
    {
        get
        {
            var (group, band) = Math.DivRem(task, _bands);
            int picture = group * _pictures, row = Ho * band / _bands;
            return (picture, Math.Min(_pictures, _n - picture), row, Ho * (band + 1) / _bands - row);
        }
    }
}
