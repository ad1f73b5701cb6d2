// dropout.cu: zeroes by chance.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1
//   maths    y_i = x_i/(1−p) where u_i ≥ p, else 0; u_i = Philox uniform of element i; dx likewise from the bits that were kept
//   traffic  x and y once, a bit an element; backward dy, dx and the bits
//   launch   a thread for each 8 elements, that is two blocks of Philox and one byte of the mask; block 256
//   care     byte k of the mask is elements 8k … 8k+7, lowest bit first: the CPU's words of 32, so the same elements on every device.
//            The step is read from memory where it lies there: an argument would stay what it was when a graph was captured
//   see      Srivastava et al., JMLR 15 (2014) · philox.cuh · engine/ops/Dropout.cs · DropoutTests
// options  -DTYPE=float -DPACK=4|1
// options  -DTYPE=bf16|half -DPACK=8|1
#include "load.cuh"
#include "philox.cuh"

typedef TYPE T;
constexpr int RUN = 8;

/// to = from·scale where a bit is set, else 0; count of RUN elements are there.
__device__ __forceinline__ void masked(T* to, const T* from, u32 bits, float scale, i64 count) {
    if (count < RUN) {
        for (int i = 0; i < count; i++) to[i] = from_float<T>(bits >> i & 1 ? to_float(from[i]) * scale : 0.f);
        return;
    }
#pragma unroll
    for (int p = 0; p < RUN; p += PACK) {
        Vec<float, PACK> v = load<PACK>(from + p);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] = bits >> (p + i) & 1 ? v[i] * scale : 0.f;
        store(to + p, v);
    }
}

extern "C" __global__ void __launch_bounds__(256) dropout_forward(
    T* y, int* kept, const T* x, const int* step_now, i64 count, float p, float scale, i64 seed, int stream, int step) {
    const i64 run = (i64)blockIdx.x * blockDim.x + threadIdx.x, first = run * RUN;
    if (first >= count) return;
    const Philox random{(u64)seed, (u32)stream, (u32)(step_now != nullptr ? *step_now : step)};
    u32 bits = 0;
#pragma unroll
    for (int q = 0; q < RUN / 4; q++) {
        const Uniform4 u = random.uniform4((u64)run * (RUN / 4) + q);
#pragma unroll
        for (int i = 0; i < 4; i++) bits |= (u.at[i] >= p ? 1u : 0u) << (q * 4 + i);
    }
    ((u8*)kept)[run] = (u8)bits;
    masked(y + first, x + first, bits, scale, count - first);
}

extern "C" __global__ void __launch_bounds__(256) dropout_backward(T* dx, const T* dy, const int* kept, i64 count, float scale) {
    const i64 run = (i64)blockIdx.x * blockDim.x + threadIdx.x, first = run * RUN;
    if (first < count) masked(dx + first, dy + first, ((const u8*)kept)[run], scale, count - first);
}
