// picture_loss.cu: distance of N pictures of P elements from their targets.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DABSOLUTE=0|1
//   maths    e = a − b; Σ e² or Σ |e| by picture; its share of the loss and its factor: (s·w, f), or with a norm (√s·w, w/√s, 0 where s is 0)
//            d = dy·factor·e, or dy·factor·sign(e)
//   traffic  forward 2 reads, backward 2 reads and 1 write
//   launch   sums: block 256 for 8,192 elements of a picture; total: one block; backward: the same blocks
//   care     blocks are fixed by the shape and added in order, in F64: the same bits every time
//   see      engine/ops/PictureLoss.cs · PictureLossTests
// options  -DTYPE=float -DPACK=4|1 -DABSOLUTE=0|1
// options  -DTYPE=bf16|half -DPACK=8 -DABSOLUTE=0|1
#include "load.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int THREADS = 256, PER_BLOCK = 8192;

extern "C" __global__ void __launch_bounds__(THREADS) picture_loss_sums(float* partial, const T* a, const T* b, i64 size, int blocks) {
    const i64 first = (i64)(blockIdx.x % blocks) * PER_BLOCK, end = min(size, first + PER_BLOCK), picture = (i64)(blockIdx.x / blocks) * size;
    float sum = 0;
    for (i64 i = first + threadIdx.x * PACK; i < end; i += THREADS * PACK) {
        const Vec<float, PACK> u = load<PACK>(a + picture + i), v = load<PACK>(b + picture + i);
#pragma unroll
        for (int e = 0; e < PACK; e++) {
            const float d = u[e] - v[e];
            sum = ABSOLUTE ? sum + fabsf(d) : fmaf(d, d, sum);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// A thread takes every 256th picture.
extern "C" __global__ void __launch_bounds__(THREADS) picture_loss_total(
    float* y, float* factors, const float* partial, int pictures, int blocks, int norm, float share, float factor) {
    double loss = 0;
    for (int n = threadIdx.x; n < pictures; n += THREADS) {
        double sum = 0;
        for (int b = 0; b < blocks; b++) sum += partial[(i64)n * blocks + b];
        const double root = norm ? sqrt(sum) : 1;
        loss += norm ? root : sum;
        factors[n] = root > 0 ? (float)(factor / root) : 0.f;
    }
    loss = block_total<THREADS>(loss);
    if (threadIdx.x == 0) *y = (float)(loss * share);
}

extern "C" __global__ void __launch_bounds__(THREADS) picture_loss_backward(T* d, const T* a, const T* b, const float* dy, const float* factors, i64 size, int blocks) {
    const i64 first = (i64)(blockIdx.x % blocks) * PER_BLOCK, end = min(size, first + PER_BLOCK), picture = (i64)(blockIdx.x / blocks) * size;
    const float factor = *dy * factors[blockIdx.x / blocks];
    for (i64 i = first + threadIdx.x * PACK; i < end; i += THREADS * PACK) {
        Vec<float, PACK> u = load<PACK>(a + picture + i);
        const Vec<float, PACK> v = load<PACK>(b + picture + i);
#pragma unroll
        for (int e = 0; e < PACK; e++) u[e] = ABSOLUTE ? (v[e] < u[e] ? factor : 0.f) - (u[e] < v[e] ? factor : 0.f) : (u[e] - v[e]) * factor;
        store(d + picture + i, u);
    }
}
