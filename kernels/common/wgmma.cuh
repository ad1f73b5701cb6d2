// wgmma.cuh: Hopper's product of a warpgroup (sm_90a), D += A · B, 64×128 from 64×16 and 16×128, both factors read from shared memory, T = bf16 or half.
//   layout   factors lie in lines of 128 bytes whose 16-byte groups are exchanged by the line's number mod 8: the 128-byte swizzle of PTX ISA, 9.7.15.5,
//            on tiles that begin at multiples of 1 KB. Along: a line a row, its bytes the terms (K-major). Across: a line a term, its bytes 64 rows, those of
//            all terms one behind the other, then the next 64 rows (MN-major).
//            A warp of the group has 16 rows of D, laid out as 16 of mma_16x8x16's D side by side (PTX ISA, figure of wgmma m64nNk16 D)
//   care     wgmma reads by way of the async proxy: a fence stands behind stores and cp.async, and none is needed behind a bulk copy. Sums may not be touched
//            between the product and its wait. The emulator multiplies at once, a warp at a time, by what the descriptor says
// arch  sm_90a
#pragma once
#include "smem.cuh"
#include "warp.cuh"

constexpr int LINE_BYTES = 128, EIGHT_LINES = 8 * LINE_BYTES, CHUNK_BYTES = 64 * LINE_BYTES; // of 64 rows, or of 64 terms

/// Where a factor of 16 terms begins and how its lines lie: eight of them 1 KB from the next; turned, chunks of 64 rows CHUNK_BYTES from the next.
__device__ __forceinline__ u64 describe(u32 address) {
    return (u64)(address >> 4 & 0x3fff) | (u64)(CHUNK_BYTES >> 4) << 16 | (u64)(EIGHT_LINES >> 4) << 32 | (u64)1 << 62;
}

#if defined(PLIP_EMULATOR)

/// A factor's element: of this row (of the warpgroup's 64, or of the 128 columns) and this of the 16 terms.
template <bool Turned> __device__ __forceinline__ const u16* emu_described(u64 descriptor, int row, int term) {
    const u32 begin = (u32)(descriptor & 0x3fff) << 4, leading = (u32)(descriptor >> 16 & 0x3fff) << 4, stride = (u32)(descriptor >> 32 & 0x3fff) << 4;
    const u32 at = begin + (Turned ? row % 64 * 2 + row / 64 * leading + term % 8 * 128 + term / 8 * stride : row % 8 * 128 + row / 8 * stride + term * 2);
    return (const u16*)shared_pointer(at ^ (at >> 7 & 7) << 4);
}

struct EmuWgmma { float* d; u64 a, b; int warp; };

template <class Scalar, bool TurnA, bool TurnB> EMU_UNCHECKED void emu_wgmma(void** lanes, unsigned) {
    auto* group = (EmuWgmma*)lanes[0];
    float EmuA[16][16], EmuB[128][16];
    for (int k = 0; k < 16; k++) {
        for (int i = 0; i < 16; i++) EmuA[i][k] = to_float(Scalar{*emu_described<TurnA>(group->a, group->warp * 16 + i, k)});
        for (int j = 0; j < 128; j++) EmuB[j][k] = to_float(Scalar{*emu_described<TurnB>(group->b, j, k)});
    }
    for (int l = 0; l < 32; l++) {
        float* d = ((EmuWgmma*)lanes[l])->d;
        for (int e = 0; e < 64; e++) {
            const float *x = EmuA[l / 4 + e / 2 % 2 * 8], *y = EmuB[e / 4 * 8 + l % 4 * 2 + e % 2];
            float s = 0.f;
            for (int k = 0; k < 16; k++) s += x[k] * y[k];
            d[e] += s;
        }
    }
}

template <bool TurnA, bool TurnB, class Scalar> __device__ __forceinline__ void wgmma_64x128x16(float (&d)[64], u64 a, u64 b, Scalar, EMU_LINE) {
    const int warp = warp_index() % 4, l = lane_index();
    // What is read is checked 16 bytes at a time, shared out among the lanes: 32 groups of A, 256 of B.
    emu_read_shared(TurnA ? emu_described<TurnA>(a, warp * 16 + l / 16 * 8, l % 16) : emu_described<TurnA>(a, warp * 16 + l / 2, l % 2 * 8), 16);
    for (int i = l; i < 256; i += 32) emu_read_shared(TurnB ? emu_described<TurnB>(b, i / 16 * 8, i % 16) : emu_described<TurnB>(b, i / 2, i % 2 * 8), 16);
    EmuWgmma p{d, a, b, warp};
    emu_warp(0xffffffffu, emu_wgmma<Scalar, TurnA, TurnB>, &p, line);
}
__device__ __forceinline__ void wgmma_fence() {}
__device__ __forceinline__ void wgmma_commit() {}
__device__ __forceinline__ void wgmma_wait() {}
__device__ __forceinline__ void fence_async_proxy() {}
__device__ __forceinline__ void hold(float (&)[64]) {}

#else

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

/// Before the first product of a group: the sums were written by other instructions.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until all products that were committed are done.
__device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }
/// What this thread stored or copied to shared memory is seen by products that begin behind the next barrier.
__device__ __forceinline__ void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
/// The compiler may not move a sum across a product that is still under way.
__device__ __forceinline__ void hold(float (&d)[64]) { asm volatile("" : PLIP_SIXTEEN(0), PLIP_SIXTEEN(16), PLIP_SIXTEEN(32), PLIP_SIXTEEN(48)::"memory"); }
#undef PLIP_SIXTEEN
#undef PLIP_FOUR

#endif
