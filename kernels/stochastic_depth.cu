// stochastic_depth.cu: a residual branch that is left out of some pictures.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1
//   maths    y_n = x_n + m_n·a_n,  m_n = 1/(1−p) where u_n ≥ p, else 0;  u_n = Philox uniform of picture n;  da_n = m_n·dy_n.   arXiv:1603.09382
//   traffic  x read and y written once, a read where it counts: 12 bytes an element in F32; backward 8
//   launch   a thread for each PACK elements of one picture, block 256; it draws its picture's number itself: 70 instructions for 48 bytes
//   care     the step is read from memory where it lies there: an argument would stay what it was when a graph was captured
//   see      philox.cuh · engine/ops/StochasticDepth.cs · StochasticDepthTests
// options  -DTYPE=float -DPACK=4|1
// options  -DTYPE=bf16|half -DPACK=8|1
#include "load.cuh"
#include "philox.cuh"

typedef TYPE T;

/// The factor of picture n.
__device__ __forceinline__ float factor(i64 n, const int* step_now, float p, float scale, i64 seed, int stream, int step) {
    return Philox{(u64)seed, (u32)stream, (u32)(step_now != nullptr ? *step_now : step)}.uniform((u64)n) >= p ? scale : 0.f;
}

extern "C" __global__ void __launch_bounds__(256) stochastic_depth_forward(
    T* y, const T* x, const T* a, const int* step_now, i64 count, i64 each, float p, float scale, i64 seed, int stream, int step) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (i >= count) return;
    const float by = factor(i / each, step_now, p, scale, seed, stream, step);
    Vec<float, PACK> sum = load<PACK>(x + i);
    if (by != 0) {
        const Vec<float, PACK> v = load<PACK>(a + i);
#pragma unroll
        for (int k = 0; k < PACK; k++) sum[k] = fmaf(by, v[k], sum[k]);
    }
    store(y + i, sum);
}

extern "C" __global__ void __launch_bounds__(256) stochastic_depth_backward(
    T* da, const T* dy, const int* step_now, i64 count, i64 each, float p, float scale, i64 seed, int stream, int step) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (i >= count) return;
    const float by = factor(i / each, step_now, p, scale, seed, stream, step);
    Vec<float, PACK> v = load<PACK>(dy + i);
#pragma unroll
    for (int k = 0; k < PACK; k++) v[k] *= by;
    store(da + i, v);
}
