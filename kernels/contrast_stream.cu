// contrast_stream.cu: the contrastive losses over all pairs, N×N never stored.   compiled per use: -DTYPE=float|bf16|half -DPACK=8|1 -DROW=…
//   maths    C = (v·t)/(|v||t|) in tiles of 128 × 128; each row's and each column's (top, Σe, Σe·c, Σe·c²; the same identity apart), with
//            e = e^c, c = score − top, merged as tiles come. From them its loss, and the numbers of the gradient by the product v·t:
//            H = 1/(|v||t|)·(∂row loss + ∂column loss by C).  The losses are those of contrast.cu; Instance's own pair gets −Σ of its rest
//   traffic  N²·D·sizeof(TYPE)/64 bytes for the products, a 64th of their operations, nearly all from L2: blocks walk a part of the columns
//            together. Partial sums of 16 parts and 32 slots, 1.3 KB a pair, in statistics alone. gradient: H written once, B rows at a time
//   flops    2·N²·D each by mma.sync (TYPE=float: by cuBLASLt, B rows at a time, and a tile is read from there), 2 exps a pair and kernel
//   launch   a block of 256: 2 × 4 warps of 64 × 32 of a tile, 32 terms at a time, four stages of cp.async; 80 KB of shared memory, in which
//            the tile then lies: two blocks an SM, one's products beside the other's exps
//            statistics: grid (≤ 16 groups of rows, ≤ 16 parts of columns): no more blocks than run at once, whatever N. A block walks its tiles
//            row by row; sums lie in scratch that is its alone: a row's by part, a column's in a slot for each half of 64 rows
//            gradient: a block a tile, all rows of the panel beside each other. finish: a thread a row or column
//   care     products of the embeddings as they are, F32 sums, then times 1/(|v||t|): nothing is rounded to 16 bits but what is stored so.
//            The highest score is taken off before exp, and sums follow when it grows. Slots merge in order; no atomics: the same bits
//            every time. Rows of 40 elements (tile: 136 floats) lie in different banks for ldmatrix (for both passes over the tile)
//   see      engine/ops/ContrastStream.cs · ContrastStreamTests · Inf-CL, arXiv:2410.17243, tiles one direction and one positive (ladder/contrast_2.cu)
// options  -DTYPE=float -DPACK=1 -DROW=Matching|Instance|Alignment
// options  -DTYPE=bf16|half -DPACK=8|1 -DROW=Matching|Instance|Alignment
#include "load.cuh"
#include "mma.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int SIDE = 128, THREADS = 256, STEP = 32, STAGES = 4;
constexpr int LINE = STEP + 8, STAGE = 2 * SIDE * LINE, STRIDE = SIDE + 8;

/// What a loss is given: scale, ε and form, or thresholds and slopes (contrast.cu).
struct Terms { float a, b, c, d; };

/// What is known of a row's or a column's pairs so far; c = score − top, e = e^c.
struct Sums { float top, other, same, along, along_same, square, matches; };

/// A row or a column in the gradient: what its scores are multiplied with, and what its loss made of the sums.
struct Line { float inverse, factor, shift, same, other; int identity; };

/// A loss and what its gradient takes.
struct Numbers { float loss, shift, same, other, by_size; };

__device__ __forceinline__ Sums nothing() { return Sums{-INFINITY, 0, 0, 0, 0, 0, 0}; }

/// The sums with a higher score taken off.
__device__ __forceinline__ void raise(Sums& s, float top) {
    if (top == s.top) return;
    const float by = expf(s.top - top), shift = s.top == -INFINITY ? 0.f : s.top - top, total = s.other + s.same;
    s.square = by * (s.square + shift * (2 * s.along + shift * total));
    s.along = by * (s.along + shift * total);
    s.along_same = by * (s.along_same + shift * s.same);
    s.other *= by;
    s.same *= by;
    s.top = top;
}

__device__ __forceinline__ void merge(Sums& s, Sums more) {
    const float top = fmaxf(s.top, more.top);
    if (more.top == -INFINITY) return;
    raise(s, top);
    raise(more, top);
    s.other += more.other;
    s.same += more.same;
    s.along += more.along;
    s.along_same += more.along_same;
    s.square += more.square;
    s.matches += more.matches;
}

struct Matching {
    static constexpr bool SOFTMAX = true;
    static constexpr int FIELDS = 7;

    static __device__ __forceinline__ void add(Sums& s, float, float c, bool same, const Terms&) {
        const float e = expf(c), ec = e * c;
        s.along += ec;
        s.square = fmaf(ec, c, s.square);
        s.other += same ? 0.f : e;
        s.same += same ? e : 0.f;
        s.along_same += same ? ec : 0.f;
        s.matches += same ? 1.f : 0.f;
    }

    // L = Σ e·(c − log(q+ε))/Σe − log Σe, and q has but two values. Scores' gradients sum to nothing, so Σ of them times score is that times c.
    static __device__ Numbers finish(const Sums& s, float, float size, const Terms& t) {
        const double q = 1.0 / (t.c == 0 ? (double)s.matches : sqrt((double)s.matches)), total = (double)s.other + s.same;
        const double log_same = log(q + t.b), log_other = log((double)t.b), log_sum = log(total);
        const double loss = (s.along - s.same * log_same - s.other * log_other) / total - log_sum;
        const double same = log_same + loss, other = log_other + loss;
        const double by_score = (s.square - (same + log_sum) * s.along_same - (other + log_sum) * ((double)s.along - s.along_same)) / total;
        return Numbers{(float)loss, (float)(s.top + log_sum), (float)same, (float)other, size > 0 ? (float)(by_score / size) : 0.f};
    }

    static __device__ __forceinline__ float slope(float cosine, bool same, const Line& x, const Terms&) {
        const float log_p = fmaf(cosine, x.factor, -x.shift);
        return x.factor * expf(log_p) * (log_p - (same ? x.same : x.other));
    }
};

struct Instance {
    static constexpr bool SOFTMAX = true;
    static constexpr int FIELDS = 3;

    static __device__ __forceinline__ void add(Sums& s, float, float c, bool same, const Terms&) {
        const float e = expf(c);
        s.other += same ? 0.f : e;
        s.same += same ? e : 0.f;
    }

    // p − 1 of a pair that is almost certain would cancel; the rest of the row does not.
    static __device__ Numbers finish(const Sums& s, float own, float, const Terms&) {
        const double total = (double)s.other + s.same, log_sum = log(total);
        return Numbers{(float)(0.5 * (log_sum - ((double)own - s.top))), (float)(s.top + log_sum), (float)(-0.5 * s.other / total), 0.f, 0.f};
    }

    static __device__ __forceinline__ float slope(float cosine, bool same, const Line& x, const Terms&) {
        return x.factor * (same ? x.same : 0.5f * expf(fmaf(cosine, x.factor, -x.shift)));
    }
};

struct Alignment {
    static constexpr bool SOFTMAX = false;
    static constexpr int FIELDS = 2;

    static __device__ __forceinline__ float exponent(float cosine, bool same, const Terms& t) { return (cosine - (same ? t.a : t.b)) * (same ? -t.c : t.d); }

    static __device__ __forceinline__ void add(Sums& s, float cosine, float, bool same, const Terms& t) {
        const float z = exponent(cosine, same, t);
        s.other += fmaxf(z, 0.f) + log1pf(expf(-fabsf(z))); // never overflows, and keeps the digits of small losses
    }

    static __device__ Numbers finish(const Sums& s, float, float, const Terms&) { return Numbers{s.other, 0, 0, 0, 0}; }

    static __device__ __forceinline__ float slope(float cosine, bool same, const Line&, const Terms& t) {
        const float z = exponent(cosine, same, t), e = expf(-fabsf(z));
        return (same ? -t.c : t.d) * (z > 0 ? 1.f : e) / (1.f + e);
    }
};

/// Sums in scratch: fields n apart.
__device__ __forceinline__ Sums read_sums(const float* p, i64 n) {
    Sums s = nothing();
    s.top = p[0];
    s.other = p[n];
    if constexpr (ROW::FIELDS > 2) s.same = p[2 * n];
    if constexpr (ROW::FIELDS > 3) {
        s.along = p[3 * n];
        s.along_same = p[4 * n];
        s.square = p[5 * n];
        s.matches = p[6 * n];
    }
    return s;
}

__device__ __forceinline__ void write_sums(float* p, i64 n, const Sums& s) {
    p[0] = s.top;
    p[n] = s.other;
    if constexpr (ROW::FIELDS > 2) p[2 * n] = s.same;
    if constexpr (ROW::FIELDS > 3) {
        p[3 * n] = s.along;
        p[4 * n] = s.along_same;
        p[5 * n] = s.square;
        p[6 * n] = s.matches;
    }
}

/// Terms k … k+32 of 128 rows from first on into shared memory; zeros beyond the last row and the last term.
template <class Scalar> __device__ __forceinline__ void fetch(Scalar* to, const Scalar* from, int first, int rows, int cols, int k) {
    constexpr int PACKS = STEP / PACK;
    for (int i = threadIdx.x; i < SIDE * PACKS; i += THREADS) {
        const int row = i / PACKS, col = i % PACKS * PACK;
        const bool there = first + row < rows && k + col < cols;
        const Scalar* source = there ? from + (i64)(first + row) * cols + k + col : from;
        if constexpr (PACK == 8) cp_async_or_zero<16>(to + row * LINE + col, source, there);
        else to[row * LINE + col] = there ? *source : Scalar{0};
    }
}

/// Cosines of 128 rows of u and 128 of w, into shared memory; the block's warps have them after a barrier.
template <class Scalar> __device__ __forceinline__ void multiply_tile(
    float* tile, const Scalar* u, const Scalar* w, int row0, int col0, int rows, int cols, int d, const float* inverse_rows, const float* inverse_cols) {
    Scalar* stages = (Scalar*)tile;
    const int steps = (d + STEP - 1) / STEP, lane = lane_index(), at_row = warp_index() / 4 * 64, at_col = warp_index() % 4 * 32;
    float sums[4][4][4];
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int k = 0; k < 4; k++) sums[i][j][k] = 0;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            fetch(stages + s * STAGE, u, row0, rows, d, s * STEP);
            fetch(stages + s * STAGE + SIDE * LINE, w, col0, cols, d, s * STEP);
        }
        cp_async_commit();
    }
    for (int s = 0; s < steps; s++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads(); // all have stage s, and none needs stage s − 1 any more
        const int next = s + STAGES - 1;
        if (next < steps) {
            fetch(stages + next % STAGES * STAGE, u, row0, rows, d, next * STEP);
            fetch(stages + next % STAGES * STAGE + SIDE * LINE, w, col0, cols, d, next * STEP);
        }
        cp_async_commit();
        const Scalar *a = stages + s % STAGES * STAGE + (at_row + (lane & 15)) * LINE + (lane >> 4) * 8;
        const Scalar* b = stages + s % STAGES * STAGE + SIDE * LINE + (at_col + (lane & 7) + (lane >> 4) * 8) * LINE + (lane >> 3 & 1) * 8;
#pragma unroll
        for (int k = 0; k < STEP; k += 16) {
            u32 right[4][2];
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                u32 two[4];
                ldmatrix_x4(two, b + j * 8 * LINE + k);
                right[j][0] = two[0];
                right[j][1] = two[1];
                right[j + 1][0] = two[2];
                right[j + 1][1] = two[3];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                u32 left[4];
                ldmatrix_x4(left, a + i * 16 * LINE + k);
#pragma unroll
                for (int j = 0; j < 4; j++) mma_16x8x16<Scalar>(sums[i][j], left, right[j]);
            }
        }
    }
    __syncthreads(); // the tile takes the stages' place
    float by_col[4][2];
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int col = col0 + at_col + j * 8 + lane % 4 * 2 + k;
            by_col[j][k] = col < cols ? inverse_cols[col] : 0.f;
        }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int line = at_row + i / 2 * 16 + i % 2 * 8 + lane / 4;
        const float by_row = row0 + line < rows ? inverse_rows[row0 + line] : 0.f;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            Vec<float, 2> two;
            two[0] = sums[i / 2][j][i % 2 * 2] * by_row * by_col[j][0];
            two[1] = sums[i / 2][j][i % 2 * 2 + 1] * by_row * by_col[j][1];
            store_as(tile + line * STRIDE + at_col + j * 8 + lane % 4 * 2, two);
        }
    }
}

/// The same from products that lie in memory, cols apart.
__device__ __forceinline__ void read_tile(
    float* tile, const float* products, int row0, int col0, int rows, int cols, const float* inverse_rows, const float* inverse_cols) {
    for (int i = threadIdx.x; i < SIDE * SIDE; i += THREADS) {
        const int row = i / SIDE, col = i % SIDE;
        const bool there = row0 + row < rows && col0 + col < cols;
        tile[row * STRIDE + col] = there ? products[(i64)row * cols + col0 + col] * inverse_rows[row0 + row] * inverse_cols[col0 + col] : 0.f;
    }
}

/// Either, for rows row0 … of the panel that begins at row first and ends before row end.
template <class Scalar> __device__ __forceinline__ void make_tile(
    float* tile, const Scalar* u, const Scalar* w, int row0, int col0, int first, int end, int n, int d, const float* inverse_rows,
    const float* inverse_cols) {
    if constexpr (sizeof(Scalar) == 4) read_tile(tile, u + (i64)(row0 - first) * n, row0, col0, end, n, inverse_rows, inverse_cols);
    else multiply_tile(tile, u, w, row0, col0, end, n, d, inverse_rows, inverse_cols);
}

__device__ __forceinline__ float factor_of(const float* size, int i, int lengths, const Terms& terms) { return lengths ? terms.a * size[i] : terms.a; }

// u: the embeddings, or for float the products of rows first … first + count with all columns.
extern "C" __global__ void __launch_bounds__(THREADS, 2) contrast_statistics(
    float* rows, float* columns, float* own, const T* u, const T* w, const float* inverse, const float* size, const int* identities, int n, int d,
    int first, int count, int strips, int tiles, int fresh, int lengths, float ta, float tb, float tc, float td) {
    DYN_SMEM(float, tile);
    const Terms terms{ta, tb, tc, td};
    const int end = first + count, line = threadIdx.x / 2, odd = threadIdx.x % 2, column = threadIdx.x % SIDE, half = threadIdx.x / SIDE;
    const int slot = (int)blockIdx.x * 2 + half;
    for (int turn = 0; turn < strips * tiles; turn++) {
        const int t = turn % tiles, col0 = ((int)blockIdx.y * tiles + t) * SIDE, cols = min(SIDE, n - col0);
        const int row0 = first + ((int)blockIdx.x * strips + turn / tiles) * SIDE, row = row0 + line;
        if (row0 >= end) break;
        if (cols <= 0) continue;
        make_tile(tile, u, w, row0, col0, first, end, n, d, inverse, inverse + n);
        __syncthreads();
        // Two threads a row, each every other column, begun where the rows beside it are in other banks.
        const float* cosines = tile + line * STRIDE;
        const int skew = line >> 2, row_id = row >= end ? 0 : identities ? identities[row] : row;
        const float row_factor = row < end ? factor_of(size, row, lengths, terms) : 0.f;
        float* to = rows + (i64)blockIdx.y * ROW::FIELDS * n + row;
        const bool keeps = row < end && odd == 0;
        Sums sums = keeps && t > 0 ? read_sums(to, n) : nothing();
        if constexpr (ROW::SOFTMAX) {
            float highest = -INFINITY;
            for (int k = 0; k < SIDE / 2; k++) {
                const int c = (k + skew) % (SIDE / 2) * 2 + odd;
                if (c < cols) highest = fmaxf(highest, cosines[c]);
            }
            highest = fmaxf(sums.top, row_factor * fmaxf(highest, __shfl_xor_sync(FULL_WARP, highest, 1)));
            raise(sums, fmaxf(highest, __shfl_xor_sync(FULL_WARP, highest, 1)));
        }
        for (int k = 0; k < SIDE / 2; k++) {
            const int c = (k + skew) % (SIDE / 2) * 2 + odd, col = col0 + c;
            if (c >= cols) continue;
            const float cosine = cosines[c];
            ROW::add(sums, cosine, fmaf(cosine, row_factor, -sums.top), (identities ? identities[col] : col) == row_id, terms);
            if (own && col == row && row < end) own[row] = cosine * row_factor;
        }
        sums.other += __shfl_xor_sync(FULL_WARP, sums.other, 1);
        if constexpr (ROW::SOFTMAX) sums.same += __shfl_xor_sync(FULL_WARP, sums.same, 1);
        if constexpr (ROW::FIELDS > 3) {
            sums.along += __shfl_xor_sync(FULL_WARP, sums.along, 1);
            sums.along_same += __shfl_xor_sync(FULL_WARP, sums.along_same, 1);
            sums.square += __shfl_xor_sync(FULL_WARP, sums.square, 1);
            sums.matches += __shfl_xor_sync(FULL_WARP, sums.matches, 1);
        }
        if (keeps) write_sums(to, n, sums);
        if constexpr (ROW::SOFTMAX) {
            const int col = col0 + column, from = half * (SIDE / 2), to = min(from + SIDE / 2, end - row0);
            if (column < cols) {
                float* at = columns + (i64)slot * ROW::FIELDS * n + col;
                Sums known = fresh && turn < tiles ? nothing() : read_sums(at, n);
                float highest = -INFINITY;
                for (int r = from; r < to; r++) highest = fmaxf(highest, tile[r * STRIDE + column]);
                if (from < to) {
                    const float factor = factor_of(size + n, col, lengths, terms);
                    const int id = identities ? identities[col] : col;
                    raise(known, fmaxf(known.top, factor * highest));
                    for (int r = from; r < to; r++) {
                        const float cosine = tile[r * STRIDE + column];
                        ROW::add(known, cosine, fmaf(cosine, factor, -known.top), (identities ? identities[row0 + r] : row0 + r) == id, terms);
                    }
                }
                write_sums(at, n, known);
            }
        }
        __syncthreads();
    }
}

// A row's or column's parts, in order; numbers: shift, same, other of the rows, then of the columns.
extern "C" __global__ void __launch_bounds__(256) contrast_finish(
    float* losses, float* numbers, float* by_size, const float* rows, const float* columns, const float* own, const float* size, int n, int ways,
    int parts, int slots, int lengths, float ta, float tb, float tc, float td) {
    const i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (i64)ways * n) return;
    const Terms terms{ta, tb, tc, td};
    const int side = index >= n, i = (int)(index - (i64)side * n);
    const float* at = (side ? columns : rows) + i;
    Sums sums = read_sums(at, n);
    for (int k = 1; k < (side ? slots : parts); k++) {
        const Sums more = read_sums(at + (i64)k * ROW::FIELDS * n, n);
        if constexpr (ROW::SOFTMAX) merge(sums, more);
        else sums.other += more.other;
    }
    const Numbers result = ROW::finish(sums, own ? own[i] : 0.f, lengths ? size[index] : 0.f, terms);
    losses[index] = result.loss;
    by_size[index] = result.by_size;
    float* to = numbers + (i64)side * 3 * n + i;
    to[0] = result.shift;
    to[n] = result.same;
    to[2 * n] = result.other;
}

__device__ __forceinline__ Line line_of(
    int side, int i, const float* numbers, const float* inverse, const float* size, const int* identities, i64 n, int lengths, const Terms& terms) {
    const float* at = numbers + side * 3 * n + i;
    return Line{inverse[side * n + i], factor_of(size + side * n, i, lengths, terms), at[0], at[n], at[2 * n], identities ? identities[i] : i};
}

// For float, gradient holds the products of its rows and takes their place. side: what the rows are, 0 for images.
extern "C" __global__ void __launch_bounds__(THREADS, 2) contrast_gradient(
    T* gradient, const T* u, const T* w, const float* numbers, const float* inverse, const float* size, const int* identities, int n, int d, int first,
    int count, int side, int lengths, float ta, float tb, float tc, float td) {
    constexpr int WIDE = 4;
    DYN_SMEM(float, tile);
    const Terms terms{ta, tb, tc, td};
    const int strips = (count + SIDE - 1) / SIDE, row0 = first + (int)blockIdx.x % strips * SIDE, col0 = (int)blockIdx.x / strips * SIDE, end = first + count;
    make_tile(tile, u, w, row0, col0, first, end, n, d, inverse + (i64)side * n, inverse + (i64)(1 - side) * n);
    __syncthreads();
    const int column = threadIdx.x % (SIDE / WIDE) * WIDE, cols = min(WIDE, n - col0 - column);
    if (cols <= 0) return;
    Line across[WIDE];
#pragma unroll
    for (int k = 0; k < WIDE; k++) across[k] = line_of(1 - side, min(col0 + column + k, n - 1), numbers, inverse, size, identities, n, lengths, terms);
    for (int r = threadIdx.x / (SIDE / WIDE); r < SIDE && row0 + r < end; r += THREADS / (SIDE / WIDE)) {
        const Line down = line_of(side, row0 + r, numbers, inverse, size, identities, n, lengths, terms);
        const Vec<float, WIDE> cosines = load_as<Vec<float, WIDE>>(tile + r * STRIDE + column);
        Vec<float, WIDE> h;
#pragma unroll
        for (int k = 0; k < WIDE; k++) {
            const bool same = down.identity == across[k].identity;
            float slope = ROW::slope(cosines[k], same, down, terms);
            if constexpr (ROW::SOFTMAX) slope += ROW::slope(cosines[k], same, across[k], terms);
            h[k] = slope * down.inverse * across[k].inverse;
        }
        T* to = gradient + (i64)(row0 - first + r) * n + col0 + column;
        if (n % WIDE == 0) store(to, h);
        else
#pragma unroll
            for (int k = 0; k < WIDE; k++)
                if (k < cols) to[k] = from_float<T>(h[k]);
    }
}
