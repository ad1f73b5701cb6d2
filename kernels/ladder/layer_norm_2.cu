// layer_norm_2.cu: rung 2 below layer_norm.cu: a block a row.          compiled per use: -DTYPE=float|bf16|half
//   maths    as rung 1; μ and σ² are sums over a block
//   traffic  a warp reads 32 neighbours: every byte that moves is used. x is asked for three times, from memory once and from the caches
//            twice; 2 or 4 bytes a thread an instruction
//   launch   block 256 for a row; 768 columns are three elements a thread. Two sums of a block: four barriers, which the whole row waits for
//   next     the kernel that ships gives a row to a warp, which needs no barrier, keeps it in registers between its three uses, and
//            moves 16 bytes a thread an instruction
//   see      lesson 04 · engine/ops/ladder/LayerNormLadder.cs
// options  -DTYPE=float|bf16|half
#include "types.cuh"
#include "warp.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) layer_norm_block(
    T* y, const T* x, const float* gamma, const float* beta, int cols, float eps) {
    x += (i64)blockIdx.x * cols;
    y += (i64)blockIdx.x * cols;
    float sum = 0, squares = 0;
    for (int c = threadIdx.x; c < cols; c += 256) sum += to_float(x[c]);
    const float mu = block_sum(sum) / cols;
    for (int c = threadIdx.x; c < cols; c += 256) {
        const float d = to_float(x[c]) - mu;
        squares += d * d;
    }
    const float r = rsqrtf(block_sum(squares) / cols + eps);
    for (int c = threadIdx.x; c < cols; c += 256) y[c] = from_float<T>((to_float(x[c]) - mu) * r * gamma[c] + beta[c]);
}
