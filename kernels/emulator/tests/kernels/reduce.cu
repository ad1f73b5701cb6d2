// reduce.cu: block and warp reductions, votes, atomics.
#include "warp.cuh"

extern "C" __global__ void row_sum_max(float* sum, float* largest, const float* x, int cols) {
    float s = 0.f, m = -INFINITY;
    for (int i = thread_index(); i < cols; i += block_warps() * 32) {
        s += x[blockIdx.x * cols + i];
        m = fmaxf(m, x[blockIdx.x * cols + i]);
    }
    s = block_sum(s);
    m = block_max(m);
    if (thread_index() == 0) {
        sum[blockIdx.x] = s;
        largest[blockIdx.x] = m;
    }
}

// out: ballot, any, all, reduce_add, reduce_min (signed), shuffle from lane 3, shuffle down 1, up 1, argmax index, count, and
extern "C" __global__ void votes(int* out, const float* x) {
    int l = lane_index();
    float v = x[l];
    out[l * 11 + 0] = (int)__ballot_sync(FULL_WARP, v > 0.f);
    out[l * 11 + 1] = __any_sync(FULL_WARP, v > 100.f);
    out[l * 11 + 2] = __all_sync(FULL_WARP, v > -100.f);
    out[l * 11 + 3] = __reduce_add_sync(FULL_WARP, l);
    out[l * 11 + 4] = __reduce_min_sync(FULL_WARP, l - 7);
    out[l * 11 + 5] = __shfl_sync(FULL_WARP, l * 10, 3);
    out[l * 11 + 6] = __shfl_down_sync(FULL_WARP, l, 1, 8);
    out[l * 11 + 7] = __shfl_up_sync(FULL_WARP, l, 1);
    out[l * 11 + 8] = warp_argmax(Place{v, l}).index;
    out[l * 11 + 9] = __syncthreads_count(v > 0.f);
    out[l * 11 + 10] = __syncthreads_and(v > 0.f);
}

extern "C" __global__ void histogram(u32* bins, int* lowest, float* total, const u32* keys, int n) {
    __shared__ u32 local[16];
    if (threadIdx.x < 16) local[threadIdx.x] = 0;
    __syncthreads();
    for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += (int)(gridDim.x * blockDim.x)) {
        atomicAdd(&local[keys[i] % 16], 1u);
        atomicMin(lowest, (int)(keys[i] % 1000) - 500);
        atomicAdd(total, 1.f);
    }
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}
