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

/// Sum over the block; every thread gets it. May be called again at once: it ends with a barrier.
__device__ inline float block_sum(float v) {
    __shared__ float part[32];
    v = warp_sum(v);
    if (lane_index() == 0) part[warp_index()] = v;
    __syncthreads();
    v = warp_sum(lane_index() < block_warps() ? part[lane_index()] : 0.f);
    __syncthreads();
    return v;
}

__device__ inline float block_max(float v) {
    __shared__ float part[32];
    v = warp_max(v);
    if (lane_index() == 0) part[warp_index()] = v;
    __syncthreads();
    v = warp_max(lane_index() < block_warps() ? part[lane_index()] : -INFINITY);
    __syncthreads();
    return v;
}
