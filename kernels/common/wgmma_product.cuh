// wgmma_product.cuh: what staged_product.cuh is, by Hopper's products of a warpgroup (wgmma, sm_90a): both factors are read from shared memory.
//   layout   wgmma.cuh's, Along and Across; the swizzle is in where copies go (slot)
//   care     copies go by the generic proxy, wgmma by the async one: a fence between them. A stage is written again only behind the barrier after the
//            products that read it were waited for
// arch  sm_90a
#pragma once
#include "wgmma_tile.cuh"

/// A factor whose memory runs along the terms.
template <int Size> struct Along : RowLines {
    static constexpr int GROUPS = DEPTH / 8, PASSES = Size * GROUPS / THREADS;
    static __device__ __forceinline__ int term() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int row(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) { return (row(pass) * GROUPS + ((int)threadIdx.x % GROUPS ^ (row(pass) & 7))) * 8; }
};

/// A factor whose memory runs along the rows.
template <int Size> struct Across : TermLines {
    static constexpr int GROUPS = Size / 8, PASSES = DEPTH * GROUPS / THREADS;
    static __device__ __forceinline__ int row() { return (int)threadIdx.x % GROUPS * 8; }
    static __device__ __forceinline__ int term(int pass) { return (int)threadIdx.x / GROUPS + pass * (THREADS / GROUPS); }
    static __device__ __forceinline__ int slot(int pass) {
        const int group = (int)threadIdx.x % GROUPS;
        return ((group / 8 * DEPTH + term(pass)) * 8 + (group % 8 ^ (term(pass) & 7))) * 8;
    }
};

/// sum = A·Bᵀ over so many terms.
template <class Left, class Right> __device__ __forceinline__ void multiply(Sums& sum, Left& a, Right& b, int terms, Stored* memory) {
    const Stages stages(memory);
    float(&d)[64] = cleared(sum);
    const int steps = (terms + DEPTH - 1) / DEPTH;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            a.fetch(stages.of_a(s));
            b.fetch(stages.of_b(s));
        }
        cp_async_commit(); // an empty group too: the wait counts them
    }
    for (int t = 0; t < steps; t++) {
        cp_async_wait<STAGES - 2>();
        fence_async_proxy();
        __syncthreads(); // this stage is there for all, and all have waited for the products of the one before, which is written next
        stages.multiply<Left, Right>(d, t);
        const int ahead = t + STAGES - 1;
        if (ahead < steps) {
            a.fetch(stages.of_a(ahead));
            b.fetch(stages.of_b(ahead));
        }
        cp_async_commit();
        wgmma_wait();
        hold(d);
    }
}
