// attention_mma_backward.cu: gradients of attention_mma.cu.   compiled per use: -DTYPE=bf16|half -DHEAD=64 -DPACK=8|1
//   maths    P = e^(S − lse), dP = dO·Vᵀ, dS = P⊙(dP − δ); dV = Pᵀ·dO; dQ = s·dS·K; dK = s·dSᵀ·Q; δ_i = Σ_j P_ij·dP_ij = Σ dO_i·O_i
//   short    a sequence of at most ROWS queries and ROWS keys is one block's alone: S and dP are computed once, P and dS change hands in
//            shared memory, and δ is summed on the spot, so that O is not read
//   long     blocks own ROWS queries and walk the keys for dq (δ comes from attention_mma_delta), and own ROWS keys and walk the queries for
//            dk and dv, with Sᵀ computed again: no sum crosses blocks, so none needs atomics. Which way a block goes, it finds by itself
//   traffic  short: q, k, v, dO read once, dq, dk, dv written once, 10.5 KB a token at 12 heads of 64. Long: k, v, q, dO again for each
//            tile of the other side, from L2
//   flops    10·Tq·Tk·D short, 14 long. From D = 129 on pairs of warps share rows, each for half of D, and S and dP are computed by both; dk and
//            dv are then walked for one after the other, with S computed once more
//   launch   a warp for 16 rows, 4 a block (3 pairs from D = 129 on); grid (⌊T/ROWS⌋ + B, heads), and a second layer of blocks for keys where they
//            are packed otherwise than queries. Shared memory: 54 KB at D = 64 (4 blocks a multiprocessor), 86 KB at 128, 110 KB at 256 (2)
//   care     P and dS are rounded to TYPE for the products that use them, as FlashAttention-2 does; S, dP, δ and all sums are F32. In half
//            dS may overflow where a loss scale is too large: it becomes infinity, which the overflow check of the scaler sees
//   see      attention_mma.cu · attention.cu · AttentionMma.cs · AttentionMmaTests
// options  -DTYPE=bf16|half -DPACK=8 -DHEAD=16|32|64|128|256
// options  -DTYPE=bf16|half -DPACK=1 -DHEAD=3|70
#include "mma_tile.cuh"
#include "packed.cuh"

typedef TYPE T;
constexpr int SPLIT = HEAD > 128 ? 2 : 1; // warps that share rows, each for its part of the columns of dq, dk, dv
constexpr int WIDTH = (HEAD + 16 * SPLIT - 1) / (16 * SPLIT) * 16 * SPLIT, STRIDE = tile_stride(WIDTH), PART = WIDTH / SPLIT;
constexpr int ROWS = HEAD > 128 ? 48 : 64, WALKED = HEAD > 128 ? 16 : 32;
constexpr int THREADS = ROWS / 16 * SPLIT * 32, BLOCKS = WIDTH <= 64 ? 4 : 2;
constexpr int DELTA_THREADS = 128;
constexpr float LOG2E = 1.44269504f;

/// What is alike for all blocks: arguments as they came, which take no registers.
struct Sides {
    const T *q, *k, *v, *dy;
    const float *lse, *delta;
    int queries, width;
    float scale;
    __device__ __forceinline__ int column() const { return blockIdx.y * HEAD; }
    __device__ __forceinline__ i64 statistic(int query) const { return (i64)blockIdx.y * queries + query; }
};

__device__ __forceinline__ bool is_short(int queries, int keys) { return queries > 0 && queries <= ROWS && keys <= ROWS; }

__device__ __forceinline__ void fetch(T* to, const T* from, int first, int count, const Sides& x) {
    fill_tile<PACK, THREADS, WIDTH, HEAD>(to, from + (i64)first * x.width + x.column(), count, x.width);
}

/// Sums of this warp's columns to rows first+row … of a gradient.
__device__ __forceinline__ void give(T* to, int first, int row, int count, const float (&sums)[PART / 8][4], float factor, T* stage, const Sides& x) {
    const int part = warp_index() % SPLIT * PART;
    __syncwarp();
    write_rows<PACK, WIDTH>(
        to + (i64)(first + row) * x.width + x.column() + part, x.width, count - row, HEAD - part, sums, factor, factor, stage + row * STRIDE + part);
}

/// Both sides are this block's.
__device__ __forceinline__ void whole(T* dq, T* dk, T* dv, int q0, int nq, int k0, int nk, const Sides& x, T* queries) {
    T *dys = queries + ROWS * STRIDE, *keys = dys + ROWS * STRIDE, *values = keys + ROWS * STRIDE;
    T *probabilities = values + ROWS * STRIDE, *scores = probabilities + ROWS * tile_stride(ROWS);
    fetch(queries, x.q, q0, nq, x);
    fetch(dys, x.dy, q0, nq, x);
    fetch(keys, x.k, k0, nk, x);
    fetch(values, x.v, k0, nk, x);
    cp_async_commit();
    const int row = warp_index() / SPLIT * 16, part = warp_index() % SPLIT, t = lane_index() % 4 * 2;
    float shift[2];
    bool there[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int r = row + lane_index() / 4 + half * 8;
        there[half] = r < nq;
        shift[half] = there[half] ? x.lse[x.statistic(q0 + r)] * LOG2E : 0.f;
    }
    cp_async_wait<0>();
    __syncthreads();
    u32 ds[ROWS / 16][4];
    if (row < nq) {
        float s[ROWS / 8][4], dp[ROWS / 8][4], delta[2] = {0, 0};
        clear(s);
        clear(dp);
        multiply_rows<WIDTH>(s, queries + row * STRIDE, keys, nk);
        multiply_rows<WIDTH>(dp, dys + row * STRIDE, values, nk);
#pragma unroll
        for (int j = 0; j < ROWS / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const bool pair = there[e / 2] && j * 8 + t + e % 2 < nk;
                s[j][e] = pair ? exp2f(fmaf(s[j][e], x.scale * LOG2E, -shift[e / 2])) : 0.f;
                delta[e / 2] = fmaf(s[j][e], dp[j][e], delta[e / 2]);
            }
        delta[0] = warp_sum<4>(delta[0]);
        delta[1] = warp_sum<4>(delta[1]);
#pragma unroll
        for (int j = 0; j < ROWS / 16; j++) {
            u32 p[4];
            to_operand<T>(p, s[2 * j], s[2 * j + 1]);
            if (part == 0) store_operand<ROWS>(probabilities + row * tile_stride(ROWS) + j * 16, p);
#pragma unroll
            for (int i = 2 * j; i < 2 * j + 2; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) s[i][e] *= dp[i][e] - delta[e / 2];
            to_operand<T>(ds[j], s[2 * j], s[2 * j + 1]);
            if (part == SPLIT - 1) store_operand<ROWS>(scores + row * tile_stride(ROWS) + j * 16, ds[j]);
        }
    }
    __syncthreads();
    // Nobody needs the values any more: results leave through their tile.
    float sums[PART / 8][4];
    if (dq && row < nq) {
        clear(sums);
#pragma unroll
        for (int j = 0; j < ROWS / 16; j++)
            if (j * 16 < nk) multiply_block<WIDTH>(sums, ds[j], keys + j * 16 * STRIDE + part * PART);
        give(dq, q0, row, nq, sums, x.scale, values, x);
    }
    if (row >= nk) return;
    u32 a[4];
    if (dv) {
        clear(sums);
        for (int j = 0; j < nq; j += 16) {
            ldmatrix_x4_trans(a, across_first<ROWS>(probabilities + j * tile_stride(ROWS) + row));
            multiply_block<WIDTH>(sums, a, dys + j * STRIDE + part * PART);
        }
        give(dv, k0, row, nk, sums, 1.f, values, x);
    }
    if (dk) {
        clear(sums);
        for (int j = 0; j < nq; j += 16) {
            ldmatrix_x4_trans(a, across_first<ROWS>(scores + j * tile_stride(ROWS) + row));
            multiply_block<WIDTH>(sums, a, queries + j * STRIDE + part * PART);
        }
        give(dk, k0, row, nk, sums, x.scale, values, x);
    }
}

/// What a walk sums.
enum Gradient { DQ = 1, DK = 2, DV = 4 };

/// This block owns `count` rows from `first` on, of queries (and dO) for dq or of keys (and values) for dk and dv, and walks the rows from … end of the
/// other side. Keys see a row's lse and δ beside the queries, which they walk; queries keep their own.
template <int Wanted>
__device__ __forceinline__ void walk(T* of_scores, T* of_probabilities, int first, int count, int from, int end, const Sides& x, T* own) {
    constexpr bool OWN_QUERIES = Wanted == DQ, SCORES = (Wanted & (DQ | DK)) != 0, PROBABILITIES = (Wanted & DV) != 0; // sums of dS·…, and of P·dO
    T *const own_other = own + ROWS * STRIDE, *const tiles = own_other + ROWS * STRIDE; // of this turn, then of the next
    float* const statistics = (float*)(tiles + 4 * WALKED * STRIDE);                    // lse, δ; of this turn, then of the next
    const int row = warp_index() / SPLIT * 16, part = warp_index() % SPLIT * PART, t = lane_index() % 4 * 2;
    const auto prefetch = [&](int at, int turn) {
        const int n = min(WALKED, end - at), i = thread_index();
        T* const to = tiles + turn * 2 * WALKED * STRIDE;
        fetch(to, OWN_QUERIES ? x.k : x.q, at, n, x);
        fetch(to + WALKED * STRIDE, OWN_QUERIES ? x.v : x.dy, at, n, x);
        if (!OWN_QUERIES && i < 2 * WALKED) {
            const bool there = i % WALKED < n;
            cp_async_or_zero<4>(statistics + turn * 2 * WALKED + i, (i < WALKED ? x.lse : x.delta) + (there ? x.statistic(at + i % WALKED) : 0), there);
        }
        cp_async_commit();
    };
    fetch(own, OWN_QUERIES ? x.q : x.k, first, count, x);
    if (SCORES) fetch(own_other, OWN_QUERIES ? x.dy : x.v, first, count, x);
    prefetch(from, 0);
    float shift[2], mean[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int r = row + lane_index() / 4 + half * 8;
        const bool there = OWN_QUERIES && r < count;
        shift[half] = there ? x.lse[x.statistic(first + r)] : 0.f;
        mean[half] = there ? x.delta[x.statistic(first + r)] : 0.f;
    }
    float score_sums[PART / 8][4], probability_sums[PART / 8][4];
    clear(score_sums);
    clear(probability_sums);
    for (int turn = 0; from < end; from += WALKED, turn ^= 1) {
        cp_async_wait<0>();
        __syncthreads();
        if (from + WALKED < end) prefetch(from + WALKED, turn ^ 1);
        const int n = row < count ? min(WALKED, end - from) : 0;
        const T *const now = tiles + turn * 2 * WALKED * STRIDE, *const other = now + WALKED * STRIDE;
        const float* const beside = statistics + turn * 2 * WALKED;
        for (int j = 0; j < n; j += 16) { // sixteen at a time: scores take few registers beside the sums
            float s[2][4];
            u32 a[4];
            clear(s);
            multiply_rows<WIDTH>(s, own + row * STRIDE, now + j * STRIDE, 16);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const int c = j + i * 8 + t + e % 2;
                    const float by = OWN_QUERIES ? shift[e / 2] : beside[c];
                    s[i][e] = c < n ? exp2f(fmaf(s[i][e], x.scale * LOG2E, -by * LOG2E)) : 0.f;
                }
            if (PROBABILITIES) {
                to_operand<T>(a, s[0], s[1]);
                multiply_block<WIDTH>(probability_sums, a, other + j * STRIDE + part);
            }
            if (!SCORES) continue;
            float dp[2][4];
            clear(dp);
            multiply_rows<WIDTH>(dp, own_other + row * STRIDE, other + j * STRIDE, 16);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int e = 0; e < 4; e++) s[i][e] *= dp[i][e] - (OWN_QUERIES ? mean[e / 2] : beside[WALKED + j + i * 8 + t + e % 2]);
            to_operand<T>(a, s[0], s[1]);
            multiply_block<WIDTH>(score_sums, a, now + j * STRIDE + part);
        }
    }
    __syncthreads();
    if (row >= count) return;
    if (SCORES && of_scores) give(of_scores, first, row, count, score_sums, x.scale, own, x);
    if (PROBABILITIES && of_probabilities) give(of_probabilities, first, row, count, probability_sums, 1.f, own, x);
}

// δ = Σ dO·O of the queries of long sequences: eight lanes a row, a block for (tile, head).
extern "C" __global__ void __launch_bounds__(DELTA_THREADS) attention_mma_delta(
    float* delta, const T* dy, const T* y, const int* cu_query, const int* cu_key, int sequences, int queries, int width) {
    const Tile tile = find_tile<ROWS>(cu_query, sequences);
    const int b = tile.sequence;
    if (tile.count <= 0 || is_short(cu_query[b + 1] - cu_query[b], cu_key[b + 1] - cu_key[b])) return;
    for (int r = thread_index() / 8; r < ROWS; r += DELTA_THREADS / 8) {
        const i64 at = (i64)(tile.first + r) * width + (i64)blockIdx.y * HEAD;
        float sum = 0;
        if (r < tile.count)
            for (int c = threadIdx.x % 8 * PACK; c < HEAD; c += 8 * PACK) {
                const Vec<float, PACK> a = load<PACK>(dy + at + c), b = load<PACK>(y + at + c);
#pragma unroll
                for (int i = 0; i < PACK; i++) sum = fmaf(a[i], b[i], sum);
            }
        sum = warp_sum<8>(sum);
        if (threadIdx.x % 8 == 0 && r < tile.count) delta[(i64)blockIdx.y * queries + tile.first + r] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) attention_mma_backward(
    T* dq, T* dk, T* dv, const T* dy, const float* lse, const float* delta, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key,
    int sequences, int queries, int width, float scale) {
    DYN_SMEM(T, memory);
    const bool both = gridDim.z == 1, of_keys = blockIdx.z == 1; // one block for a tile of queries and of keys, where they are packed alike
    const Tile tile = find_tile<ROWS>(of_keys ? cu_key : cu_query, sequences);
    if (tile.count <= 0) return;
    const int b = tile.sequence, q0 = cu_query[b], nq = cu_query[b + 1] - q0, k0 = cu_key[b], nk = cu_key[b + 1] - k0;
    const Sides x{q, k, v, dy, lse, delta, queries, width, scale};
    if (is_short(nq, nk)) {
        if (!of_keys) whole(dq, dk, dv, q0, nq, k0, nk, x, memory);
        return;
    }
    if (!of_keys && dq) walk<DQ>(dq, nullptr, tile.first, tile.count, k0, k0 + nk, x, memory);
    if (!both && !of_keys) return;
    __syncthreads();
    if constexpr (SPLIT == 1) {
        if (dk || dv) walk<DK | DV>(dk, dv, tile.first, tile.count, q0, q0 + nq, x, memory);
    } else { // one after the other: both sums at once would take half a head's width of registers more
        if (dk) walk<DK>(dk, nullptr, tile.first, tile.count, q0, q0 + nq, x, memory);
        __syncthreads();
        if (dv) walk<DV>(nullptr, dv, tile.first, tile.count, q0, q0 + nq, x, memory);
    }
}
