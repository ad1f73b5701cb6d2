// layer_norm.cu: normalise the last axis.          compiled per use: -DTYPE=float|bf16|half -DCOLS=768 -DPACK=4|8|1
//   maths    x̂ = (x−μ)·r, r = rsqrt(σ²+ε); y = γx̂+β.   rows × COLS, row-major
//            g = γ·dy; dx = r·(g − mean g − x̂·mean(g·x̂)); dγ = Σ dy·x̂; dβ = Σ dy
//   traffic  forward: x read once, y written once (a row is held in registers): 8192×768 bf16 = 25.2 MB
//            backward: x and dy read once up to 1,024 columns (beyond, twice, the second time from L2), dx written once;
//            γ's and β's partial sums are a 32nd of a pass in F32
//   launch   forward: one warp per row, block (32,4), grid ⌈rows/4⌉
//            backward: 32 rows a block, block (32,8), 8·COLS bytes of shared memory; then one block for 32 columns
//   care     centre, then square: E[x²]−E[x]² cancels when |μ| ≫ σ. No atomics: rows of a block are added in the order of its
//            warps, blocks in their own order, so the same bits every time
//   see      arXiv:1607.06450 · common/layer_norm.cuh · engine/ops/LayerNorm.cs · LayerNormTests
// options  -DTYPE=float -DPACK=4 -DCOLS=64|768|3072
// options  -DTYPE=bf16|half -DPACK=8 -DCOLS=64|768|3072
// options  -DTYPE=float|bf16|half -DPACK=1 -DCOLS=70
#include "layer_norm.cuh"

typedef TYPE T;
constexpr int WARPS = LayerNormWarps;

extern "C" __global__ void __launch_bounds__(128) layer_norm_forward(
    T* y, float* mean, float* rstd, const T* x, const float* gamma, const float* beta, int rows, float eps) {
    constexpr int STEPS = RowOfWarp<COLS, PACK>::packs;
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    Vec<float, PACK> v[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int c = column_of<PACK>(s);
        if (c >= COLS) break;
        v[s] = load<PACK>(x + (i64)row * COLS + c);
    }
    layer_norm_row<COLS>(y + (i64)row * COLS, mean + row, rstd + row, v, gamma, beta, eps);
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_backward(
    T* dx, float* partial, const T* dy, const T* x, const float* mean, const float* rstd, const float* gamma, int rows) {
    layer_norm_gradient<COLS, PACK>(dx, partial, dy, x, mean, rstd, gamma, rows, [](i64, const Vec<float, PACK>&) {});
}

// The blocks' sums, added in order: grid (⌈COLS/32⌉, 2), block (32, 8). y = 0 is γ, y = 1 is β.
extern "C" __global__ void __launch_bounds__(256) layer_norm_parameters(float* dgamma, float* dbeta, const float* partial, int blocks) {
    __shared__ float part[WARPS][32];
    const int c = blockIdx.x * 32 + threadIdx.x;
    float sum = 0;
    if (c < COLS)
        for (int b = threadIdx.y; b < blocks; b += WARPS) sum += partial[((i64)b * 2 + blockIdx.y) * COLS + c];
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || c >= COLS) return;
    for (int w = 1; w < WARPS; w++) sum += part[w][threadIdx.x];
    (blockIdx.y == 0 ? dgamma : dbeta)[c] = sum;
}
