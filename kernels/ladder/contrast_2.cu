// contrast_2.cu: rung 2 of the contrastive loss: tiles with an online log-sum-exp.   compiled per use: -DTYPE=bf16|half -DPACK=8|1
//   maths    log Σ e^(s·C) − s·Cᵢᵢ of each row of C = v·tᵀ/(|v||t|), one positive a row, one direction a call: the scheme of Inf-CL
//   traffic  u once, w once for each 64 rows, from L2: nothing of N² is stored. A call for the other direction makes all products again
//   launch   a block of 4 warps for 64 rows, which walks all columns 64 at a time; a warp has 16 rows and all 64 columns, so a row's maximum
//            and sum stay in the registers of four threads. 18 KB of shared memory, filled and then read, one after the other
//   care     the sum follows when a higher score comes: Σ·e^(old − new)
//   next     kernels/contrast_stream.cu: rows and columns from one tile, which halves the products; any number of positives; larger tiles
//            and copies that run beside the products; as many blocks as the GPU has room for, at any N
//   see      arXiv:2410.17243 · engine/ops/ladder/ContrastLadder.cs · ContrastStreamTests
// options  -DTYPE=bf16|half -DPACK=8|1
#include "load.cuh"
#include "mma.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int SIDE = 64, STEP = 64, LINE = STEP + 8, THREADS = 128;

/// Terms k … k+64 of 64 rows; zeros past the ends.
__device__ __forceinline__ void fill(T* to, const T* from, int first, int n, int d, int k) {
    constexpr int PACKS = STEP / PACK;
    for (int i = threadIdx.x; i < SIDE * PACKS; i += THREADS) {
        const int row = i / PACKS, col = i % PACKS * PACK;
        Vec<T, PACK> v;
#pragma unroll
        for (int c = 0; c < PACK; c++) v[c] = T{0};
        if (first + row < n && k + col < d) v = load_as<Vec<T, PACK>>(from + (i64)(first + row) * d + k + col);
        store_as(to + row * LINE + col, v);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) contrast_2_rows(
    float* losses, const T* u, const T* w, const float* inverse_u, const float* inverse_w, int n, int d, float scale) {
    DYN_SMEM(T, a);
    T* b = a + SIDE * LINE;
    const int row0 = blockIdx.x * SIDE, lane = lane_index(), first = warp_index() * 16;
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, own[2] = {-INFINITY, -INFINITY};
    for (int col0 = 0; col0 < n; col0 += SIDE) {
        float s[8][4];
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int k = 0; k < 4; k++) s[j][k] = 0;
        for (int k0 = 0; k0 < d; k0 += STEP) {
            __syncthreads();
            fill(a, u, row0, n, d, k0);
            fill(b, w, col0, n, d, k0);
            __syncthreads();
#pragma unroll
            for (int k = 0; k < STEP; k += 16) {
                u32 left[4];
                ldmatrix_x4(left, a + (first + (lane & 15)) * LINE + k + (lane >> 4) * 8);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    u32 right[2];
                    ldmatrix_x2(right, b + (j * 8 + (lane & 7)) * LINE + k + (lane >> 3 & 1) * 8);
                    mma_16x8x16<T>(s[j], left, right);
                }
            }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = row0 + first + r * 8 + lane / 4;
            const float by = row < n ? scale * inverse_u[row] : 0.f;
            float highest = top[r];
#pragma unroll
            for (int j = 0; j < 16; j++) {
                const int col = col0 + j / 2 * 8 + lane % 4 * 2 + j % 2;
                float& score = s[j / 2][r * 2 + j % 2];
                score = col < n ? score * by * inverse_w[col] : -INFINITY;
                if (col == row) own[r] = score;
                highest = fmaxf(highest, score);
            }
            highest = warp_max<4>(highest);
            sum[r] *= expf(top[r] - highest);
            top[r] = highest;
#pragma unroll
            for (int j = 0; j < 16; j++) sum[r] += expf(s[j / 2][r * 2 + j % 2] - highest);
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = row0 + first + r * 8 + lane / 4;
        const float total = warp_sum<4>(sum[r]), score = warp_max<4>(own[r]);
        if (row < n && lane % 4 == 0) losses[row] = 0.5f * (top[r] + logf(total) - score);
    }
}
