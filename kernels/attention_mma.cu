// attention_mma.cu: attention over packed sequences on tensor cores.   compiled per use: -DTYPE=bf16|half -DHEAD=64 -DPACK=8|1
//   maths    S = s·Q·Kᵀ, P = softmax_rows S, O = P·V for each sequence and head, in tiles.   arXiv:2205.14135, arXiv:2307.08691
//   traffic  q and y once, k and v once for each 64 queries (from L2 after the first), lse 4 bytes a (head, token): captions of up to 64 tokens
//            move every byte once, 6.2 KB a token at 12 heads of 64, for 3072 flops each token it attends to: memory is what they wait for
//   flops    4·Tq·Tk·D on tensor cores; sixteens of queries or keys that a sequence does not have are not multiplied
//   launch   4 warps for (64 queries, head), 16 queries each; grid.x = ⌊T/64⌋ + B (packed.cuh). Keys and values in tiles of 64 (32 from
//            D = 129 on), the next on its way by cp.async while this one is multiplied. Shared memory: 45 KB at D = 64, so 4 blocks a
//            multiprocessor; 85 KB at 128, 99 KB at 256 (2)
//   care     S, the sums and the softmax are F32; P is rounded to TYPE for P·V, as FlashAttention-2 does, and Σ P is summed before it is.
//            The largest score so far is taken off before exp, and sums are rescaled when it grows. The order of the sums
//            is that of the keys: the same bits every time
//   see      attention_mma_backward.cu · attention.cu (F32, and heads wider than 256) · ladder/attention_1.cu · AttentionMma.cs · AttentionMmaTests
// options  -DTYPE=bf16|half -DPACK=8 -DHEAD=16|32|64|128|256
// options  -DTYPE=bf16|half -DPACK=1 -DHEAD=3|70
#include "mma_tile.cuh"
#include "packed.cuh"

typedef TYPE T;
constexpr int WARPS = 4, THREADS = WARPS * 32, ROWS = WARPS * 16;
constexpr int WIDTH = (HEAD + 15) / 16 * 16, STRIDE = tile_stride(WIDTH); // columns from HEAD on are zeros
constexpr int KEYS = WIDTH <= 128 ? 64 : 32;
constexpr float LOG2E = 1.44269504f, LN2 = 0.693147181f;

/// What a lane knows of its two rows: the largest score so far (in units of ln 2), and its own part of the sum of e^(score − largest).
struct Softmax { float top[2], total[2]; };

/// One tile of keys and values for sixteen queries.
__device__ __forceinline__ void attend(float (&sums)[WIDTH / 8][4], Softmax& rows, const T* queries, const T* keys, const T* values, int count, float scale) {
    float s[KEYS / 8][4];
    clear(s);
    multiply_rows<WIDTH>(s, queries, keys, count);
    const int t = lane_index() % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float max = rows.top[half];
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& x = s[j][half * 2 + e];
                x = j * 8 + t + e < count ? x * scale : -INFINITY;
                max = fmaxf(max, x);
            }
        max = warp_max<4>(max);
        const float by = exp2f(rows.top[half] - max);
        float sum = 0;
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& x = s[j][half * 2 + e];
                x = exp2f(x - max);
                sum += x;
            }
        rows.total[half] = rows.total[half] * by + sum;
        rows.top[half] = max;
#pragma unroll
        for (int j = 0; j < WIDTH / 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) sums[j][half * 2 + e] *= by;
    }
#pragma unroll
    for (int j = 0; j < KEYS / 8; j += 2) {
        if (j * 8 >= count) continue;
        u32 p[4];
        to_operand<T>(p, s[j], s[j + 1]);
        multiply_block<WIDTH>(sums, p, values + j * 8 * STRIDE);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, WIDTH <= 64 ? 4 : 2) attention_mma_forward(
    T* y, float* lse, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key, int sequences, int queries, int width, float scale) {
    DYN_SMEM(T, own);
    T* const tiles = own + ROWS * STRIDE; // keys, then values; of this turn, then of the next
    const Tile tile = find_tile<ROWS>(cu_query, sequences);
    if (tile.count <= 0) return;
    const int row = warp_index() * 16, end = cu_key[tile.sequence + 1];
    const i64 column = (i64)blockIdx.y * HEAD, at = (i64)tile.first * width + column;
    const auto fetch = [&](int from, int turn) {
        const int count = min(KEYS, end - from);
        T* const to = tiles + turn * 2 * KEYS * STRIDE;
        fill_tile<PACK, THREADS, WIDTH, HEAD>(to, k + (i64)from * width + column, count, width);
        fill_tile<PACK, THREADS, WIDTH, HEAD>(to + KEYS * STRIDE, v + (i64)from * width + column, count, width);
        cp_async_commit();
    };
    fill_tile<PACK, THREADS, WIDTH, HEAD>(own, q + at, tile.count, width);
    int from = cu_key[tile.sequence];
    fetch(from, 0);
    float sums[WIDTH / 8][4];
    Softmax rows{{-INFINITY, -INFINITY}, {0, 0}};
    clear(sums);
    for (int turn = 0; from < end; from += KEYS, turn ^= 1) {
        cp_async_wait<0>();
        __syncthreads();
        if (from + KEYS < end) fetch(from + KEYS, turn ^ 1);
        const T* const now = tiles + turn * 2 * KEYS * STRIDE;
        if (row < tile.count) attend(sums, rows, own + row * STRIDE, now, now + KEYS * STRIDE, min(KEYS, end - from), scale * LOG2E);
    }
    if (row >= tile.count) return;
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const float total = warp_sum<4>(rows.total[half]);
        const int r = row + lane_index() / 4 + half * 8;
        factor[half] = 1.f / total;
        if (lane_index() % 4 == 0 && r < tile.count) lse[(i64)blockIdx.y * queries + tile.first + r] = rows.top[half] * LN2 + logf(total);
    }
    __syncwarp();
    write_rows<PACK, WIDTH>(y + at + (i64)row * width, width, tile.count - row, HEAD, sums, factor[0], factor[1], own + row * STRIDE);
}
