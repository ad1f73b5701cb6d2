// attention.cu: multi-head attention over packed sequences.   compiled per use: -DTYPE=float|bf16|half -DHEAD=64 -DPACK=4|8|1
//   maths    S = s·Q·Kᵀ, P = softmax_rows S, O = P·V for each sequence and head.   arXiv:1706.03762; in tiles as arXiv:2205.14135
//            δ_i = Σ dO_i·O_i; dS = P⊙(dO·Vᵀ − δ); dV = Pᵀ·dO; dQ = s·dS·K; dK = s·dSᵀ·Q.  P = e^(S − lse) is computed again
//   traffic  forward: q and y once, k and v once for each tile of queries, from L2 after the first; one float a (head, token) for lse.
//            Backward: the same twice over: one kernel owns dq's rows, one dk's and dv's
//   flops    4·Tq·Tk·D forward, 14 backward (two products more than the least, so that no sum needs atomics), in F32 on the plain units
//   launch   a block of 16 × 16 threads for (tile, head); a tile is ROWS queries (keys in the last kernel) of one sequence, so that
//            grid.x = ⌊T/ROWS⌋ + B covers any lengths without the host knowing them; blocks with nothing to do return
//            shared memory: see engine/ops/AttentionPlain.cs, 52 KB forward and 71 KB backward at D = 64
//   care     the largest score so far is taken off before exp, and sums are rescaled when it grows. Rows of shared memory are
//            4 mod 8 floats apart: sixteen rows read 16 bytes each without a bank conflict. A thread's sums run in the order of the keys
//            (queries): the same bits every time
//   see      the way of F32; what two bytes store goes to attention_mma.cu, one rung up, unless its heads are wider than 256; the rung below is
//            ladder/attention_2.cu · engine/ops/AttentionPlain.cs · AttentionTests
// options  -DTYPE=float -DPACK=4 -DHEAD=64|128|256
// options  -DTYPE=bf16|half -DPACK=8 -DHEAD=64|256|264
// options  -DTYPE=float -DPACK=1 -DHEAD=3|70
// options  -DTYPE=bf16|half -DPACK=1 -DHEAD=257
#include "load.cuh"
#include "packed.cuh"
#include "smem.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int SIDE = 16, THREADS = SIDE * SIDE;
constexpr int WIDTH = (HEAD + SIDE - 1) / SIDE * SIDE, STRIDE = WIDTH + 4, COLUMNS = WIDTH / SIDE; // columns from HEAD on are zeros
constexpr int ROWS = HEAD <= 64 ? 64 : HEAD <= 128 ? 32 : 16;                                      // of what a block owns
constexpr int FORWARD = ROWS;                                                                      // keys at a time
constexpr int BACKWARD = HEAD <= 64 ? 32 : 16;                                                     // keys or queries at a time
constexpr int R = ROWS / SIDE;

/// N rows of a head into shared memory, times factor; rows from count on are zeros.
template <int N> __device__ __forceinline__ void load_tile(float* to, const T* from, int count, int width, float factor) {
    constexpr int PACKS = WIDTH / PACK;
    for (int i = thread_index(); i < N * PACKS; i += THREADS) {
        const int row = i / PACKS, c = i % PACKS * PACK;
        Vec<float, PACK> v;
#pragma unroll
        for (int k = 0; k < PACK; k++) v[k] = 0;
        if (row < count && c < HEAD) v = load<PACK>(from + (i64)row * width + c);
#pragma unroll
        for (int k = 0; k < PACK; k++) to[row * STRIDE + c + k] = v[k] * factor;
    }
}

/// s = A·Bᵀ: this thread's rows ty, ty+16, … of A and tx, tx+16, … of B.
template <int M, int N> __device__ __forceinline__ void products(float (&s)[M][N], const float* a, const float* b) {
    const int tx = threadIdx.x, ty = threadIdx.y;
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < N; j++) s[i][j] = 0;
#pragma unroll 4
    for (int d = 0; d < WIDTH; d += 4) {
        Vec<float, 4> u[M], v[N];
#pragma unroll
        for (int i = 0; i < M; i++) u[i] = load_as<Vec<float, 4>>(a + (ty + i * SIDE) * STRIDE + d);
#pragma unroll
        for (int j = 0; j < N; j++) v[j] = load_as<Vec<float, 4>>(b + (tx + j * SIDE) * STRIDE + d);
#pragma unroll
        for (int i = 0; i < M; i++)
#pragma unroll
            for (int j = 0; j < N; j++)
#pragma unroll
                for (int k = 0; k < 4; k++) s[i][j] = fmaf(u[i][k], v[j][k], s[i][j]);
    }
}

/// sums += W·B: rows ty, ty+16, … of W (N columns, N+4 apart), columns tx, tx+16, … of B (N rows).
template <int M, int N> __device__ __forceinline__ void accumulate(float (&sums)[M][COLUMNS], const float* w, const float* b) {
    const int tx = threadIdx.x, ty = threadIdx.y;
#pragma unroll 4
    for (int k = 0; k < N; k++) {
        float v[COLUMNS];
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) v[j] = b[k * STRIDE + tx + j * SIDE];
#pragma unroll
        for (int i = 0; i < M; i++) {
            const float u = w[(ty + i * SIDE) * (N + 4) + k];
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) sums[i][j] = fmaf(u, v[j], sums[i][j]);
        }
    }
}

/// Row i of this thread's sums, times factor, to a head's columns.
__device__ __forceinline__ void write_row(T* to, const float (&sums)[COLUMNS], float factor) {
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
        const int c = threadIdx.x + j * SIDE;
        if (c < HEAD) to[c] = from_float<T>(sums[j] * factor);
    }
}

template <int M> __device__ __forceinline__ void clear(float (&sums)[M][COLUMNS]) {
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) sums[i][j] = 0;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_forward(
    T* y, float* lse, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key, int sequences, int queries, int width, float scale) {
    constexpr int N = FORWARD / SIDE;
    DYN_SMEM(float, own);
    float *other = own + ROWS * STRIDE, *p = other + FORWARD * STRIDE;
    const Tile tile = find_tile<ROWS>(cu_query, sequences);
    if (tile.count <= 0) return;
    const int tx = threadIdx.x, ty = threadIdx.y, end = cu_key[tile.sequence + 1];
    const i64 column = (i64)blockIdx.y * HEAD;
    load_tile<ROWS>(own, q + (i64)tile.first * width + column, tile.count, width, scale);
    float sums[R][COLUMNS], top[R], total[R];
    clear(sums);
#pragma unroll
    for (int i = 0; i < R; i++) {
        top[i] = -INFINITY;
        total[i] = 0;
    }
    for (int from = cu_key[tile.sequence]; from < end; from += FORWARD) {
        const int count = min(FORWARD, end - from);
        load_tile<FORWARD>(other, k + (i64)from * width + column, count, width, 1.f);
        __syncthreads();
        float s[R][N];
        products(s, own, other);
#pragma unroll
        for (int i = 0; i < R; i++) {
            float max = top[i];
#pragma unroll
            for (int j = 0; j < N; j++) {
                if (tx + j * SIDE >= count) s[i][j] = -INFINITY;
                max = fmaxf(max, s[i][j]);
            }
            max = warp_max<SIDE>(max);
            const float by = expf(top[i] - max);
            float sum = 0;
#pragma unroll
            for (int j = 0; j < N; j++) {
                s[i][j] = expf(s[i][j] - max);
                sum += s[i][j];
                p[(ty + i * SIDE) * (FORWARD + 4) + tx + j * SIDE] = s[i][j];
            }
            total[i] = total[i] * by + warp_sum<SIDE>(sum);
            top[i] = max;
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) sums[i][j] *= by;
        }
        __syncthreads();
        load_tile<FORWARD>(other, v + (i64)from * width + column, count, width, 1.f);
        __syncthreads();
        accumulate<R, FORWARD>(sums, p, other);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = ty + i * SIDE;
        if (row >= tile.count) break;
        write_row(y + (i64)(tile.first + row) * width + column, sums[i], 1.f / total[i]);
        if (tx == 0) lse[(i64)blockIdx.y * queries + tile.first + row] = top[i] + logf(total[i]);
    }
}

// δ = Σ dO·O of each (head, token): a warp each, block (32, 4).
extern "C" __global__ void __launch_bounds__(128) attention_delta(float* delta, const T* dy, const T* y, i64 queries, int heads) {
    const i64 item = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (item >= queries * heads) return;
    float sum = 0;
    for (int c = threadIdx.x; c < HEAD; c += 32) sum += to_float(dy[item * HEAD + c]) * to_float(y[item * HEAD + c]);
    sum = warp_sum(sum);
    if (threadIdx.x == 0) delta[item % heads * queries + item / heads] = sum;
}

// A block owns queries and walks their keys.
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_backward_queries(
    T* dq, const T* dy, const float* lse, const float* delta, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key, int sequences,
    int queries, int width, float scale) {
    constexpr int N = BACKWARD / SIDE;
    DYN_SMEM(float, own_q);
    float *own_dy = own_q + ROWS * STRIDE, *keys = own_dy + ROWS * STRIDE, *values = keys + BACKWARD * STRIDE, *ds = values + BACKWARD * STRIDE;
    const Tile tile = find_tile<ROWS>(cu_query, sequences);
    if (tile.count <= 0) return;
    const int tx = threadIdx.x, ty = threadIdx.y, end = cu_key[tile.sequence + 1];
    const i64 column = (i64)blockIdx.y * HEAD, at = (i64)tile.first * width + column;
    load_tile<ROWS>(own_q, q + at, tile.count, width, scale);
    load_tile<ROWS>(own_dy, dy + at, tile.count, width, 1.f);
    float sums[R][COLUMNS], shift[R], mean[R];
    clear(sums);
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = ty + i * SIDE;
        const i64 n = (i64)blockIdx.y * queries + tile.first + row;
        shift[i] = row < tile.count ? lse[n] : 0.f;
        mean[i] = row < tile.count ? delta[n] : 0.f;
    }
    for (int from = cu_key[tile.sequence]; from < end; from += BACKWARD) {
        const int count = min(BACKWARD, end - from);
        load_tile<BACKWARD>(keys, k + (i64)from * width + column, count, width, 1.f);
        load_tile<BACKWARD>(values, v + (i64)from * width + column, count, width, 1.f);
        __syncthreads();
        float s[R][N], dp[R][N];
        products(s, own_q, keys);
        products(dp, own_dy, values);
#pragma unroll
        for (int i = 0; i < R; i++)
#pragma unroll
            for (int j = 0; j < N; j++) {
                const bool there = tx + j * SIDE < count;
                ds[(ty + i * SIDE) * (BACKWARD + 4) + tx + j * SIDE] = there ? expf(s[i][j] - shift[i]) * (dp[i][j] - mean[i]) : 0.f;
            }
        __syncthreads();
        accumulate<R, BACKWARD>(sums, ds, keys);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = ty + i * SIDE;
        if (row < tile.count) write_row(dq + at + (i64)row * width, sums[i], scale);
    }
}

// A block owns keys and values and walks their queries. Q is scaled as it is loaded, so dK needs no factor.
extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_backward_keys(
    T* dk, T* dv, const T* dy, const float* lse, const float* delta, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key,
    int sequences, int queries, int width, float scale) {
    constexpr int N = BACKWARD / SIDE;
    DYN_SMEM(float, own_k);
    float *own_v = own_k + ROWS * STRIDE, *walked_q = own_v + ROWS * STRIDE, *walked_dy = walked_q + BACKWARD * STRIDE;
    float *p = walked_dy + BACKWARD * STRIDE, *ds = p + ROWS * (BACKWARD + 4);
    const Tile tile = find_tile<ROWS>(cu_key, sequences);
    if (tile.count <= 0) return;
    const int tx = threadIdx.x, ty = threadIdx.y, end = cu_query[tile.sequence + 1];
    const i64 column = (i64)blockIdx.y * HEAD, at = (i64)tile.first * width + column;
    load_tile<ROWS>(own_k, k + at, tile.count, width, 1.f);
    load_tile<ROWS>(own_v, v + at, tile.count, width, 1.f);
    float dkeys[R][COLUMNS], dvalues[R][COLUMNS];
    clear(dkeys);
    clear(dvalues);
    for (int from = cu_query[tile.sequence]; from < end; from += BACKWARD) {
        const int count = min(BACKWARD, end - from);
        load_tile<BACKWARD>(walked_q, q + (i64)from * width + column, count, width, scale);
        load_tile<BACKWARD>(walked_dy, dy + (i64)from * width + column, count, width, 1.f);
        __syncthreads();
        float s[R][N], dp[R][N];
        products(s, own_k, walked_q);
        products(dp, own_v, walked_dy);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const bool there = tx + j * SIDE < count;
            const i64 n = (i64)blockIdx.y * queries + from + tx + j * SIDE;
            const float shift = there ? lse[n] : 0.f, mean = there ? delta[n] : 0.f;
#pragma unroll
            for (int i = 0; i < R; i++) {
                const int to = (ty + i * SIDE) * (BACKWARD + 4) + tx + j * SIDE;
                const float e = there ? expf(s[i][j] - shift) : 0.f;
                p[to] = e;
                ds[to] = e * (dp[i][j] - mean);
            }
        }
        __syncthreads();
        accumulate<R, BACKWARD>(dvalues, p, walked_dy);
        accumulate<R, BACKWARD>(dkeys, ds, walked_q);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < R; i++) {
        const int row = ty + i * SIDE;
        if (row >= tile.count) break;
        if (dk) write_row(dk + at + (i64)row * width, dkeys[i], 1.f);
        if (dv) write_row(dv + at + (i64)row * width, dvalues[i], 1.f);
    }
}
