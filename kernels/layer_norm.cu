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
//   see      arXiv:1607.06450 · engine/ops/LayerNorm.cs · LayerNormTests
// options  -DTYPE=float -DPACK=4 -DCOLS=64|768|3072
// options  -DTYPE=bf16|half -DPACK=8 -DCOLS=64|768|3072
// options  -DTYPE=float|bf16|half -DPACK=1 -DCOLS=70
#include "load.cuh"
#include "smem.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int STEPS = (COLS + 32 * PACK - 1) / (32 * PACK); // packs of a row that a lane has
constexpr int WARPS = 8, ROWS_PER_BLOCK = 32;
constexpr bool HELD = COLS <= 1024;

/// PACK floats of a parameter, 16 bytes at a time.
__device__ __forceinline__ Vec<float, PACK> parameters(const float* p) {
    if constexpr (PACK <= 4) return load<PACK>(p);
    else {
        Vec<float, PACK> v;
#pragma unroll
        for (int i = 0; i < PACK; i += 4) {
            Vec<float, 4> part = load<4>(p + i);
#pragma unroll
            for (int j = 0; j < 4; j++) v[i + j] = part[j];
        }
        return v;
    }
}

extern "C" __global__ void __launch_bounds__(128) layer_norm_forward(
    T* y, float* mean, float* rstd, const T* x, const float* gamma, const float* beta, int rows, float eps) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
    if (row >= rows) return;
    x += (i64)row * COLS;
    y += (i64)row * COLS;
    Vec<float, PACK> v[STEPS];
    float sum = 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int c = (s * 32 + lane) * PACK;
        if (c >= COLS) break;
        v[s] = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum += v[s][i];
    }
    const float mu = warp_sum(sum) / COLS;
    float squares = 0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        if ((s * 32 + lane) * PACK >= COLS) break;
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            v[s][i] -= mu;
            squares += v[s][i] * v[s][i];
        }
    }
    const float r = rsqrtf(warp_sum(squares) / COLS + eps);
    if (lane == 0) {
        mean[row] = mu;
        rstd[row] = r;
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int c = (s * 32 + lane) * PACK;
        if (c >= COLS) break;
        const Vec<float, PACK> g = parameters(gamma + c), b = parameters(beta + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[s][i] = v[s][i] * r * g[i] + b[i];
        store(y + c, v[s]);
    }
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_backward(
    T* dx, float* partial, const T* dy, const T* x, const float* mean, const float* rstd, const float* gamma, int rows) {
    DYN_SMEM(float, sums); // dγ, then dβ, of this block's rows
    const int warp = threadIdx.y, lane = threadIdx.x;
    const int first = blockIdx.x * ROWS_PER_BLOCK, end = min(rows, first + ROWS_PER_BLOCK);
    Vec<float, PACK> dgamma[STEPS], dbeta[STEPS], hat[HELD ? STEPS : 1], g[HELD ? STEPS : 1];
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
        for (int i = 0; i < PACK; i++) dgamma[s][i] = dbeta[s][i] = 0;
    for (int row = first + warp; row < end; row += WARPS) {
        const i64 at = (i64)row * COLS;
        const float mu = mean[row], r = rstd[row];
        float sum = 0, sum_hat = 0;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            const int c = (s * 32 + lane) * PACK, h = HELD ? s : 0;
            if (c >= COLS) break;
            const Vec<float, PACK> d = load<PACK>(dy + at + c), weight = parameters(gamma + c);
            hat[h] = load<PACK>(x + at + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                hat[h][i] = (hat[h][i] - mu) * r;
                g[h][i] = d[i] * weight[i];
                sum += g[h][i];
                sum_hat += g[h][i] * hat[h][i];
                dgamma[s][i] += d[i] * hat[h][i];
                dbeta[s][i] += d[i];
            }
        }
        const float mean_g = warp_sum(sum) / COLS, mean_hat = warp_sum(sum_hat) / COLS;
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            const int c = (s * 32 + lane) * PACK, h = HELD ? s : 0;
            if (c >= COLS) break;
            if (!HELD) {
                const Vec<float, PACK> d = load<PACK>(dy + at + c), weight = parameters(gamma + c);
                hat[h] = load<PACK>(x + at + c);
#pragma unroll
                for (int i = 0; i < PACK; i++) {
                    hat[h][i] = (hat[h][i] - mu) * r;
                    g[h][i] = d[i] * weight[i];
                }
            }
            Vec<float, PACK> out;
#pragma unroll
            for (int i = 0; i < PACK; i++) out[i] = r * (g[h][i] - mean_g - hat[h][i] * mean_hat);
            store(dx + at + c, out);
        }
    }
    for (int turn = 0; turn < WARPS; turn++) {
        if (warp == turn)
#pragma unroll
            for (int s = 0; s < STEPS; s++) {
                const int c = (s * 32 + lane) * PACK;
                if (c >= COLS) break;
#pragma unroll
                for (int i = 0; i < PACK; i++) {
                    sums[c + i] = turn == 0 ? dgamma[s][i] : sums[c + i] + dgamma[s][i];
                    sums[COLS + c + i] = turn == 0 ? dbeta[s][i] : sums[COLS + c + i] + dbeta[s][i];
                }
            }
        __syncthreads();
    }
    for (int c = warp * 32 + lane; c < 2 * COLS; c += 32 * WARPS) partial[(i64)blockIdx.x * 2 * COLS + c] = sums[c];
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
