// activations.cu: functions of one element.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DFUNCTION=gelu|relu|sigmoid|tanh
//   maths    gelu x·Φ(x), by the error function; relu max(x, 0); sigmoid 1/(1+e⁻ˣ); tanh. dx = dy·slope(saved), saved is x for gelu, else y
//   traffic  forward 8 bytes an element in F32, backward 12; half in two-byte types. Gelu is near the limit of arithmetic in BF16
//            backward_sums: backward with the sum over rows in the same pass: 6 bytes an element in BF16 where a pass of its own for the
//            sums would make it 8; partial sums are a 32nd of dx in F32
//   launch   a thread for each PACK elements (16 bytes), block 256. backward_sums: block (32, 8), 32·PACK columns × 64 rows
//   care     erfc, not 1+erf: the tail of gelu keeps its digits. A NaN stays one. No fast-math: e⁻ˣ may overflow and then gives the limit.
//            Sums: a block's rows are added in the order of its warps, blocks in their own order, before dx is rounded
//   see      arXiv:1606.08415 · engine/ops/Activations.cs · ActivationsTests
// options  -DTYPE=float -DPACK=4|1 -DFUNCTION=gelu|relu|sigmoid|tanh
// options  -DTYPE=bf16|half -DPACK=8 -DFUNCTION=gelu|relu|sigmoid|tanh
// options  -DTYPE=bf16|half -DPACK=1 -DFUNCTION=gelu
#include "column_sums.cuh"

typedef TYPE T;

namespace function {

struct gelu {
    static __device__ __forceinline__ float phi(float x) { return 0.5f * erfcf(-0.70710678f * x); }
    static __device__ __forceinline__ float value(float x) { return x * phi(x); }
    static __device__ __forceinline__ float slope(float x) { return fmaf(0.39894228f * x, expf(-0.5f * x * x), phi(x)); }
};

struct relu {
    static __device__ __forceinline__ float value(float x) { return x < 0.f ? 0.f : x; }
    static __device__ __forceinline__ float slope(float y) { return y > 0.f ? 1.f : 0.f; }
};

struct sigmoid {
    static __device__ __forceinline__ float value(float x) { return 1.f / (1.f + expf(-x)); }
    static __device__ __forceinline__ float slope(float y) { return y * (1.f - y); }
};

struct tanh {
    static __device__ __forceinline__ float value(float x) { return tanhf(x); }
    static __device__ __forceinline__ float slope(float y) { return fmaf(-y, y, 1.f); }
};

}  // namespace function

typedef function::FUNCTION F;

template <int N> __device__ __forceinline__ void forward(T* y, const T* x) {
    Vec<float, N> v = load<N>(x);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = F::value(v[i]);
    store(y, v);
}

template <int N> __device__ __forceinline__ void backward(T* dx, const T* dy, const T* saved) {
    Vec<float, N> d = load<N>(dy), s = load<N>(saved);
#pragma unroll
    for (int i = 0; i < N; i++) d[i] *= F::slope(s[i]);
    store(dx, d);
}

extern "C" __global__ void __launch_bounds__(256) activation_forward(T* y, const T* x, i64 count) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (i + PACK <= count) forward<PACK>(y + i, x + i);
    else
        for (i64 j = i; j < count; j++) forward<1>(y + j, x + j);
}

extern "C" __global__ void __launch_bounds__(256) activation_backward(T* dx, const T* dy, const T* saved, i64 count) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (i + PACK <= count) backward<PACK>(dx + i, dy + i, saved + i);
    else
        for (i64 j = i; j < count; j++) backward<1>(dx + j, dy + j, saved + j);
}

/// dx of rows × cols (cols a multiple of PACK), and each column's sum over a block's rows into partial (blocks of rows × cols).
extern "C" __global__ void __launch_bounds__(256) activation_backward_sums(T* dx, float* partial, const T* dy, const T* saved, int rows, int cols) {
    const int c = own_columns();
    const int end = min(rows, (int)(blockIdx.y + 1) * ROWS_PER_BLOCK);
    Vec<float, PACK> sum;
#pragma unroll
    for (int i = 0; i < PACK; i++) sum[i] = 0;
    if (c < cols)
        for (int row = blockIdx.y * ROWS_PER_BLOCK + threadIdx.y; row < end; row += WARPS) {
            const i64 at = (i64)row * cols + c;
            Vec<float, PACK> d = load<PACK>(dy + at), s = load<PACK>(saved + at);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                d[i] *= F::slope(s[i]);
                sum[i] += d[i];
            }
            store(dx + at, d);
        }
    leave_columns(partial, sum, cols);
}
