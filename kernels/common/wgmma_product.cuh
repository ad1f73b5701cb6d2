// wgmma_product.cuh: what staged_product.cuh is, by Hopper's products of a warpgroup (wgmma, sm_90a): both factors are read from shared memory.
//   shape    TILE_M × TILE_N = 128 × 128 results a block of two warpgroups, 64 rows each: 64 floats a thread; DEPTH = 64 terms a stage, 3 stages
//   layout   tiles in rows of 128 bytes whose 16-byte groups are exchanged by the row's number mod 8: the 128-byte swizzle of PTX ISA, 9.7.15.5. Along:
//            a row a row of the tile (K-major); Across: a row 64 of the tile's rows, those of all terms one behind the other, then the next 64 (MN-major).
//            A warp has 16 rows, its results 16 blocks of 8 columns laid out as mma_16x8x16's (PTX ISA, figure of wgmma m64nNk16 D)
//   care     copies go by the generic proxy, wgmma by the async one: a fence between them. A stage is written again only behind the barrier after the
//            products that read it were waited for. The emulator has no wgmma: this is compiled by NVRTC and chosen behind a self-test
// arch  sm_90a
#pragma once
#include "load.cuh"
#include "smem.cuh"
#include "warp.cuh"

typedef TYPE Stored;
constexpr int DEPTH = 64, STAGES = 3;
constexpr int WARP_M = 16, WARP_N = 128, WARPS_M = 8, WARPS_N = 1, THREADS = 256, BLOCKS_M = 1, BLOCKS_N = 16;
constexpr int LINE_BYTES = 128, EIGHT_LINES = 8 * LINE_BYTES, CHUNK_BYTES = 64 * LINE_BYTES; // of 64 rows, or of 64 terms
static_assert(TILE_M == 128 && TILE_N == 128, "two warpgroups of m64n128k16");

typedef float Sums[BLOCKS_M][BLOCKS_N][4];

__device__ __forceinline__ int warp_row() { return warp_index() * WARP_M; }
__device__ __forceinline__ int warp_column() { return 0; }

/// A factor whose memory runs along the terms.
template <int Size> struct Along {
    static constexpr int GROUPS = DEPTH / 8, PASSES = Size * GROUPS / THREADS;
    static constexpr bool TURNED = false;
    static constexpr int STEP_BYTES = 32; // 16 terms on
    static __device__ __forceinline__ int term() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int row(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) { return (row(pass) * GROUPS + ((int)threadIdx.x % GROUPS ^ (row(pass) & 7))) * 8; }
};

/// A factor whose memory runs along the rows.
template <int Size> struct Across {
    static constexpr int GROUPS = Size / 8, PASSES = DEPTH * GROUPS / THREADS;
    static constexpr bool TURNED = true;
    static constexpr int STEP_BYTES = 16 * LINE_BYTES;
    static __device__ __forceinline__ int row() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int term(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) {
        const int group = (int)threadIdx.x % GROUPS;
        return ((group / 8 * DEPTH + term(pass)) * 8 + (group % 8 ^ (term(pass) & 7))) * 8;
    }
};

/// Where a factor of 16 terms begins and how its lines lie: eight of them 1 KB from the next; turned, chunks of 64 rows CHUNK_BYTES from the next.
__device__ __forceinline__ u64 describe(u32 address) {
    return (u64)(address >> 4 & 0x3fff) | (u64)(CHUNK_BYTES >> 4) << 16 | (u64)(EIGHT_LINES >> 4) << 32 | (u64)1 << 62;
}

#define PLIP_FOUR(I) "+f"(d[I]), "+f"(d[I + 1]), "+f"(d[I + 2]), "+f"(d[I + 3])
#define PLIP_SIXTEEN(I) PLIP_FOUR(I), PLIP_FOUR(I + 4), PLIP_FOUR(I + 8), PLIP_FOUR(I + 12)
#define PLIP_WGMMA(Scalar, Name)                                                                                       \
    template <bool TurnA, bool TurnB> __device__ __forceinline__ void wgmma_64x128x16(float (&d)[64], u64 a, u64 b, Scalar) {  \
        asm volatile(                                                                                                  \
            "{ .reg .pred p; setp.ne.b32 p, 1, 0; "                                                                    \
            "wgmma.mma_async.sync.aligned.m64n128k16.f32." Name "." Name " {"                                          \
            "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                          \
            "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "          \
            "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "          \
            "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, p, 1, 1, %66, %67; }"          \
            : PLIP_SIXTEEN(0), PLIP_SIXTEEN(16), PLIP_SIXTEEN(32), PLIP_SIXTEEN(48)                                    \
            : "l"(a), "l"(b), "n"(TurnA ? 1 : 0), "n"(TurnB ? 1 : 0));                                                 \
    }
PLIP_WGMMA(bf16, "bf16")
PLIP_WGMMA(half, "f16")
#undef PLIP_WGMMA

/// The compiler may not move a sum across a product that is still under way.
__device__ __forceinline__ void hold(float (&d)[64]) { asm volatile("" : PLIP_SIXTEEN(0), PLIP_SIXTEEN(16), PLIP_SIXTEEN(32), PLIP_SIXTEEN(48)::"memory"); }
#undef PLIP_SIXTEEN
#undef PLIP_FOUR

/// sum = A·Bᵀ over so many terms.
template <class Left, class Right> __device__ __forceinline__ void multiply(Sums& sum, Left& a, Right& b, int terms, Stored* memory) {
    const u32 unaligned = shared_address(memory), base = (unaligned + EIGHT_LINES - 1) / EIGHT_LINES * EIGHT_LINES;
    Stored *const tiles_a = memory + (base - unaligned) / 2, *const tiles_b = tiles_a + STAGES * TILE_M * DEPTH;
    const u32 from_a = base + warp_index() / 4 * CHUNK_BYTES, from_b = base + STAGES * TILE_M * LINE_BYTES;
    float(&d)[64] = *(float(*)[64])sum;
#pragma unroll
    for (int i = 0; i < 64; i++) d[i] = 0.f;
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
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads(); // this stage is there for all, and all have waited for the products of the one before, which is written next
        const int stage = t % STAGES;
        hold(d);
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int step = 0; step < DEPTH / 16; step++)
            wgmma_64x128x16<Left::TURNED, Right::TURNED>(
                d, describe(from_a + stage * TILE_M * LINE_BYTES + step * Left::STEP_BYTES),
                describe(from_b + stage * TILE_N * LINE_BYTES + step * Right::STEP_BYTES), Stored{});
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        const int ahead = t + STAGES - 1;
        if (ahead < steps) {
            a.fetch(tiles_a + ahead % STAGES * TILE_M * DEPTH);
            b.fetch(tiles_b + ahead % STAGES * TILE_N * DEPTH);
        }
        cp_async_commit();
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        hold(d);
    }
}
