using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>What panels need to know before there is one.</summary>
internal static unsafe class ContrastPanels
{
    // So many rows of A are multiplied without packing the other side (Gemm), and fewer would read it more often.
    private const int MostRows = 512, LeastRows = 64, PerTask = 8;

    /// <summary>Rows of a panel: no more than D where D is not small, so that it is O(N·D).</summary>
    public static int Rows(int n, int d) => Math.Min(n, Math.Clamp(d, LeastRows, MostRows));

    /// <summary>Lengths by rows, and one over them; 0 for a row without direction.</summary>
    public static void Sizes<V, T>(CpuDevice cpu, float* size, float* inverse, T* x, int rows, int cols)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> =>
        cpu.ForRange(rows, PerTask, (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                size[i] = MathF.Sqrt(Engine.Rows.SumSquares<V, T>(x + i * cols, cols));
                inverse[i] = size[i] > 0 ? 1f / size[i] : 0f;
            }
        });
}

/// <summary>
/// A streamed loss on the CPU: panels of all columns for some rows, which hold products of embeddings when they come. A row's sums are taken at
/// once; those of the columns go on from panel to panel, in blocks of columns that stay in L1, and follow when a higher score comes.
/// </summary>
/// <remarks>Tasks are rows or blocks of columns, cut by sizes alone: the same bits for any number of threads.</remarks>
internal sealed unsafe class ContrastPanels<V, TRow> : IDisposable
    where V : struct, IVector<V>
    where TRow : struct, IContrastRow
{
    private const int PerTask = 4, ColumnBlock = 512, Fields = 8; // the sums of a column and the highest cosine of a panel

    private readonly CpuDevice _cpu;
    private readonly TRow _row;
    private readonly bool _lengths, _bothWays;
    private readonly int _n;
    private readonly float* _size, _inverse, _bySize, _numbers, _factors, _own, _columns;
    private readonly int* _identities;
    private readonly double* _losses;
    private readonly Scratch _memory;

    public ContrastPanels(CpuDevice cpu, ContrastState state, Tensor? identities, int n, TRow row, bool lengths, bool bothWays)
    {
        (_cpu, _n, _row, _lengths, _bothWays) = (cpu, n, row, lengths, bothWays);
        _size = state.Size.F32;
        _inverse = state.Inverse.F32;
        _bySize = state.BySize.F32;
        _numbers = state.Numbers.F32;
        Stride = (n + 15) & ~15; // rows begin at a cache line
        _memory = cpu.Scratch((4 + 2 + 1 + 1 + Fields) * Stride);
        _losses = (double*)_memory.At;
        _factors = _memory.At + 4 * Stride;
        _own = _factors + 2 * Stride;
        _identities = (int*)(_own + Stride);
        _columns = _own + 2 * Stride;
        for (var i = 0; i < n; i++)
        {
            _factors[i] = row.Scale * (lengths ? _size[i] : 1f);
            _factors[Stride + i] = row.Scale * (lengths ? _size[n + i] : 1f);
            _identities[i] = identities == null ? i : identities.I32[i]; // without identities each pair is its own
        }
    }

    /// <summary>Floats from one row of a panel to the next.</summary>
    public long Stride { get; }

    /// <summary>Before the first panel of a forward.</summary>
    public void Begin()
    {
        new Span<float>(_columns, checked((int)Stride)).Fill(float.NegativeInfinity);
        for (var f = 1; f < Fields; f++) new Span<float>(_columns + f * Stride, (int)Stride).Clear();
    }

    /// <summary>Takes the losses of these rows, and adds their pairs to the columns; products become cosines.</summary>
    public void Add(float* panel, int first, int count)
    {
        _cpu.ForRange(count, PerTask, (from, to) =>
        {
            for (var r = from; r < to; r++) AddRow(panel + r * Stride, first + (int)r);
        });
        if (_bothWays) _cpu.ForRange(_n, ColumnBlock, (from, to) => AddColumns(panel, first, count, from, to));
    }

    /// <summary>The sum of all losses, in F64 and in their order.</summary>
    public double Finish()
    {
        if (_bothWays)
            for (var j = 0; j < _n; j++)
            {
                var at = _columns + j;
                var sums = new ContrastSums(at[0], at[Stride], at[2 * Stride], at[3 * Stride], at[4 * Stride], at[5 * Stride], at[6 * Stride]);
                Write(1, j, _row.Finish(sums, _own[j]));
            }
        double total = 0;
        for (var i = 0L; i < _n; i++) total += _losses[i];
        for (var j = 0L; j < _n && _bothWays; j++) total += _losses[Stride + j];
        return total;
    }

    /// <summary>Products become gradients by the products; <paramref name="side"/> says which the rows are.</summary>
    public void Slopes(float* panel, int first, int count, int side) => _cpu.ForRange(count, PerTask, (from, to) =>
    {
        for (var r = from; r < to; r++) SlopesOfRow(panel + r * Stride, first + (int)r, side);
    });

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private void Write(int side, int i, in ContrastNumbers result)
    {
        _losses[side * Stride + i] = result.Loss;
        var at = _numbers + (nint)side * 3 * _n + i;
        at[0] = result.Shift;
        at[_n] = result.Same;
        at[2 * _n] = result.Other;
        var size = _size[side * _n + i];
        _bySize[side * _n + i] = _lengths && size > 0 ? (float)(result.ByFactor / size) : 0f;
    }

    private void AddRow(float* cosines, int i)
    {
        var highest = ToCosines(cosines, _inverse[i], _inverse + _n, _n);
        var factor = _factors[i];
        var sums = SumRow(cosines, _identities, _n, factor, factor * highest, _identities[i], _row);
        _own[i] = factor * cosines[i];
        Write(0, i, _row.Finish(sums, _own[i]));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float ToCosines(float* products, float inverse, float* inverses, int n) => Loop.Max<V, Cosine>(new(products, inverse, inverses), n);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ContrastSums SumRow(float* cosines, int* identities, int n, float factor, float top, int identity, TRow row)
    {
        V other = default, same = default, along = default, alongSame = default, square = default, matches = default;
        var j = 0;
        for (; j <= n - V.Count; j += V.Count)
            AddPair(cosines + j, identities + j, factor, top, identity, row, ref other, ref same, ref along, ref alongSame, ref square, ref matches);
        Vec1 other1 = default, same1 = default, along1 = default, alongSame1 = default, square1 = default, matches1 = default;
        for (; j < n; j++)
            AddPair(cosines + j, identities + j, factor, top, identity, row, ref other1, ref same1, ref along1, ref alongSame1, ref square1, ref matches1);
        return new(
            top, V.Sum(other) + other1.Value, V.Sum(same) + same1.Value, V.Sum(along) + along1.Value, V.Sum(alongSame) + alongSame1.Value,
            V.Sum(square) + square1.Value, V.Sum(matches) + matches1.Value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddPair<W>(
        float* cosines, int* identities, float factor, float top, int identity, TRow row,
        ref W other, ref W same, ref W along, ref W alongSame, ref W square, ref W matches) where W : struct, IVector<W>
    {
        var cosine = W.Load(cosines);
        var match = W.SameBits(W.Load((float*)identities), W.Create(BitConverter.Int32BitsToSingle(identity)));
        row.Add(cosine, W.Fma(cosine, W.Create(factor), W.Create(-top)), match, ref other, ref same, ref along, ref alongSame, ref square);
        matches += W.Where(match, W.Create(1f));
    }

    private void AddColumns(float* panel, int first, int count, long from, long to)
    {
        var highest = _columns + (Fields - 1) * Stride;
        new Span<float>(highest + from, (int)(to - from)).Fill(float.NegativeInfinity);
        for (var r = 0; r < count; r++) Loop.Run<V, Highest>(new(highest, panel + r * Stride), from, to);
        RaiseColumns(_columns, Stride, highest, _factors + Stride, from, to);
        for (var r = 0; r < count; r++)
            AddToColumns(new(_columns, Stride, panel + r * Stride, _factors + Stride, _identities, _identities[first + r], _row), from, to);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RaiseColumns(float* columns, long stride, float* highest, float* factors, long from, long to) =>
        Loop.Run<V, Raise>(new(columns, stride, highest, factors), from, to);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AddToColumns(ColumnSums body, long from, long to) => Loop.Run<V, ColumnSums>(body, from, to);

    private void SlopesOfRow(float* products, int i, int side)
    {
        var (other, n) = (1 - side, _n);
        var at = _numbers + (nint)side * 3 * n + i;
        var across = _numbers + (nint)other * 3 * n;
        var line = new Line(_inverse[side * n + i], _factors[side * Stride + i], at[0], at[n], at[2 * n], _identities[i]);
        if (_bothWays) SlopesBothWays(new(products, _identities, _inverse + other * n, _factors + other * Stride, across, n, line, _row), n);
        else SlopesOneWay(new(products, _identities, _inverse + other * n, line, _row), n);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void SlopesBothWays(BothWays body, int n) => Loop.Run<V, BothWays>(body, 0, n);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void SlopesOneWay(OneWay body, int n) => Loop.Run<V, OneWay>(body, 0, n);

    /// <summary>A row in the gradient: what its scores are multiplied with, and what its loss made of the sums.</summary>
    private readonly record struct Line(float Inverse, float Factor, float Shift, float Same, float Other, int Identity);

    private readonly struct Cosine(float* products, float inverse, float* inverses) : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public W At<W>(long j) where W : struct, IVector<W>
        {
            var cosine = W.Load(products + j) * W.Create(inverse) * W.Load(inverses + j);
            cosine.Store(products + j);
            return cosine;
        }
    }

    private readonly struct Highest(float* highest, float* cosines) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<W>(long j) where W : struct, IVector<W> => W.Max(W.Load(highest + j), W.Load(cosines + j)).Store(highest + j);
    }

    /// <summary>Columns' sums with the highest score of a panel taken off, where it is the highest so far.</summary>
    private readonly struct Raise(float* columns, long stride, float* highest, float* factors) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<W>(long j) where W : struct, IVector<W>
        {
            var at = columns + j;
            var before = W.Load(at);
            var top = W.Max(before, W.Load(highest + j) * W.Load(factors + j));
            // Before the first panel sums are 0 and the highest is −∞: whatever is finite will do.
            var shift = W.Max(before, W.Create(-1e30f)) - top;
            var by = VectorMath.ExpToZero(shift);
            shift = W.Where(W.Less(default, by), shift);
            W other = W.Load(at + stride), same = W.Load(at + 2 * stride), along = W.Load(at + 3 * stride), alongSame = W.Load(at + 4 * stride);
            var total = other + same;
            top.Store(at);
            (by * other).Store(at + stride);
            (by * same).Store(at + 2 * stride);
            (by * W.Fma(shift, total, along)).Store(at + 3 * stride);
            (by * W.Fma(shift, same, alongSame)).Store(at + 4 * stride);
            (by * W.Fma(shift, W.Fma(shift, total, along + along), W.Load(at + 5 * stride))).Store(at + 5 * stride);
        }
    }

    private readonly struct ColumnSums(float* columns, long stride, float* cosines, float* factors, int* identities, int identity, TRow row) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<W>(long j) where W : struct, IVector<W>
        {
            var at = columns + j;
            W other = W.Load(at + stride), same = W.Load(at + 2 * stride), along = W.Load(at + 3 * stride);
            W alongSame = W.Load(at + 4 * stride), square = W.Load(at + 5 * stride);
            var cosine = W.Load(cosines + j);
            var match = W.SameBits(W.Load((float*)identities + j), W.Create(BitConverter.Int32BitsToSingle(identity)));
            row.Add(cosine, W.Fma(cosine, W.Load(factors + j), -W.Load(at)), match, ref other, ref same, ref along, ref alongSame, ref square);
            other.Store(at + stride);
            same.Store(at + 2 * stride);
            along.Store(at + 3 * stride);
            alongSame.Store(at + 4 * stride);
            square.Store(at + 5 * stride);
            (W.Load(at + 6 * stride) + W.Where(match, W.Create(1f))).Store(at + 6 * stride);
        }
    }

    private readonly struct BothWays(float* products, int* identities, float* inverses, float* factors, float* numbers, int n, Line line, TRow row) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<W>(long j) where W : struct, IVector<W>
        {
            var inverse = W.Create(line.Inverse) * W.Load(inverses + j);
            var cosine = W.Load(products + j) * inverse;
            var match = W.SameBits(W.Load((float*)identities + j), W.Create(BitConverter.Int32BitsToSingle(line.Identity)));
            var slope = row.Slope(cosine, match, W.Create(line.Factor), W.Create(line.Shift), W.Create(line.Same), W.Create(line.Other))
                + row.Slope(cosine, match, W.Load(factors + j), W.Load(numbers + j), W.Load(numbers + n + j), W.Load(numbers + 2 * (nint)n + j));
            (slope * inverse).Store(products + j);
        }
    }

    private readonly struct OneWay(float* products, int* identities, float* inverses, Line line, TRow row) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<W>(long j) where W : struct, IVector<W>
        {
            var inverse = W.Create(line.Inverse) * W.Load(inverses + j);
            var cosine = W.Load(products + j) * inverse;
            var match = W.SameBits(W.Load((float*)identities + j), W.Create(BitConverter.Int32BitsToSingle(line.Identity)));
            var slope = row.Slope(cosine, match, W.Create(line.Factor), W.Create(line.Shift), W.Create(line.Same), W.Create(line.Other));
            (slope * inverse).Store(products + j);
        }
    }
}
