namespace Plip.Engine;

/// <summary>
/// Rows of C channels seen as fewer, wider rows: k rows are one row of k·C, a multiple of 16 and at least 256 long, so
/// that 8 channels fill vectors of any width as well as 256 do and sums kept in L1 are not waited for. Also the fixed blocks of rows.
/// </summary>
internal readonly unsafe struct ChannelFold
{
    // 128 KB in F32, 64 in BF16: a block's second reading comes from L2.
    private const int BlockElements = 32768;

    private readonly int _rows, _cols, _copies, _blockRows;

    public ChannelFold(int rows, int cols)
    {
        (_rows, _cols, _copies) = (rows, cols, 1);
        if (cols is > 0 and < 256)
        {
            var unit = 16 / Math.Min(16, cols & -cols); // the fewest rows whose elements are a multiple of 16
            _copies = unit * ((255 + unit * cols) / (unit * cols));
        }
        Width = _copies * cols;
        _blockRows = _copies * Math.Max(16, BlockElements / Math.Max(1, Width));
    }

    /// <summary>Elements of a wide row.</summary>
    public int Width { get; }

    /// <summary>Number of blocks of rows; depends on the shape only.</summary>
    public int Blocks => (_rows + _blockRows - 1) / _blockRows;

    /// <summary>Rows of block b.</summary>
    public int RowsOf(int b) => Math.Min(_blockRows, _rows - b * _blockRows);

    /// <summary>First element and number of elements of block b.</summary>
    public (nint Start, nint Count) Block(int b) => ((nint)b * _blockRows * _cols, (nint)RowsOf(b) * _cols);

    /// <summary>Adds the k copies of each channel's sum into the first.</summary>
    public void Gather(float* wide)
    {
        for (var k = 1; k < _copies; k++)
            for (var c = 0; c < _cols; c++) wide[c] += wide[k * _cols + c];
    }

    /// <summary>Writes a vector of C channels k times in a row; may start at its own source.</summary>
    public void Repeat(float* channels, float* wide)
    {
        for (var k = 0; k < _copies; k++)
            new ReadOnlySpan<float>(channels, _cols).CopyTo(new Span<float>(wide + k * _cols, _cols));
    }
}
