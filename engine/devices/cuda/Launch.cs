using System.Globalization;

namespace Plip.Engine;

/// <summary>How many blocks of how many threads, and dynamic shared memory. A grid with nothing in it launches nothing.</summary>
internal readonly record struct Launch(int GridX, int GridY, int GridZ, int BlockX, int BlockY, int BlockZ, int SharedBytes)
{
    private const int ElementThreads = 256, RowWarps = 4;

    /// <summary>A warp for each row, four to a block: block (32, 4), grid ⌈rows/4⌉.</summary>
    public static Launch WarpPerRow(long rows) => new(Blocks(rows, RowWarps), 1, 1, 32, RowWarps, 1, 0);

    /// <summary>A block of so many threads for each row.</summary>
    public static Launch BlockPerRow(long rows, int threads = 256) => new(checked((int)rows), 1, 1, threads, 1, 1, 0);

    /// <summary>A thread for each run of elements: block 256, grid ⌈count/(256·run)⌉.</summary>
    public static Launch PerElement(long count, int run = 1) => new(Blocks(count, (long)ElementThreads * run), 1, 1, ElementThreads, 1, 1, 0);

    /// <summary>A grid; its block follows: <c>Launch.Grid(x, y).Of(32, 8)</c>.</summary>
    public static Launch Grid(long x, int y = 1, int z = 1) => new(checked((int)x), y, z, 1, 1, 1, 0);

    /// <summary>The same grid with blocks of this shape.</summary>
    public Launch Of(int x, int y = 1, int z = 1) => this with { BlockX = x, BlockY = y, BlockZ = z };

    /// <summary>The same with dynamic shared memory.</summary>
    public Launch Shared(int bytes) => this with { SharedBytes = bytes };

    /// <summary>True when there is nothing to do.</summary>
    public bool IsEmpty => GridX == 0 || GridY == 0 || GridZ == 0;

    /// <summary>⌈count/each⌉.</summary>
    public static int Blocks(long count, long each) => checked((int)((count + each - 1) / each));

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"grid ({GridX}, {GridY}, {GridZ}), block ({BlockX}, {BlockY}, {BlockZ}), {SharedBytes} bytes shared");
}
