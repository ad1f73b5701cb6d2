// reduce.cu: the sum of everything.          compiled per use: -DTYPE=float|bf16|half
//   maths    y = s·Σ x; the gradient spreads one number over all
//   traffic  x read once; 4 bytes for each 4,096 elements written and read again
//   launch   sum_blocks: block 256, a block for 4,096 elements. sum_all: one block of 256. spread: a thread an element
//   care     blocks depend on the count alone and are added in order, in F64: the same bits every time, and no sum of a million
//            terms in F32
//   see      engine/ops/Reduce.cs · ReduceTests
// options  -DTYPE=float|bf16|half
#include "load.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int THREADS = 256, PER_THREAD = 16;

extern "C" __global__ void __launch_bounds__(THREADS) sum_blocks(float* partial, const T* x, i64 count) {
    const i64 first = (i64)blockIdx.x * THREADS * PER_THREAD + threadIdx.x;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
        const i64 i = first + k * THREADS;
        if (i < count) sum += to_float(x[i]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) sum_all(float* y, const float* partial, int blocks, float scale) {
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += partial[b];
    sum = block_total<THREADS>(sum);
    if (threadIdx.x == 0) *y = (float)(sum * scale);
}

extern "C" __global__ void __launch_bounds__(THREADS) spread(T* dx, const float* dy, i64 count, float scale) {
    const i64 i = (i64)blockIdx.x * THREADS + threadIdx.x;
    if (i < count) dx[i] = from_float<T>(*dy * scale);
}
