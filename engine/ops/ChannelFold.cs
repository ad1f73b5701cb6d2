namespace Plip.Engine;

/// <summary>
/// Rows of C channels seen as fewer, wider rows: k rows are one row of k·C, a multiple of 64, so that 16 or 24 channels fill
/// vectors as well as 64 do. Also the fixed blocks of rows that tasks take, for passes over elements and for sums. They are
/// cut across rows only: a range of channels would be read in pieces, and that is slower than it saves.
/// </summary>
internal readonly unsafe struct ChannelFold
{
    // A sum's block has rows enough for its result, two floats a channel, to be small beside it.
    private const int LeastSumRows = 64, Widest = 1024;

    private readonly int _rows, _cols, _copies, _passRows, _sumRows;

    public ChannelFold(int rows, int cols)
    {
        (_rows, _cols, _copies) = (rows, cols, 1);
        var unit = cols == 0 ? 1 : 64 / Math.Min(64, cols & -cols); // the fewest rows whose floats are a multiple of 64
        if (unit * cols <= Widest) _copies = unit;
        Width = _copies * cols;
        _passRows = _copies * Math.Max(1, Math.Max(2 * CpuDevice.Grain, CpuDevice.GrainOf((long)rows * cols)) / Math.Max(1, Width));
        _sumRows = Math.Max(_copies * (LeastSumRows / _copies), _passRows);
    }

    /// <summary>Floats of a wide row: the length of per-channel operands.</summary>
    public int Width { get; }

    /// <summary>Blocks of rows for passes over elements; depends on the shape only, as all here.</summary>
    public int Passes => (_rows + _passRows - 1) / _passRows;

    /// <summary>First element and number of elements of pass b.</summary>
    public (nint Start, nint Count) Pass(int b) => ((nint)b * _passRows * _cols, (nint)Math.Min(_passRows, _rows - b * _passRows) * _cols);

    /// <summary>Blocks of rows for sums.</summary>
    public int Blocks => (_rows + _sumRows - 1) / _sumRows;

    /// <summary>Rows of block b.</summary>
    public int RowsOf(int b) => Math.Min(_sumRows, _rows - b * _sumRows);

    /// <summary>Block b.</summary>
    public ChannelBlock Block(int b) =>
        new(b, _cols, Width, RowsOf(b), RowsOf(b) / _copies, RowsOf(b) % _copies * _cols, (nint)b * _sumRows * _cols);

    /// <summary>Writes a vector of C channels k times in a row; may start at its own source.</summary>
    public void Repeat(float* channels, float* wide)
    {
        for (var k = 0; k < _copies; k++)
            new ReadOnlySpan<float>(channels, _cols).CopyTo(new Span<float>(wide + k * _cols, _cols));
    }
}

/// <summary>Rows whose sums one task forms.</summary>
/// <param name="Index">Which block.</param>
/// <param name="Cols">Number of channels.</param>
/// <param name="Width">Floats of a wide row: the channels, several times over where they are few.</param>
/// <param name="Rows">Rows.</param>
/// <param name="WideRows">Whole wide rows.</param>
/// <param name="Rest">Elements of the last, shorter wide row.</param>
/// <param name="Start">First element.</param>
internal readonly unsafe record struct ChannelBlock(int Index, int Cols, int Width, int Rows, int WideRows, int Rest, nint Start)
{
    /// <summary>Folds the block's rows into a and b, as wide as it is; what is summed must have been set to 0.</summary>
    public void Fold<V, TBody>(TBody body, float* a, float* b, int abreast = 1)
        where V : struct, IVector<V>
        where TBody : struct, IColumns
    {
        Columns.Fold<V, TBody>(body, a, b, Start, Width, WideRows, Width, abreast);
        if (Rest > 0) Columns.Fold<V, TBody>(body, a, b, Start + (nint)WideRows * Width, Width, 1, Rest);
    }

    /// <summary>Adds the copies of each channel's sum into the first.</summary>
    public void Gather<V>(float* wide) where V : struct, IVector<V>
    {
        for (var k = Cols; k < Width; k += Cols) Engine.Rows.AddTo<V, F32>(wide, (F32*)(wide + k), Cols);
    }
}
