// ema.cu: a moving average of the flat parameters, and its exchange with them.          compiled once
//   maths    a = a + w·(p − a);   a, p = p, a
//   traffic  12 bytes an element; the exchange 16. Bound by memory
//   launch   a thread for each 4 elements, block 256; the buffers are multiples of 16 elements
//   care     w changes while the average warms up: it is read from memory, so that a captured graph can be replayed. Where the norm of the
//            gradient is not finite the update was refused: the average is not touched, and one thread counts it
//   see      engine/optim/Ema.cs · EmaTests
#include "load.cuh"

__device__ __forceinline__ i64 first() { return ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 4; }

extern "C" __global__ void __launch_bounds__(256) ema(float* a, int* refused, const float* p, const float* weight, const float* norm, i64 count) {
    const i64 i = first();
    if (i >= count) return;
    if (norm && norm[3] == 0) {
        if (i == 0) ++*refused;
        return;
    }
    Vec<float, 4> average = load<4>(a + i);
    const Vec<float, 4> value = load<4>(p + i);
#pragma unroll
    for (int e = 0; e < 4; e++) average[e] = fmaf(value[e] - average[e], *weight, average[e]);
    store(a + i, average);
}

extern "C" __global__ void __launch_bounds__(256) exchange(float* a, float* p, i64 count) {
    const i64 i = first();
    if (i >= count) return;
    const Vec<float, 4> average = load<4>(a + i), value = load<4>(p + i);
    store(a + i, value);
    store(p + i, average);
}
