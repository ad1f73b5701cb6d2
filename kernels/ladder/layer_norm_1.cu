// layer_norm_1.cu: rung 1 below layer_norm.cu: a thread a row.          compiled per use: -DTYPE=float|bf16|half
//   maths    μ = Σx/C, σ² = Σ(x−μ)²/C, y = γ·(x−μ)/√(σ²+ε) + β, as the formula is read: three walks along the row
//   traffic  x is asked for three times and y written once, element by element. The 32 threads of a warp stand in 32 rows, so what
//            one instruction reads lies in 32 cache lines, of which it uses 2 or 4 bytes of 32 each: up to 16 times the bytes, three times
//   launch   a thread a row, block 256: 4,096 rows are 16 blocks, and 116 of an H200's 132 multiprocessors have nothing to do
//   next     rung 2 gives a row to a block: neighbours in a warp read neighbours in memory, and every row has 256 threads
//   see      lesson 04 · engine/ops/ladder/LayerNormLadder.cs
// options  -DTYPE=float|bf16|half
#include "types.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) layer_norm_thread(
    T* y, const T* x, const float* gamma, const float* beta, int rows, int cols, float eps) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    x += (i64)row * cols;
    y += (i64)row * cols;
    float sum = 0, squares = 0;
    for (int c = 0; c < cols; c++) sum += to_float(x[c]);
    const float mu = sum / cols;
    for (int c = 0; c < cols; c++) {
        const float d = to_float(x[c]) - mu;
        squares += d * d;
    }
    const float r = rsqrtf(squares / cols + eps);
    for (int c = 0; c < cols; c++) y[c] = from_float<T>((to_float(x[c]) - mu) * r * gamma[c] + beta[c]);
}
