using System.Numerics;

namespace Plip.Engine;

/// <summary>Which threads of a GPU take a row (kernels/common/rows.cuh): a warp a short one, a block of 256 a long one.</summary>
internal static class RowTeam
{
    private const int Block = 256, LongestOfWarp = 1024, MostHeld = 32; // floats of a row that a thread keeps in registers

    /// <summary>32 or 256.</summary>
    public static int Threads(int cols) => cols <= LongestOfWarp ? 32 : Block;

    /// <summary>
    /// Packs of a row that each thread holds, as a power of two so that few kernels serve all lengths; 0 when it would be too many,
    /// and the row is read again.
    /// </summary>
    public static int Steps(int cols, int pack)
    {
        var steps = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, Engine.Launch.Blocks(cols, (long)Threads(cols) * pack)));
        return steps * pack <= MostHeld ? steps : 0;
    }

    /// <summary>A team for each row.</summary>
    public static Launch Launch(long rows, int cols) =>
        Threads(cols) == Block ? Engine.Launch.BlockPerRow(rows, Block) : Engine.Launch.WarpPerRow(rows);
}
