// tensor_map.cuh: Hopper's copies of boxes of a tensor into shared memory (TMA, sm_90): one thread asks, the unit computes every address, fills what lies
// outside with zeros, exchanges groups of 16 bytes by the 128-byte swizzle, and counts the bytes at an mbarrier.
//   use      barrier_init by one thread, barriers_ready, __syncthreads(); then for each box in turn: barrier_expect(bytes), load_…; others barrier_wait(parity)
//   map      made on the host by cuTensorMapEncodeTiled or …Im2col, handed over as a __grid_constant__ parameter
//   im2col   pixels one behind the other from (w, h, n) on, seen through a tap: at (w + s, h + r, n). w runs from the box's lower corner to W − 1 + its upper
//            one by the stride, then h, then n
//   care     128-byte lines; tiles begin at multiples of 1 KB. A wait gives up after some seconds rather than hang: results are wrong then, and a test sees it.
//            The emulator copies at the wait, so that a missing wait shows
// arch  sm_90a
#pragma once
#include "smem.cuh"

#if defined(PLIP_EMULATOR)
#define PLIP_MAP_ALIGNED
#else
#define PLIP_MAP_ALIGNED __align__(64)
#endif

/// A tensor and a box of it, as the driver writes them down.
struct PLIP_MAP_ALIGNED TensorMap { u64 opaque[16]; };

/// One for each phase of a convolution with strides.
struct PLIP_MAP_ALIGNED TensorMaps { TensorMap of[4]; };

#undef PLIP_MAP_ALIGNED

#if defined(PLIP_EMULATOR)

__device__ __forceinline__ void barrier_init(u64* barrier, int arrivals) { emu_mbarrier_init(barrier, arrivals); }
__device__ __forceinline__ void barriers_ready() {}
__device__ __forceinline__ void barrier_expect(u64* barrier, int bytes) { emu_mbarrier_expect(barrier, bytes); }
__device__ __forceinline__ void barrier_wait(u64* barrier, int parity, EMU_LINE) { emu_mbarrier_wait(barrier, parity, line); }
__device__ __forceinline__ void load_matrix(void* shared, const TensorMap& map, int column, int row, u64* barrier) {
    const int at[4] = {column, row, 0, 0};
    emu_tensor_copy(shared, &map, at, 2, 0, 0, barrier);
}
__device__ __forceinline__ void load_pixels(void* shared, const TensorMap& map, int c, int w, int h, int n, int s, int r, u64* barrier) {
    const int at[4] = {c, w, h, n};
    emu_tensor_copy(shared, &map, at, 4, s, r, barrier);
}

#else

/// A barrier that so many arrivals, and the bytes they expect, complete.
__device__ __forceinline__ void barrier_init(u64* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

/// Behind the inits: the copying unit sees them.
__device__ __forceinline__ void barriers_ready() {
    asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async.shared::cta;" ::: "memory");
}

/// Arrives, and tells of the bytes that copies will bring before the phase is complete.
__device__ __forceinline__ void barrier_expect(u64* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}

/// Until the phase of this parity (0 for the first, then 1, 0, …) is complete.
__device__ __forceinline__ void barrier_wait(u64* barrier, int parity) {
    const u32 at = shared_address(barrier);
    u32 done = 0;
    for (int tries = 0; !done && tries < 1 << 22; tries++) // each sleeps for a while
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(at), "r"(parity) : "memory");
}

/// A box of a matrix, its first element at (row, column).
__device__ __forceinline__ void load_matrix(void* shared, const TensorMap& map, int column, int row, u64* barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(shared)),
                 "l"(&map), "r"(shared_address(barrier)), "r"(column), "r"(row) : "memory");
}

/// Pixels of pictures (N, H, W, C) from (w, h, n) on through tap (r, s), channels from c on.
__device__ __forceinline__ void load_pixels(void* shared, const TensorMap& map, int c, int w, int h, int n, int s, int r, u64* barrier) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(
                     shared_address(shared)),
                 "l"(&map), "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(n), "h"((u16)s), "h"((u16)r) : "memory");
}

#endif
