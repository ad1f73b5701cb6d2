namespace Plip.Engine;

/// <summary>Neighbouring outputs along one axis, Begin to End, that meet the same filter taps, First to Last, inside the picture.</summary>
internal readonly record struct TapRun(int Begin, int End, int First, int Last);

/// <summary>One axis of a convolution: output i meets positions <c>first + i·stride</c> and on, through so many taps, of an extent.</summary>
internal readonly record struct TapAxis(int Outputs, int First, int Stride, int Taps, int Extent)
{
    /// <summary>
    /// The outputs by the taps that are inside the picture; all of them as one run that meets every tap where that is not
    /// asked for, or where an output meets none.
    /// </summary>
    /// <param name="inside">Whether those taps read nothing outside the picture.</param>
    public TapRun[] Runs(bool cut, out bool inside)
    {
        inside = First >= 0 && First + (Outputs - 1) * Stride + Taps <= Extent;
        TapRun[] whole = [new(0, Outputs, 0, Taps)];
        if (!cut || inside) return whole;
        var runs = new List<TapRun>();
        for (var i = 0; i < Outputs; i++)
        {
            var at = First + i * Stride;
            int first = Math.Max(0, -at), last = Math.Min(Taps, Extent - at);
            if (first >= last) return whole;
            if (runs.Count > 0 && (runs[^1].First, runs[^1].Last) == (first, last)) runs[^1] = runs[^1] with { End = i + 1 };
            else runs.Add(new(i, i + 1, first, last));
        }
        inside = true;
        return [.. runs];
    }
}

/// <summary>
/// How a convolution is cut, by sizes only. In a small picture many taps fall on padding (31 % of those of a 3×3 filter in
/// 6×3 pixels). A task then takes whole pictures, so many that tiles can be filled with pixels that meet the same
/// taps, and multiplies no others; if both axes are cut so, nothing outside the pictures is read and nothing is padded.
/// </summary>
internal sealed class TapPlan<V> where V : struct, IVector<V>
{
    // A task's input should stay in L2 with a panel of weights; the pointers to its pixels as well.
    private const int TaskFloats = 1 << 16, FewestPixels = 512, MostPixels = 2304;

    // Where slabs are fewer than this the panels of weights are shared out as well.
    private const int Tasks = 8;

    public TapPlan(int n, TapAxis rows, TapAxis cols, int channels, int panels)
    {
        Slabs = new Slabs<V>(n, rows.Outputs, cols.Outputs, (long)rows.Taps * cols.Taps * channels * panels * MicroKernels.Columns<V>());
        Rows = rows.Runs(false, out var rowsInside);
        Cols = cols.Runs(false, out var colsInside);
        Inside = rowsInside && colsInside;
        if (!Inside) Cut(n, rows, cols, Math.Clamp(TaskFloats / channels, FewestPixels, MostPixels), panels);
        Parts = Math.Min(panels, (Tasks + Slabs.Count - 1) / Slabs.Count);
    }

    public Slabs<V> Slabs { get; private set; }

    /// <summary>Output rows by taps; where a task is less than a picture, one run.</summary>
    public TapRun[] Rows { get; private set; }

    public TapRun[] Cols { get; private set; }

    /// <summary>True where no tap reads outside the pictures.</summary>
    public bool Inside { get; private set; }

    /// <summary>How many tasks a slab's panels are shared by.</summary>
    public int Parts { get; }

    /// <summary>Pixels of a class in so many pictures, or in so many rows of one.</summary>
    public static int Pixels(int pictures, int rows, TapRun row, TapRun col) => pictures * (Math.Min(row.End, rows) - row.Begin) * (col.End - col.Begin);

    /// <summary>Tiles of a task.</summary>
    public int Tiles(int pictures, int rows)
    {
        var tiles = 0;
        foreach (var r in Rows)
            foreach (var c in Cols) tiles += TileList<V>.Count(Pixels(pictures, rows, r, c));
        return tiles;
    }

    /// <summary>Takes the classes and pictures a task with the fewest multiplications, if they save a sixteenth of them: finding them costs some.</summary>
    private void Cut(int n, TapAxis rows, TapAxis cols, int mostPixels, int panels)
    {
        int pixels = rows.Outputs * cols.Outputs, tasks = Math.Min(Tasks, Slabs.Count * panels);
        if (pixels > mostPixels) return;
        var best = Cost(n, 1, Rows, Cols) * 15 / 16;
        if (Slabs.IsWhole) best = Math.Min(best, Cost(n, Slabs.Pictures, Rows, Cols) * 15 / 16);
        for (var axes = 1; axes < 4; axes++)
        {
            var r = rows.Runs((axes & 1) != 0, out var rowsInside);
            var c = cols.Runs((axes & 2) != 0, out var colsInside);
            for (var p = 1; p <= n && p * pixels <= mostPixels && (n + p - 1) / p * panels >= tasks; p = p < 4 ? 2 * p : p < V.TileRows ? V.TileRows : 2 * p)
            {
                var cost = Cost(n, p, r, c);
                if (cost > best) continue;
                (best, Rows, Cols, Inside) = (cost, r, c, rowsInside && colsInside);
                Slabs = Slabs<V>.OfPictures(n, rows.Outputs, cols.Outputs, p);
            }
        }
    }

    /// <summary>Taps times tiles when a task takes so many pictures.</summary>
    private static long Cost(int n, int pictures, TapRun[] rows, TapRun[] cols)
    {
        var (full, rest) = Math.DivRem(n, pictures);
        long cost = 0;
        foreach (var r in rows)
            foreach (var c in cols)
            {
                int pixels = (r.End - r.Begin) * (c.End - c.Begin), taps = (r.Last - r.First) * (c.Last - c.First);
                cost += ((long)full * TileList<V>.Count(pictures * pixels) + TileList<V>.Count(rest * pixels)) * taps;
            }
        return cost;
    }
}
