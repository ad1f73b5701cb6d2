using Plip.Configs;
using Plip.Engine;

namespace Plip.Weights;

/// <summary>
/// Learned position embeddings of a picture's patches for a picture of another size: the grid is resampled (bilinear, pixel centres; edges
/// repeat), the first row, of no position, is kept. CLIP's 7×7 of a 224×224 picture becomes 8×4 of 256×128.
/// </summary>
internal static class PositionTable
{
    /// <summary>Whether a tensor of this name is such a table.</summary>
    public static bool Is(string name) => name is "attnpool.positional_embedding" or "encoder.pos_embedding";

    /// <summary>The table for another grid, or null where the grids cannot be told or the widths differ.</summary>
    /// <param name="from">(1 + positions, C), or with an axis of 1 before.</param>
    /// <param name="to">The model's shape.</param>
    /// <param name="image">The model's pictures, which give its grid.</param>
    public static (StateTensor Table, string Note)? Resample(StateTensor from, Shape to, ImageConfig image)
    {
        if (from.Shape.Rank != to.Rank || to.Rank < 2 || from.Shape[-1] != to[-1] || from.Shape.Count != (long)from.Shape[-2] * to[-1]) return null;
        var (oldRows, rows, width) = (from.Shape[-2] - 1, to[-2] - 1, to[-1]);
        var side = (int)Math.Round(Math.Sqrt(oldRows));
        var stride = new[] { 16, 32 }.FirstOrDefault(s => image.Height / s * (image.Width / s) == rows);
        if (side < 1 || side * side != oldRows || stride == 0) return null;
        var (height, across) = (image.Height / stride, image.Width / stride);
        var old = from.ToF32();
        var values = new float[(rows + 1) * width];
        old.AsSpan(0, width).CopyTo(values);
        for (var y = 0; y < height; y++)
            for (var x = 0; x < across; x++)
            {
                var (y0, y1, fy) = Between(y, height, side);
                var (x0, x1, fx) = Between(x, across, side);
                var row = values.AsSpan((1 + y * across + x) * width, width);
                for (var c = 0; c < width; c++)
                    row[c] = (1 - fy) * ((1 - fx) * Old(y0, x0, c) + fx * Old(y0, x1, c)) + fy * ((1 - fx) * Old(y1, x0, c) + fx * Old(y1, x1, c));
            }
        return (StateTensor.Of(values, to), FormattableString.Invariant($"position embeddings were resampled from {side}×{side} to {height}×{across} (bilinear)"));

        float Old(int y, int x, int c) => old[(1 + y * side + x) * width + c];
    }

    private static (int Low, int High, float Share) Between(int i, int n, int old)
    {
        var at = Math.Clamp((i + 0.5f) * old / n - 0.5f, 0, old - 1);
        var low = (int)at;
        return (low, Math.Min(low + 1, old - 1), at - low);
    }
}
