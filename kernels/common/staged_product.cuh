// staged_product.cuh: a block's tile of A·B on tensor cores, sums in float; both factors come through a ring of STAGES tiles in shared memory.
//   shape    TILE_M × TILE_N results a block; a warp has WARP_M × 32 of them in registers; DEPTH terms of the sums a stage
//   use      two factors, each with fetch(Stored*): start this thread's copies of the next DEPTH terms; multiply(sum, a, b, terms, memory)
//   cost     STAGES·(TILE_M + TILE_N)·64 bytes of shared memory; a barrier for each stage; (WARP_M/16 + 2) ldmatrix for WARP_M/4 products
//   care     a stage is written again only behind the barrier after its last read. 16-byte groups of a tile's rows are exchanged, so that the
//            eight rows an ldmatrix reads lie in different banks, whichever way the tile lies. Terms past the end must be fetched as zeros
#pragma once
#include "load.cuh"
#include "mma.cuh"
#include "warp.cuh"

typedef TYPE Stored;
constexpr int DEPTH = 32, STAGES = 4;
constexpr int WARP_M = TILE_M == 128 && TILE_N == 128 ? 64 : 32, WARP_N = 32, WARPS_M = TILE_M / WARP_M, WARPS_N = TILE_N / WARP_N;
constexpr int THREADS = 32 * WARPS_M * WARPS_N, BLOCKS_M = WARP_M / 16, BLOCKS_N = WARP_N / 8; // of a warp, 16 × 8 results each

/// A thread's part of a tile: 4 results of each of its warp's blocks (mma.cuh has the layout).
typedef float Sums[BLOCKS_M][BLOCKS_N][4];

/// This warp's first row and column in the tile.
__device__ __forceinline__ int warp_row() { return warp_index() / WARPS_N * WARP_M; }
__device__ __forceinline__ int warp_column() { return warp_index() % WARPS_N * WARP_N; }

/// Rows × Groups of 8 elements, row after row.
template <int Groups> __device__ __forceinline__ int place(int row, int group) {
    return (row * Groups + (group ^ (Groups == 4 ? row >> 1 & 3 : row & 7))) * 8;
}

/// A factor whose memory runs along the terms: Size rows of DEPTH terms. A thread has the same 8 terms of every so many rows.
template <int Size> struct Along {
    static constexpr int GROUPS = DEPTH / 8, PASSES = Size * GROUPS / THREADS;
    static_assert(PASSES >= 1, "a copy or more for each thread");
    static __device__ __forceinline__ int term() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int row(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) { return place<GROUPS>(row(pass), (int)threadIdx.x % GROUPS); }

    /// Operands of 16 rows from first on and terms 16·step on. Left: the four registers of A; else two pairs, of B's 8 columns each.
    template <bool Left> static __device__ __forceinline__ void operands(u32 (&to)[4], const Stored* tile, int first, int step) {
        const int q = lane_index() / 8, r = lane_index() % 8;
        ldmatrix_x4(to, tile + place<GROUPS>(first + (Left ? q & 1 : q >> 1) * 8 + r, step * 2 + (Left ? q >> 1 : q & 1)));
    }
};

/// A factor whose memory runs along the rows: DEPTH terms of Size rows. A thread has the same 8 rows of every so many terms.
template <int Size> struct Across {
    static constexpr int GROUPS = Size / 8, PASSES = DEPTH * GROUPS / THREADS;
    static_assert(PASSES >= 1, "a copy or more for each thread");
    static __device__ __forceinline__ int row() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int term(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) { return place<GROUPS>(term(pass), (int)threadIdx.x % GROUPS); }

    template <bool Left> static __device__ __forceinline__ void operands(u32 (&to)[4], const Stored* tile, int first, int step) {
        const int q = lane_index() / 8, r = lane_index() % 8;
        ldmatrix_x4_trans(to, tile + place<GROUPS>(step * 16 + (Left ? q >> 1 : q & 1) * 8 + r, first / 8 + (Left ? q & 1 : q >> 1)));
    }
};

/// sum = A·Bᵀ over so many terms.
template <class Left, class Right> __device__ __forceinline__ void multiply(Sums& sum, Left& a, Right& b, int terms, Stored* memory) {
    Stored *const tiles_a = memory, *const tiles_b = memory + STAGES * TILE_M * DEPTH;
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) sum[i][j][e] = 0.f;
    const int steps = (terms + DEPTH - 1) / DEPTH;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            a.fetch(tiles_a + s * TILE_M * DEPTH);
            b.fetch(tiles_b + s * TILE_N * DEPTH);
        }
        cp_async_commit(); // an empty group too: the wait counts them
    }
    for (int t = 0; t < steps; t++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads(); // this stage is there for all, and all have read the one before, which is written next
        const int ahead = t + STAGES - 1;
        if (ahead < steps) {
            a.fetch(tiles_a + ahead % STAGES * TILE_M * DEPTH);
            b.fetch(tiles_b + ahead % STAGES * TILE_N * DEPTH);
        }
        cp_async_commit();
        const Stored *tile_a = tiles_a + t % STAGES * TILE_M * DEPTH, *tile_b = tiles_b + t % STAGES * TILE_N * DEPTH;
#pragma unroll
        for (int step = 0; step < DEPTH / 16; step++) {
            u32 left[BLOCKS_M][4], right[BLOCKS_N / 2][4];
#pragma unroll
            for (int i = 0; i < BLOCKS_M; i++) Left::template operands<true>(left[i], tile_a, warp_row() + i * 16, step);
#pragma unroll
            for (int j = 0; j < BLOCKS_N / 2; j++) Right::template operands<false>(right[j], tile_b, warp_column() + j * 16, step);
#pragma unroll
            for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
                for (int j = 0; j < BLOCKS_N; j++) {
                    const u32 pair[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
                    mma_16x8x16<Stored>(sum[i][j], left[i], pair);
                }
        }
    }
}
