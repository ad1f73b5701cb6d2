// tma_product.cuh: wgmma_product.cuh with its copies made by the tensor memory unit (TMA): no thread computes an address, and no register holds one.
//   loop     a stage's bytes are awaited at its mbarrier by all; then a __syncthreads(), behind which one thread asks for the stage after the next, into the
//            memory of the one whose products all have waited for
//   cost     a product's addressing is two to four instructions of one thread a stage of 64 terms, in place of 16 copies of each of 256
//   care     bulk copies go by the async proxy, as wgmma does: no fence between them
// arch  sm_90a
#pragma once
#include "tensor_map.cuh"
#include "wgmma_tile.cuh"

constexpr int STAGE_BYTES = (TILE_M + TILE_N) * LINE_BYTES;

/// sum = A·Bᵀ over so many stages: a.fetch(tile, stage, barrier) asks for what TILE_M × 64 or 64 × TILE_M elements of it a stage needs.
template <class Left, class Right> __device__ __forceinline__ void multiply(Sums& sum, const Left& a, const Right& b, int steps, Stored* memory) {
    __shared__ u64 arrived[STAGES];
    const Stages stages(memory);
    float(&d)[64] = cleared(sum);
    const auto fetch = [&](int step) {
        u64* barrier = &arrived[step % STAGES];
        barrier_expect(barrier, STAGE_BYTES);
        a.fetch(stages.of_a(step), step, barrier);
        b.fetch(stages.of_b(step), step, barrier);
    };
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) barrier_init(&arrived[s], 1);
        barriers_ready();
        for (int s = 0; s < STAGES - 1 && s < steps; s++) fetch(s);
    }
    __syncthreads(); // the barriers are there for all
    for (int t = 0; t < steps; t++) {
        barrier_wait(&arrived[t % STAGES], t / STAGES & 1);
        if (t > 0) __syncthreads(); // all have waited for the products of the stage before, which is written next
        if (threadIdx.x == 0 && t + STAGES - 1 < steps) fetch(t + STAGES - 1);
        stages.multiply<Left, Right>(d, t);
        wgmma_wait();
        hold(d);
    }
}
