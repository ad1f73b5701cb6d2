// elementwise.cu: one element from the same element of each input.      compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1
//   maths    add a+b; subtract a−b; multiply a·b; affine s·x+t; fill v; accumulate sum += x (sum F32, x of any type)
//   traffic  every input once, the output once: 12 bytes an element for two inputs in F32. Bound by memory
//   launch   a thread for each PACK elements (16 bytes; PACK 1 where an address is not a multiple of 16), block 256
//   care     y may be an input: a thread reads what it writes and nothing else
//   see      engine/ops/Elementwise.cs · ElementwiseTests
// options  -DTYPE=float -DPACK=4|1
// options  -DTYPE=bf16|half -DPACK=8
#include "load.cuh"

typedef TYPE T;

struct Add {
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
};
struct Subtract {
    static __device__ __forceinline__ float of(float a, float b) { return a - b; }
};
struct Multiply {
    static __device__ __forceinline__ float of(float a, float b) { return a * b; }
};

template <class F, int N> __device__ __forceinline__ void pack(T* y, const T* a, const T* b) {
    Vec<float, N> u = load<N>(a), v = load<N>(b);
#pragma unroll
    for (int k = 0; k < N; k++) u[k] = F::of(u[k], v[k]);
    store(y, u);
}

template <int N> __device__ __forceinline__ void affine_pack(T* y, const T* x, float scale, float shift) {
    Vec<float, N> u = load<N>(x);
#pragma unroll
    for (int k = 0; k < N; k++) u[k] = fmaf(u[k], scale, shift);
    store(y, u);
}

/// The first of this thread's elements.
__device__ __forceinline__ i64 first() { return ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK; }

template <class F> __device__ __forceinline__ void each(T* y, const T* a, const T* b, i64 count) {
    const i64 i = first();
    if (i + PACK <= count) pack<F, PACK>(y + i, a + i, b + i);
    else
        for (i64 j = i; j < count; j++) pack<F, 1>(y + j, a + j, b + j);
}

extern "C" __global__ void __launch_bounds__(256) add(T* y, const T* a, const T* b, i64 count) { each<Add>(y, a, b, count); }

extern "C" __global__ void __launch_bounds__(256) subtract(T* y, const T* a, const T* b, i64 count) { each<Subtract>(y, a, b, count); }

extern "C" __global__ void __launch_bounds__(256) multiply(T* y, const T* a, const T* b, i64 count) { each<Multiply>(y, a, b, count); }

extern "C" __global__ void __launch_bounds__(256) affine(T* y, const T* x, i64 count, float scale, float shift) {
    const i64 i = first();
    if (i + PACK <= count) affine_pack<PACK>(y + i, x + i, scale, shift);
    else
        for (i64 j = i; j < count; j++) affine_pack<1>(y + j, x + j, scale, shift);
}

extern "C" __global__ void __launch_bounds__(256) fill(T* y, i64 count, float value) {
    const i64 i = first();
    for (i64 j = i; j < i + PACK && j < count; j++) y[j] = from_float<T>(value);
}

// F32 packs are twice as wide as those of two-byte types: an element at a time, neighbours by neighbouring threads.
extern "C" __global__ void __launch_bounds__(256) accumulate(float* sum, const T* x, i64 count) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) sum[i] += to_float(x[i]);
}
