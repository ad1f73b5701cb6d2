// softmax_2.cu: rung 2 below softmax.cu: maximum and sum in one walk.          compiled per use: -DTYPE=float|bf16|half
//   maths    (m, s) of a part is its maximum and Σ e^(x−m); parts join as m = max(m₁, m₂), s = s₁·e^(m₁−m) + s₂·e^(m₂−m), in any order
//            (Milakov and Gimelshein, arXiv:1805.02867)
//   traffic  x is asked for twice and y written once: a third of the reads less than rung 1, at the price of an exp an element more
//            where the maximum grows, which in a long row is seldom
//   launch   a warp a row, block (32, 4); 2 or 4 bytes a thread an instruction. Lanes join by five shuffles of two numbers
//   care     −∞ − (−∞) is NaN: a part without a finite element joins as nothing
//   next     the kernel that ships keeps a row of up to 8,192 in registers, so that it is read once, 16 bytes an instruction; then the
//            two walks cost nothing and the online step is not needed. Where a row does not fit, or is not there yet, it is: attention.cu
//   see      lesson 06 · engine/ops/ladder/SoftmaxLadder.cs
// options  -DTYPE=float|bf16|half
#include "types.cuh"
#include "warp.cuh"

typedef TYPE T;

struct Part {
    float max, sum;
};

__device__ __forceinline__ Part join(Part a, Part b) {
    const float max = fmaxf(a.max, b.max), of = max == -INFINITY ? 0.f : max;
    return Part{max, a.sum * expf(a.max - of) + b.sum * expf(b.max - of)};
}

extern "C" __global__ void __launch_bounds__(128) softmax_online(T* y, const T* x, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (i64)row * cols;
    y += (i64)row * cols;
    Part mine{-INFINITY, 0.f};
    for (int c = threadIdx.x; c < cols; c += 32) {
        const float v = to_float(x[c]);
        if (v <= mine.max) mine.sum += v == -INFINITY ? 0.f : expf(v - mine.max);
        else mine = Part{v, mine.sum * expf(mine.max - v) + 1.f};
    }
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) mine = join(mine, Part{__shfl_xor_sync(FULL_WARP, mine.max, o), __shfl_xor_sync(FULL_WARP, mine.sum, o)});
    const float max = mine.max == -INFINITY ? 0.f : mine.max, scale = mine.sum == 0.f ? 0.f : 1.f / mine.sum;
    for (int c = threadIdx.x; c < cols; c += 32) y[c] = from_float<T>(expf(to_float(x[c]) - max) * scale);
}
