// layer_norm.cuh: a warp's row of layer_norm.cu and add_layer_norm.cu, from registers, and the backward of 32 rows.
//   use      Vec<float, Pack> v[RowOfWarp<Cols, Pack>::packs]; fill v[s] where column_of<Pack>(s) < Cols; layer_norm_row<Cols>(…)
//   care     centre, then square. Nothing of a lane that lies behind the row is read. Sums over rows as layer_norm.cu says
#pragma once
#include "load.cuh"
#include "smem.cuh"
#include "warp.cuh"

constexpr int LayerNormWarps = 8, LayerNormRows = 32;

/// Packs of a row that a lane has.
template <int Cols, int Pack> struct RowOfWarp { static constexpr int packs = (Cols + 32 * Pack - 1) / (32 * Pack); };

/// Where this lane's pack s begins.
template <int Pack> __device__ __forceinline__ int column_of(int s) { return (s * 32 + (int)threadIdx.x) * Pack; }

/// Pack floats of a parameter, 16 bytes at a time.
template <int Pack> __device__ __forceinline__ Vec<float, Pack> parameters(const float* p) {
    if constexpr (Pack <= 4) return load<Pack>(p);
    else {
        Vec<float, Pack> v;
#pragma unroll
        for (int i = 0; i < Pack; i += 4) {
            Vec<float, 4> part = load<4>(p + i);
#pragma unroll
            for (int j = 0; j < 4; j++) v[i + j] = part[j];
        }
        return v;
    }
}

/// y = γ·(v − μ)·r + β of a row that the warp holds; μ and r go to mean and rstd.
template <int Cols, int Pack, int Steps, class Scalar>
__device__ __forceinline__ void layer_norm_row(
    Scalar* y, float* mean, float* rstd, Vec<float, Pack> (&v)[Steps], const float* gamma, const float* beta, float eps) {
    float sum = 0;
#pragma unroll
    for (int s = 0; s < Steps; s++) {
        if (column_of<Pack>(s) >= Cols) break;
#pragma unroll
        for (int i = 0; i < Pack; i++) sum += v[s][i];
    }
    const float mu = warp_sum(sum) / Cols;
    float squares = 0;
#pragma unroll
    for (int s = 0; s < Steps; s++) {
        if (column_of<Pack>(s) >= Cols) break;
#pragma unroll
        for (int i = 0; i < Pack; i++) {
            v[s][i] -= mu;
            squares += v[s][i] * v[s][i];
        }
    }
    const float r = rsqrtf(warp_sum(squares) / Cols + eps);
    if (threadIdx.x == 0) {
        *mean = mu;
        *rstd = r;
    }
#pragma unroll
    for (int s = 0; s < Steps; s++) {
        const int c = column_of<Pack>(s);
        if (c >= Cols) break;
        const Vec<float, Pack> g = parameters<Pack>(gamma + c), b = parameters<Pack>(beta + c);
#pragma unroll
        for (int i = 0; i < Pack; i++) v[s][i] = v[s][i] * r * g[i] + b[i];
        store(y + c, v[s]);
    }
}

/// dx of this block's 32 rows, and their sums for γ and β. also(at, v): what else is to be done with the gradient v of the elements from at on.
template <int Cols, int Pack, class Scalar, class Also>
__device__ __forceinline__ void layer_norm_gradient(
    Scalar* dx, float* partial, const Scalar* dy, const Scalar* x, const float* mean, const float* rstd, const float* gamma, int rows, Also also) {
    constexpr int Steps = RowOfWarp<Cols, Pack>::packs;
    constexpr bool Held = Cols <= 1024; // a longer row is read again, from the second-level cache
    DYN_SMEM(float, sums); // dγ, then dβ, of this block's rows
    const int warp = threadIdx.y, lane = threadIdx.x;
    const int first = blockIdx.x * LayerNormRows, end = min(rows, first + LayerNormRows);
    Vec<float, Pack> dgamma[Steps], dbeta[Steps], hat[Held ? Steps : 1], g[Held ? Steps : 1];
#pragma unroll
    for (int s = 0; s < Steps; s++)
#pragma unroll
        for (int i = 0; i < Pack; i++) dgamma[s][i] = dbeta[s][i] = 0;
    for (int row = first + warp; row < end; row += LayerNormWarps) {
        const i64 at = (i64)row * Cols;
        const float mu = mean[row], r = rstd[row];
        float sum = 0, sum_hat = 0;
#pragma unroll
        for (int s = 0; s < Steps; s++) {
            const int c = column_of<Pack>(s), h = Held ? s : 0;
            if (c >= Cols) break;
            const Vec<float, Pack> d = load<Pack>(dy + at + c), weight = parameters<Pack>(gamma + c);
            hat[h] = load<Pack>(x + at + c);
#pragma unroll
            for (int i = 0; i < Pack; i++) {
                hat[h][i] = (hat[h][i] - mu) * r;
                g[h][i] = d[i] * weight[i];
                sum += g[h][i];
                sum_hat += g[h][i] * hat[h][i];
                dgamma[s][i] += d[i] * hat[h][i];
                dbeta[s][i] += d[i];
            }
        }
        const float mean_g = warp_sum(sum) / Cols, mean_hat = warp_sum(sum_hat) / Cols;
#pragma unroll
        for (int s = 0; s < Steps; s++) {
            const int c = column_of<Pack>(s), h = Held ? s : 0;
            if (c >= Cols) break;
            if (!Held) {
                const Vec<float, Pack> d = load<Pack>(dy + at + c), weight = parameters<Pack>(gamma + c);
                hat[h] = load<Pack>(x + at + c);
#pragma unroll
                for (int i = 0; i < Pack; i++) {
                    hat[h][i] = (hat[h][i] - mu) * r;
                    g[h][i] = d[i] * weight[i];
                }
            }
            Vec<float, Pack> out;
#pragma unroll
            for (int i = 0; i < Pack; i++) out[i] = r * (g[h][i] - mean_g - hat[h][i] * mean_hat);
            store(dx + at + c, out);
            also(at + c, out);
        }
    }
    for (int turn = 0; turn < LayerNormWarps; turn++) {
        if (warp == turn)
#pragma unroll
            for (int s = 0; s < Steps; s++) {
                const int c = column_of<Pack>(s);
                if (c >= Cols) break;
#pragma unroll
                for (int i = 0; i < Pack; i++) {
                    sums[c + i] = turn == 0 ? dgamma[s][i] : sums[c + i] + dgamma[s][i];
                    sums[Cols + c + i] = turn == 0 ? dbeta[s][i] : sums[Cols + c + i] + dbeta[s][i];
                }
            }
        __syncthreads();
    }
    for (int c = warp * 32 + lane; c < 2 * Cols; c += 32 * LayerNormWarps) partial[(i64)blockIdx.x * 2 * Cols + c] = sums[c];
}
