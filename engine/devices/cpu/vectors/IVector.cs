namespace Plip.Engine;

/// <summary>
/// As many F32 lanes as a machine's registers hold. CPU kernels are written once over <typeparamref name="V"/> and the JIT
/// makes one body for each width: <see cref="Vec512"/>, <see cref="Vec256"/>, <see cref="Vec128"/>, and <see cref="Vec1"/>,
/// a single lane, with which the same code handles the tail of a row.
/// A comparison gives a mask: lanes of all ones or all zeros.
/// </summary>
internal unsafe interface IVector<V> where V : struct, IVector<V>
{
    /// <summary>Lanes; a constant to the JIT.</summary>
    static abstract int Count { get; }

    /// <summary>
    /// Rows of a product's tile two vectors wide whose sums the registers hold: 8 where there are 32 registers (AVX-512),
    /// 6 where there are 16. A constant to the JIT.
    /// </summary>
    static abstract int TileRows { get; }

    static abstract V Create(float x);

    static abstract V Load(float* p);

    /// <summary>Widens BF16: the bits become the upper half of an F32.</summary>
    static abstract V LoadBF16(ushort* p);

    /// <summary>Widens F16, exactly; a NaN stays one.</summary>
    static abstract V LoadF16(ushort* p);

    /// <summary>Bytes as numbers 0 … 255.</summary>
    static abstract V LoadU8(byte* p);

    void Store(float* p);

    /// <summary>Rounds to BF16, to nearest, ties to even; a NaN stays one.</summary>
    void StoreBF16(ushort* p);

    /// <summary>Rounds to F16, to nearest, ties to even, from 65520 on to infinity; a NaN stays one.</summary>
    void StoreF16(ushort* p);

    /// <summary>
    /// Past the caches: the line that is written is not read first, and nothing else is driven out for it. <paramref name="p"/>
    /// is aligned to the vector. <see cref="Target{T}"/> says when it pays.
    /// </summary>
    void StoreStream(float* p);

    /// <summary><see cref="StoreBF16"/> past the caches; <paramref name="p"/> is aligned to what is written.</summary>
    void StoreStreamBF16(ushort* p);

    /// <summary><see cref="StoreF16"/> past the caches; <paramref name="p"/> is aligned to what is written.</summary>
    void StoreStreamF16(ushort* p);

    /// <summary>Σ of the squares of so many floats, whole vectors, in F64.</summary>
    static abstract double SumSquares(float* p, long count);

    static abstract V operator +(V a, V b);

    static abstract V operator -(V a, V b);

    static abstract V operator *(V a, V b);

    static abstract V operator /(V a, V b);

    static abstract V operator -(V a);

    /// <summary>a·b + c, rounded once.</summary>
    static abstract V Fma(V a, V b, V c);

    /// <summary>The larger; NaN if either is.</summary>
    static abstract V Max(V a, V b);

    /// <summary>The smaller; NaN if either is.</summary>
    static abstract V Min(V a, V b);

    /// <summary>The larger in one instruction; if either is NaN, b.</summary>
    static abstract V MaxOr(V a, V b);

    /// <summary>The smaller in one instruction; if either is NaN, b.</summary>
    static abstract V MinOr(V a, V b);

    static abstract V Abs(V a);

    static abstract V Sqrt(V a);

    /// <summary>To the nearest whole number, ties to even.</summary>
    static abstract V Round(V a);

    /// <summary>2ⁿ for whole n in −126 … 127.</summary>
    static abstract V PowerOfTwo(V n);

    /// <summary>a·2ⁿ for whole n in −126 … 127.</summary>
    static abstract V Scale(V a, V n);

    /// <summary>Mask of a &lt; b; false for NaN.</summary>
    static abstract V Less(V a, V b);

    /// <summary>Mask of a ≤ b; false for NaN.</summary>
    static abstract V LessOrEqual(V a, V b);

    /// <summary>Mask of a = b; false for NaN.</summary>
    static abstract V Equal(V a, V b);

    /// <summary>Mask of the lanes whose 32 bits are the same: equality of integers loaded as if they were floats.</summary>
    static abstract V SameBits(V a, V b);

    /// <summary>mask ? a : b, lane by lane.</summary>
    static abstract V Select(V mask, V a, V b);

    /// <summary>mask ? a : 0, lane by lane.</summary>
    static abstract V Where(V mask, V a);

    /// <summary>A mask as bits, lane 0 the lowest.</summary>
    static abstract uint Bits(V mask);

    /// <summary>The mask of the lowest bits, lane 0 the lowest; higher bits count for nothing.</summary>
    static abstract V Mask(uint bits);

    /// <summary>Σ of the lanes, pairwise.</summary>
    static abstract float Sum(V a);

    /// <summary>The largest lane; NaN if any is.</summary>
    static abstract float Largest(V a);

    /// <summary>The largest lane, in fewer instructions; any of them if one is NaN.</summary>
    static abstract float LargestOr(V a);
}
