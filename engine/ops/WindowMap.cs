namespace Plip.Engine;

/// <summary>
/// How maps (N, H, W, …) are cut into square windows, as torchvision's Swin does it: padded at the bottom and on the right to whole windows, rolled by
/// the shift (none along an axis that one window covers), then cut. Nothing is moved: a token of a window is found by arithmetic.
/// </summary>
/// <param name="Images">N.</param>
/// <param name="Height">H.</param>
/// <param name="Width">W.</param>
/// <param name="Side">Rows and columns of a window.</param>
/// <param name="Shift">Rows and columns by which the maps are rolled.</param>
internal readonly record struct WindowMap(int Images, int Height, int Width, int Side, int Shift)
{
    /// <summary>What torchvision adds to the score of a pair that a roll has brought together from different ends of a map.</summary>
    public const float Apart = -100f;

    /// <summary>Windows from top to bottom.</summary>
    public int Down => (Height + Side - 1) / Side;

    /// <summary>Windows from left to right.</summary>
    public int Across => (Width + Side - 1) / Side;

    /// <summary>All windows; those of a picture are neighbours.</summary>
    public int Count => Images * Down * Across;

    /// <summary>Tokens of a window, those that only pad counted.</summary>
    public int Tokens => Side * Side;

    /// <summary>Rows by which the maps are rolled.</summary>
    public int ShiftDown => Down > 1 ? Shift : 0;

    /// <summary>Columns by which the maps are rolled.</summary>
    public int ShiftAcross => Across > 1 ? Shift : 0;

    /// <summary>Rows of the table of biases: one for each distance of two tokens.</summary>
    public int Distances => (2 * Side - 1) * (2 * Side - 1);

    /// <summary>The row of the table for a query and a key of one window.</summary>
    public int Distance(int query, int key)
    {
        var ((qy, qx), (ky, kx)) = (Math.DivRem(query, Side), Math.DivRem(key, Side));
        return (qy - ky + Side - 1) * (2 * Side - 1) + qx - kx + Side - 1;
    }

    /// <summary>Where a token of a window lies among the N·H·W rows, or −1 for padding; and its region: tokens of different ones lie apart.</summary>
    public (int Row, int Region) Find(int window, int token)
    {
        var (image, place) = Math.DivRem(window, Down * Across);
        var ((wy, wx), (ty, tx)) = (Math.DivRem(place, Across), Math.DivRem(token, Side));
        var ((y, top), (x, left)) = (Along(wy * Side + ty, Down * Side, ShiftDown), Along(wx * Side + tx, Across * Side, ShiftAcross));
        return (y < Height && x < Width ? (image * Height + y) * Width + x : -1, top * 3 + left);
    }

    private (int Place, int Region) Along(int rolled, int extent, int shift)
    {
        var place = rolled + shift;
        return (place < extent ? place : place - extent, rolled < extent - Side ? 0 : rolled < extent - shift ? 1 : 2);
    }
}
