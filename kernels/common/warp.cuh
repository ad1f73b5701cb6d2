// warp.cuh: sums and maxima of a warp and of a block, always in the same order, so the same bits every time.
//   order    lanes pair by 16, 8, 4, 2, 1 (every lane ends with the same bits); then warps, likewise
//   cost     5 shuffles a warp; a block adds two barriers, 128 bytes of shared memory and 5 more shuffles
//   care     all 32 lanes must call (the whole block for block_*): blockDim is a multiple of 32
#pragma once
#include "types.cuh"

#define FULL_WARP 0xffffffffu

__device__ __forceinline__ int thread_index() { return (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)); }
__device__ __forceinline__ int lane_index() { return thread_index() & 31; }
__device__ __forceinline__ int warp_index() { return thread_index() >> 5; }
__device__ __forceinline__ int block_warps() { return (int)(blockDim.x * blockDim.y * blockDim.z) >> 5; }

/// Sum over Lanes neighbouring lanes (a power of two); every lane of the group gets it.
template <int Lanes = 32> __device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int o = Lanes / 2; o > 0; o >>= 1) v += __shfl_xor_sync(FULL_WARP, v, o);
    return v;
}

template <int Lanes = 32> __device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int o = Lanes / 2; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(FULL_WARP, v, o));
    return v;
}

/// A value with the place it came from; of equal values the lowest place wins, whatever the order.
struct Place { float value; int index; };

__device__ __forceinline__ Place larger(Place a, Place b) {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ __forceinline__ Place warp_argmax(Place p) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        p = larger(p, Place{__shfl_xor_sync(FULL_WARP, p.value, o), __shfl_xor_sync(FULL_WARP, p.index, o)});
    return p;
}

/// A value of each warp, folded by the first of them; every thread gets it. May be called again at once: it ends with a barrier.
template <class Fold> __device__ __forceinline__ float block_by_warps(float v, float none, Fold warp) {
    __shared__ float part[32];
    v = warp(v);
    if (lane_index() == 0) part[warp_index()] = v;
    __syncthreads();
    v = warp(lane_index() < block_warps() ? part[lane_index()] : none);
    __syncthreads();
    return v;
}

__device__ inline float block_sum(float v) { return block_by_warps(v, 0.f, [](float x) { return warp_sum(x); }); }

__device__ inline float block_max(float v) { return block_by_warps(v, -INFINITY, [](float x) { return warp_max(x); }); }

/// Values of any type of a block of so many threads (a power of two) in one row, folded in pairs, then pairs of pairs; every thread gets the result. For the
/// end of a kernel: not to be called again with the same fold.
template <int Threads, class Value, class Fold> __device__ __forceinline__ Value block_fold(Value v, Fold fold) {
    __shared__ Value part[Threads];
    part[threadIdx.x] = v;
    __syncthreads();
    for (int o = Threads / 2; o > 0; o >>= 1) {
        if (threadIdx.x < o) part[threadIdx.x] = fold(part[threadIdx.x], part[threadIdx.x + o]);
        __syncthreads();
    }
    return part[0];
}

/// Sum in F64, of which a loss is rounded once.
template <int Threads> __device__ __forceinline__ double block_total(double v) {
    return block_fold<Threads>(v, [](double a, double b) { return a + b; });
}
