namespace Plip.Engine;

/// <summary>Pixels of pictures in memory: where the first is, and floats from picture to picture, row to row and column to column.</summary>
internal readonly unsafe record struct Grid(nint Origin, nint Picture, nint Row, nint Col)
{
    public Grid(float* at, nint picture, nint row, nint col)
        : this((nint)at, picture, row, col)
    {
    }

    public float* At => (float*)Origin;
}

/// <summary>
/// The tiles of a convolution's task: for each of their pixels where its window begins and where its result goes, class after
/// class. A class is filled up to a whole tile by its last pixel, so that no tile mixes two.
/// </summary>
internal readonly unsafe struct TileList<V>(float* memory, int tiles) where V : struct, IVector<V>
{
    private readonly float** _from = (float**)memory, _to = (float**)memory + tiles * V.TileRows;

    private readonly nint* _spacing = (nint*)memory + 2 * tiles * V.TileRows;

    /// <summary>Tiles of so many pixels.</summary>
    public static int Count(int pixels) => (pixels + V.TileRows - 1) / V.TileRows;

    /// <summary>Memory for a list, in whole cache lines.</summary>
    public static long Floats(int tiles) => ((2L * V.TileRows + 1) * tiles * sizeof(nint) / sizeof(float) + 15) / 16 * 16;

    /// <summary>The pixels' first taps inside their pictures.</summary>
    public float** From(int tile) => _from + tile * V.TileRows;

    /// <summary>Where results go; only the first is known where a tile's are evenly spaced.</summary>
    public float** To(int tile) => _to + tile * V.TileRows;

    /// <summary>Floats from each result of a tile to the next, or 0 where that differs.</summary>
    public nint Spacing(int tile) => _spacing[tile];

    /// <summary>Lists the pixels of a slab.</summary>
    /// <param name="x">Windows of the pixels.</param>
    /// <param name="y">Results.</param>
    /// <param name="pitch">Floats from one row of taps to the next.</param>
    /// <param name="c">Floats from one column of taps to the next.</param>
    public void Add(TapPlan<V> plan, int pictures, int rows, Grid x, Grid y, nint pitch, int c)
    {
        var tile = 0;
        foreach (var row in plan.Rows)
            foreach (var col in plan.Cols)
            {
                var pixels = TapPlan<V>.Pixels(pictures, rows, row, col);
                var end = Math.Min(row.End, rows);
                Points(From(tile), x.At + row.First * pitch + (nint)col.First * c, x, pictures, row.Begin, end, col);
                // Where results lie one after another it is enough to know the first of each tile.
                var dense = (col.End - col.Begin) * y.Col == y.Row && (pictures == 1 || (end - row.Begin) * y.Row == y.Picture);
                var first = y.At + row.Begin * y.Row + col.Begin * y.Col;
                if (!dense) Points(To(tile), y.At, y, pictures, row.Begin, end, col);
                for (var i = 0; i < pixels; i += V.TileRows, tile++)
                {
                    if (dense) *To(tile) = first + i * y.Col;
                    _spacing[tile] = dense ? y.Col : Spacing(To(tile), Math.Min(pixels - i, V.TileRows), y.Col);
                }
            }
    }

    private static void Points(float** to, float* origin, Grid grid, int pictures, int row, int end, TapRun col)
    {
        var count = 0;
        for (var p = 0; p < pictures; p++)
            for (var i = row; i < end; i++)
            {
                var at = origin + p * grid.Picture + i * grid.Row + col.Begin * grid.Col;
                for (var j = col.Begin; j < col.End; j++, at += grid.Col) to[count++] = at;
            }
        for (; count % V.TileRows != 0; count++) to[count] = to[count - 1];
    }

    private static nint Spacing(float** to, int count, nint single)
    {
        if (count == 1) return single;
        var spacing = to[1] - to[0];
        for (var i = 2; i < count; i++)
            if (to[i] - to[i - 1] != spacing) return 0;
        return (nint)spacing;
    }
}
