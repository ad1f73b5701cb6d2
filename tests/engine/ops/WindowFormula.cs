namespace Plip.Tests.Engine;

/// <summary>
/// Attention in windows in float64, step by step as torchvision does it: pad, roll, number the regions by slices, cut, attend, and all the way back.
/// </summary>
internal sealed record WindowFormula(int Images, int Height, int Width, int Heads, int Depth, int Window, int Shift)
{
    private int Channels => Heads * Depth;

    private int PaddedHeight => (Height + Window - 1) / Window * Window;

    private int PaddedWidth => (Width + Window - 1) / Window * Window;

    public int Distances => (2 * Window - 1) * (2 * Window - 1);

    /// <summary>qkv (N, H, W, 3C), padding (3C), table (distances, heads) → (N, H, W, C).</summary>
    public double[] Forward(double[] qkv, double[] padding, double[] table)
    {
        var y = new double[Images * Height * Width * Channels];
        int sy = Window >= PaddedHeight ? 0 : Shift, sx = Window >= PaddedWidth ? 0 : Shift;
        var regions = new int[PaddedHeight, PaddedWidth];
        var count = 0;
        foreach (var (top, bottom) in Slices(PaddedHeight, sy))
            foreach (var (left, right) in Slices(PaddedWidth, sx))
            {
                for (var i = top; i < bottom; i++)
                    for (var j = left; j < right; j++) regions[i, j] = count;
                count++;
            }
        for (var n = 0; n < Images; n++)
        {
            // (padded height, padded width): the place in qkv of what lies there after the roll; −1 for padding
            var rolled = new int[PaddedHeight, PaddedWidth];
            for (var i = 0; i < PaddedHeight; i++)
                for (var j = 0; j < PaddedWidth; j++)
                {
                    int fromY = (i + sy) % PaddedHeight, fromX = (j + sx) % PaddedWidth;
                    rolled[i, j] = fromY < Height && fromX < Width ? (n * Height + fromY) * Width + fromX : -1;
                }
            for (var top = 0; top < PaddedHeight; top += Window)
                for (var left = 0; left < PaddedWidth; left += Window)
                    for (var head = 0; head < Heads; head++) Attend(top, left, head);

            void Attend(int top, int left, int head)
            {
                double Of(int token, int part, int d)
                {
                    var row = rolled[top + token / Window, left + token % Window];
                    var column = part * Channels + head * Depth + d;
                    return row < 0 ? padding[column] : qkv[row * 3 * Channels + column];
                }

                int Region(int token) => regions[top + token / Window, left + token % Window];
                var tokens = Window * Window;
                for (var i = 0; i < tokens; i++)
                {
                    var to = rolled[top + i / Window, left + i % Window];
                    if (to < 0) continue; // cut off again
                    var s = new double[tokens];
                    for (var j = 0; j < tokens; j++)
                    {
                        for (var d = 0; d < Depth; d++) s[j] += Of(i, 0, d) * Of(j, 1, d) / Math.Sqrt(Depth);
                        int dy = i / Window - j / Window + Window - 1, dx = i % Window - j % Window + Window - 1;
                        s[j] += table[(dy * (2 * Window - 1) + dx) * Heads + head] + (Region(i) == Region(j) ? 0 : -100);
                    }
                    var max = s.Max();
                    var sum = s.Sum(v => Math.Exp(v - max));
                    for (var d = 0; d < Depth; d++)
                        y[to * Channels + head * Depth + d] = Enumerable.Range(0, tokens).Sum(j => Math.Exp(s[j] - max) / sum * Of(j, 2, d));
                }
            }
        }
        return y;
    }

    // ((0, −w), (−w, −s), (−s, None)) in Python; with a shift of 0 the second is empty and the third is everything.
    private (int, int)[] Slices(int extent, int shift) =>
        shift == 0 ? [(0, extent - Window), (0, 0), (0, extent)] : [(0, extent - Window), (extent - Window, extent - shift), (extent - shift, extent)];
}
