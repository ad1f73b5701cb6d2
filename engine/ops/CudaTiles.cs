namespace Plip.Engine;

/// <summary>
/// Blocks of (lanes, 256/lanes) threads over rows of channels, as kernels/common/columns.cuh has them: a thread has a pack of neighbouring
/// channels and every so many rows. Narrow rows take few lanes, so that no thread of a warp is idle.
/// </summary>
internal readonly struct ColumnTiles
{
    private const int Threads = 256, Widest = 32, LeastRows = 256;

    private readonly int _cols;

    /// <summary>For rows of so many channels in all these tensors; null ones do not count.</summary>
    public ColumnTiles(DType type, int cols, params ReadOnlySpan<Tensor?> tensors)
    {
        (_cols, Pack) = (cols, 16 / type.Size());
        foreach (var t in tensors)
            if (t != null) Pack = Math.Min(Pack, Engine.Pack.Of(type, cols, t));
        Lanes = 1;
        while (Lanes < Widest && Lanes * Pack < cols) Lanes *= 2;
    }

    /// <summary>Channels a thread has.</summary>
    public int Pack { get; }

    /// <summary>Threads abreast.</summary>
    public int Lanes { get; }

    /// <summary>So many blocks down, and as many across as the channels take.</summary>
    public Launch Over(long blocks) => Launch.Grid(blocks, Launch.Blocks(_cols, Lanes * Pack)).Of(Lanes, Threads / Lanes);

    /// <summary>A pass over elements: eight rows a thread.</summary>
    public Launch OverRows(long rows) => Over(Launch.Blocks(rows, 8 * (Threads / Lanes)));

    /// <summary>Rows that are summed by one block: 256, or more where there would be more blocks than <paramref name="most"/>.</summary>
    public static int RowsPerBlock(int rows, int most) => LeastRows * Math.Max(1, Launch.Blocks(rows, (long)LeastRows * most));
}

/// <summary>Blocks over the pixels of each picture, for kernels that sum them or give them one thing.</summary>
internal readonly struct PictureTiles
{
    private const int MostBlocks = 64; // a picture, whose sums one thread adds

    /// <summary>For pictures (N, H, W, C).</summary>
    public PictureTiles(Tensor x)
    {
        Pixels = checked(x.Shape[1] * x.Shape[2]);
        PerBlock = ColumnTiles.RowsPerBlock(Pixels, MostBlocks);
        Blocks = Launch.Blocks(Pixels, PerBlock);
        All = (long)Blocks * x.Shape[0];
    }

    /// <summary>Pixels of a picture.</summary>
    public int Pixels { get; }

    /// <summary>Pixels of a block.</summary>
    public int PerBlock { get; }

    /// <summary>Blocks of a picture.</summary>
    public int Blocks { get; }

    /// <summary>Blocks of all pictures.</summary>
    public long All { get; }

    /// <summary>A block or more for each row of pixels of a result (N, H, W, C), a thread for each pack of channels.</summary>
    public static Launch Rows(Tensor y, int pack)
    {
        var packs = checked(y.Shape[2] * y.Shape[3]) / pack;
        var threads = Math.Clamp((packs + 31) / 32 * 32, 32, 256);
        return Launch.Grid((long)y.Shape[0] * y.Shape[1], Math.Min(65535, Launch.Blocks(packs, threads))).Of(threads);
    }
}
