// wgmma_tile.cuh: a block's tile by Hopper's products of a warpgroup: what wgmma_product.cuh and tma_product.cuh share.
//   shape    TILE_M × TILE_N = 128 × 128 results a block of two warpgroups, 64 rows each: 64 floats a thread; DEPTH = 64 terms a stage, 3 stages of 32 KB
//   care     stages begin at multiples of 1 KB, as the swizzle goes by address
// arch  sm_90a
#pragma once
#include "load.cuh"
#include "wgmma.cuh"

typedef TYPE Stored;
constexpr int DEPTH = 64, STAGES = 3;
constexpr int WARP_M = 16, WARP_N = 128, WARPS_M = 8, WARPS_N = 1, THREADS = 256, BLOCKS_M = 1, BLOCKS_N = 16;
static_assert(TILE_M == 128 && TILE_N == 128, "two warpgroups of m64n128k16");

typedef float Sums[BLOCKS_M][BLOCKS_N][4];

__device__ __forceinline__ int warp_row() { return warp_index() * WARP_M; }
__device__ __forceinline__ int warp_column() { return 0; }

/// Lines are rows of the tile, along the terms.
struct RowLines {
    static constexpr bool TURNED = false;
    static constexpr int STEP_BYTES = 32; // 16 terms on
};

/// Lines are terms, along 64 rows of the tile.
struct TermLines {
    static constexpr bool TURNED = true;
    static constexpr int STEP_BYTES = 16 * LINE_BYTES;
};

/// Where a block's stages lie in dynamic shared memory: those of A, then those of B.
struct Stages {
    Stored *a, *b;
    u32 from_a, from_b; // the same as addresses; of A what this warpgroup has

    __device__ __forceinline__ explicit Stages(Stored* memory) {
        const u32 unaligned = shared_address(memory), base = (unaligned + EIGHT_LINES - 1) / EIGHT_LINES * EIGHT_LINES;
        a = memory + (base - unaligned) / 2;
        b = a + STAGES * TILE_M * DEPTH;
        from_a = base + warp_index() / 4 * CHUNK_BYTES;
        from_b = base + STAGES * TILE_M * LINE_BYTES;
    }
    __device__ __forceinline__ Stored* of_a(int stage) const { return a + stage % STAGES * TILE_M * DEPTH; }
    __device__ __forceinline__ Stored* of_b(int stage) const { return b + stage % STAGES * TILE_N * DEPTH; }

    /// Begins the products of a stage: sixteen terms after sixteen.
    template <class Left, class Right> __device__ __forceinline__ void multiply(float (&d)[64], int stage) const {
        const u32 first = from_a + stage % STAGES * TILE_M * LINE_BYTES, second = from_b + stage % STAGES * TILE_N * LINE_BYTES;
        hold(d);
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < DEPTH / 16; step++)
            wgmma_64x128x16<Left::TURNED, Right::TURNED>(d, describe(first + step * Left::STEP_BYTES), describe(second + step * Right::STEP_BYTES), Stored{});
        wgmma_commit();
    }
};

/// The sums as one row of numbers, zero.
__device__ __forceinline__ float (&cleared(Sums& sum))[64] {
    float(&d)[64] = *(float(*)[64])sum;
#pragma unroll
    for (int i = 0; i < 64; i++) d[i] = 0.f;
    return d;
}
