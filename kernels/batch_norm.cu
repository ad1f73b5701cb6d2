// batch_norm.cu: normalise each channel over all rows of its group: grid.z counts groups of equally many rows, each with statistics of its own.
//                        compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DLANES=1|2|4|8|16|32 -DRELU=0|1 -DMASKED=0|1
//   maths    x̂ = (x−μ)·r, r = 1/√(σ²+ε); y = [relu](γ·x̂ + β [+ residual])
//            dz = dy where y > 0; dβ = Σ dz; dγ = Σ dz·x̂; dx = γr·(dz − dβ/R − x̂·dγ/R), or γr·dz with running statistics
//   traffic  moments: x once, and a block's rows again from L2, or nothing where conv2d_mma.cu left them; forward x (and the residual) once, y once; backward dy and x twice, dx once
//   launch   columns.cuh, moments and sums: grid (⌈rows/per_block⌉, groups of columns), at most 1,024 blocks of rows; merges: 32 columns
//            a block, (32, 8), and where blocks of rows are many 32 of those become one first; passes over elements: 8 rows a thread, so that a channel's numbers are read once for all
//   care     centre, then square, in each block, with the block's own mean; blocks are merged in F64 in one order (Chan). The sign of y is
//            worked out again from x by the same operations as forward, so it is the same bits; with a residual y itself is read
//   see      arXiv:1502.03167 · engine/ops/BatchNorm.cs · BatchNormTests
// options  -DTYPE=float -DPACK=4|1 -DLANES=8|32 -DRELU=0 -DMASKED=0
// options  -DTYPE=bf16|half -DPACK=8 -DLANES=8|32 -DRELU=0 -DMASKED=0
// options  -DTYPE=float -DPACK=4 -DLANES=32 -DRELU=1 -DMASKED=0|1
// options  -DTYPE=bf16|half -DPACK=8 -DLANES=32 -DRELU=1 -DMASKED=0|1
#include "columns.cuh"

typedef TYPE T;
constexpr int ROWS_PER_THREAD = 8, MERGERS = 8, GATHERED = 32;

/// Where this block's group begins in what has so much for each.
__device__ __forceinline__ i64 group_start(i64 each) { return blockIdx.z * each; }

/// What a channel's elements go through: y = scale·(x−mean) + shift.
struct Affine {
    Columns mean, scale, shift;

    /// Channels c… of this block's group.
    __device__ __forceinline__ void read(int c, int cols, const float* means, const float* rstd, const float* gamma, const float* beta) {
        mean = channels(means + group_start(cols) + c), scale = channels(gamma + c), shift = channels(beta + c);
        const Columns r = channels(rstd + group_start(cols) + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) scale[i] *= r[i];
    }

    __device__ __forceinline__ float value(float deviation, int i) const { return fmaf(deviation, scale[i], shift[i]); }
};

// partial: for each block of rows of each group a row of means and a row of Σ of squared deviations
extern "C" __global__ void __launch_bounds__(256) batch_norm_moments(float* partial, const T* x, int rows, int cols, int per_block) {
    const int c = first_column(), from = blockIdx.x * per_block, end = min(rows, from + per_block);
    x += group_start((i64)rows * cols);
    Columns sum = zeros();
    if (c < cols)
        for (int r = from + (int)threadIdx.y; r < end; r += ROWS) {
            const Columns v = load<PACK>(x + (i64)r * cols + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) sum[i] += v[i];
        }
    Columns center = add_rows(sum), squares = zeros();
    const float count = (float)(end - from);
#pragma unroll
    for (int i = 0; i < PACK; i++) center[i] /= count;
    sum = zeros();
    if (c < cols)
        for (int r = from + (int)threadIdx.y; r < end; r += ROWS) {
            const Columns v = load<PACK>(x + (i64)r * cols + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                const float d = v[i] - center[i];
                sum[i] += d;
                squares[i] = fmaf(d, d, squares[i]);
            }
        }
    sum = add_rows(sum);
    squares = add_rows(squares);
    if (threadIdx.y != 0 || c >= cols) return;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float d = sum[i] / count; // what the mean lost by rounding
        squares[i] -= sum[i] * d;
        center[i] += d;
    }
    float* to = partial + (group_start(gridDim.x) + blockIdx.x) * 2 * cols + c;
    store_channels(to, center);
    store_channels(to + cols, squares);
}

/// Σ over the warps of a block of (32, 8), the same in each.
__device__ __forceinline__ double add_mergers(double v) {
    __shared__ double part[MERGERS][32];
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    double sum = 0;
    for (int w = 0; w < MERGERS; w++) sum += part[w][threadIdx.x];
    __syncthreads();
    return sum;
}

/// Mean and Σ of squared deviations of a channel over blocks from … to of one group's rows (Chan et al., 1979): the same in each warp.
__device__ __forceinline__ void merge_blocks(
    double& mean, double& squares, const float* partial, int c, int from, int to, int rows, int cols, int per_block) {
    const int count = min(rows, to * per_block) - from * per_block;
    double sum = 0, deviations = 0;
    if (c < cols)
        for (int b = from + (int)threadIdx.y; b < to; b += MERGERS) sum += (double)min(per_block, rows - b * per_block) * partial[(i64)b * 2 * cols + c];
    mean = add_mergers(sum) / count;
    if (c < cols)
        for (int b = from + (int)threadIdx.y; b < to; b += MERGERS) {
            const double d = partial[(i64)b * 2 * cols + c] - mean;
            deviations += partial[((i64)b * 2 + 1) * cols + c] + d * d * min(per_block, rows - b * per_block);
        }
    squares = add_mergers(deviations);
}

// GATHERED blocks become one, for merge to have few. block (32, 8), grid (⌈blocks/GATHERED⌉, ⌈cols/32⌉, groups)
extern "C" __global__ void __launch_bounds__(256) batch_norm_gather(float* fewer, const float* partial, int rows, int cols, int per_block) {
    const int c = blockIdx.y * 32 + threadIdx.x, blocks = (rows + per_block - 1) / per_block, from = blockIdx.x * GATHERED;
    double mean, squares;
    merge_blocks(mean, squares, partial + group_start((i64)blocks * 2 * cols), c, from, min(blocks, from + GATHERED), rows, cols, per_block);
    if (threadIdx.y != 0 || c >= cols) return;
    float* to = fewer + (group_start(gridDim.x) + blockIdx.x) * 2 * cols + c;
    to[0] = (float)mean;
    to[cols] = (float)squares;
}

// One group's. block (32, 8), grid ⌈cols/32⌉. momentum 0 leaves the running statistics, null the number of batches
extern "C" __global__ void __launch_bounds__(256) batch_norm_merge(
    float* mean, float* rstd, float* running_mean, float* running_var, i64* batches, const float* partial, int group, int rows, int cols, int per_block,
    float eps, float momentum) {
    const int c = blockIdx.x * 32 + threadIdx.x, blocks = (rows + per_block - 1) / per_block;
    double mu, squares;
    merge_blocks(mu, squares, partial + (i64)group * blocks * 2 * cols, c, 0, blocks, rows, cols, per_block);
    if (threadIdx.y != 0) return;
    if (batches && c == 0) ++*batches;
    if (c >= cols) return;
    mean[(i64)group * cols + c] = (float)mu;
    rstd[(i64)group * cols + c] = (float)(1 / sqrt(squares / rows + eps));
    if (momentum == 0) return;
    const double m = momentum;
    running_mean[c] = (float)((1 - m) * running_mean[c] + m * mu);
    running_var[c] = (float)((1 - m) * running_var[c] + m * (squares / (rows - 1)));
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_running(
    float* mean, float* rstd, const float* running_mean, const float* running_var, int group, int cols, float eps) {
    const int c = blockIdx.x * 256 + threadIdx.x;
    if (c >= cols) return;
    mean[(i64)group * cols + c] = running_mean[c];
    rstd[(i64)group * cols + c] = (float)(1 / sqrt((double)running_var[c] + eps));
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_forward(
    T* y, const T* x, const float* mean, const float* rstd, const float* gamma, const float* beta, const T* residual, int rows, int cols) {
    const int c = first_column();
    if (c >= cols) return;
    Affine affine;
    affine.read(c, cols, mean, rstd, gamma, beta);
    const i64 start = group_start((i64)rows * cols) + c;
    const u32 first = blockIdx.x * ROWS * ROWS_PER_THREAD + threadIdx.y;
#pragma unroll 4
    for (int k = 0; k < ROWS_PER_THREAD; k++) {
        const u32 r = first + k * ROWS;
        if (r >= (u32)rows) break;
        const i64 at = start + (i64)r * cols;
        Columns v = load<PACK>(x + at);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] = affine.value(v[i] - affine.mean[i], i);
        if (residual) {
            const Columns u = load<PACK>(residual + at);
#pragma unroll
            for (int i = 0; i < PACK; i++) v[i] += u[i];
        }
        if (RELU)
#pragma unroll
            for (int i = 0; i < PACK; i++) v[i] = v[i] < 0.f ? 0.f : v[i];
        store(y + at, v);
    }
}

// partial: for each block of rows Σ dz and Σ dz·(x−μ). MASKED: dz = dy where y > 0 is written to dz; else RELU works y out again from x
extern "C" __global__ void __launch_bounds__(256) batch_norm_sums(
    float* partial, T* dz, const T* dy, const T* x, const T* y, const float* mean, const float* rstd, const float* gamma, const float* beta,
    int rows, int cols, int per_block) {
    const int c = first_column(), from = blockIdx.x * per_block, end = min(rows, from + per_block);
    Columns sum = zeros(), sum_x = zeros();
    if (c < cols) {
        Affine affine;
        affine.read(c, cols, mean, rstd, gamma, beta);
        const i64 start = group_start((i64)rows * cols) + c;
        for (int r = from + (int)threadIdx.y; r < end; r += ROWS) {
            const i64 at = start + (i64)r * cols;
            Columns d = load<PACK>(dy + at);
            const Columns v = load<PACK>(x + at);
            if (MASKED) {
                const Columns out = load<PACK>(y + at);
#pragma unroll
                for (int i = 0; i < PACK; i++) d[i] = out[i] > 0.f ? d[i] : 0.f;
                store(dz + at, d);
            }
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                const float deviation = v[i] - affine.mean[i];
                if (RELU && !MASKED) d[i] = affine.value(deviation, i) > 0.f ? d[i] : 0.f;
                sum[i] += d[i];
                sum_x[i] = fmaf(d[i], deviation, sum_x[i]);
            }
        }
    }
    sum = add_rows(sum);
    sum_x = add_rows(sum_x);
    if (threadIdx.y != 0 || c >= cols) return;
    float* to = partial + (group_start(gridDim.x) + blockIdx.x) * 2 * cols + c;
    store_channels(to, sum);
    store_channels(to + cols, sum_x);
}

// dγ and dβ, added up over the groups, and what each group's dx takes off: dx = γr·dz − slope[0] − slope[1]·(x−μ). block (32, 8), grid ⌈cols/32⌉
extern "C" __global__ void __launch_bounds__(256) batch_norm_parameters(
    float* dgamma, float* dbeta, float* slope, const float* partial, const float* rstd, const float* gamma, int rows, int cols, int blocks, int groups,
    int training) {
    const int c = blockIdx.x * 32 + threadIdx.x;
    float total = 0.f, total_x = 0.f;
    for (int g = 0; g < groups; g++, partial += (i64)blocks * 2 * cols, slope += 2 * cols, rstd += cols) {
        double sum = 0, sum_x = 0;
        if (c < cols)
            for (int b = threadIdx.y; b < blocks; b += MERGERS) {
                sum += partial[(i64)b * 2 * cols + c];
                sum_x += partial[((i64)b * 2 + 1) * cols + c];
            }
        sum = add_mergers(sum);
        sum_x = add_mergers(sum_x);
        if (threadIdx.y != 0 || c >= cols) continue;
        const double r = rstd[c], scale = (double)gamma[c] * r;
        total += (float)sum; // rounded first, as the gradients of calls of their own are
        total_x += (float)(sum_x * r);
        slope[c] = training ? (float)(scale * sum / rows) : 0.f;
        slope[cols + c] = training ? (float)(scale * sum_x * r * r / rows) : 0.f;
    }
    if (threadIdx.y != 0 || c >= cols) return;
    dbeta[c] = total;
    dgamma[c] = total_x;
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_backward(
    T* dx, const T* dz, const T* x, const float* mean, const float* rstd, const float* gamma, const float* beta, const float* slope, int rows, int cols) {
    const int c = first_column();
    if (c >= cols) return;
    Affine affine;
    affine.read(c, cols, mean, rstd, gamma, beta);
    const float* slopes = slope + group_start(2 * cols);
    const Columns a = channels(slopes + c), b = channels(slopes + cols + c);
    const i64 start = group_start((i64)rows * cols) + c;
    const u32 first = blockIdx.x * ROWS * ROWS_PER_THREAD + threadIdx.y;
#pragma unroll 4
    for (int k = 0; k < ROWS_PER_THREAD; k++) {
        const u32 r = first + k * ROWS;
        if (r >= (u32)rows) break;
        const i64 at = start + (i64)r * cols;
        Columns d = load<PACK>(dz + at);
        const Columns v = load<PACK>(x + at);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            const float deviation = v[i] - affine.mean[i];
            if (RELU && !MASKED) d[i] = affine.value(deviation, i) > 0.f ? d[i] : 0.f;
            d[i] = fmaf(affine.scale[i], d[i], -fmaf(b[i], deviation, a[i]));
        }
        store(dx + at, d);
    }
}
