// conv_results.cuh: what becomes of a tile's sums in registers (staged_product.cuh or wgmma_product.cuh): a bias, relu, moments, rounding, writing.
//   cost     written 16 bytes a lane, 64 a quad, after four shuffles for each 8 words; moments: 3 shuffles a sum, three barriers, two reads of the registers
//   care     moments are of what is stored, squares of deviations from the tile's own mean; warps are added in order
#pragma once
#include "load.cuh"
#include "warp.cuh"

/// The four lanes of a quad exchange words: lane t gets word t of lanes 0, 1, 2, 3.
__device__ __forceinline__ void transpose_quad(u32 (&v)[4]) {
    const bool odd = lane_index() & 1, high = lane_index() & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const u32 got = __shfl_xor_sync(FULL_WARP, odd ? v[i] : v[i + 1], 1);
        v[i] = odd ? got : v[i];
        v[i + 1] = odd ? v[i + 1] : got;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const u32 got = __shfl_xor_sync(FULL_WARP, high ? v[i] : v[i + 2], 2);
        v[i] = high ? got : v[i];
        v[i + 2] = high ? v[i + 2] : got;
    }
}

/// A tile's results, rounded, to the rows that at(row) gives (null past the end), columns first… of so many.
template <class At> __device__ __forceinline__ void write(const Sums& sum, const float* bias, float floor, int first, int columns, At at) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int four = 0; four < BLOCKS_N; four += 4) {
        const int column = first + warp_column() + four * 8;
        float add[4][2];
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int c = column + j * 8 + t * 2 + e;
                add[j][e] = bias && c < columns ? bias[c] : 0.f;
            }
#pragma unroll
        for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                Stored* row = at(warp_row() + i * 16 + half * 8 + g);
                u32 pairs[4];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float v[2];
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        v[e] = sum[i][four + j][half * 2 + e] + add[j][e];
                        v[e] = v[e] < floor ? floor : v[e]; // a NaN stays one
                    }
                    pairs[j] = pack2<Stored>(v[0], v[1]);
                }
                if (columns % 8 == 0) {
                    transpose_quad(pairs); // two columns of each of four blocks become eight of one
                    const int c = column + t * 8;
                    if (row && c < columns) store_as(row + c, Vec<u32, 4>{pairs[0], pairs[1], pairs[2], pairs[3]});
                } else if (row)
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        const int c = column + j * 8 + t * 2;
                        if (c < columns) row[c] = Stored{(u16)pairs[j]};
                        if (c + 1 < columns) row[c + 1] = Stored{(u16)(pairs[j] >> 16)};
                    }
            }
    }
}

/// A warp's sum of a column, from each lane's rows of it, to where the block adds them.
__device__ __forceinline__ void leave(float (*part)[TILE_N], int column, float v) {
#pragma unroll
    for (int o = 16; o >= 4; o >>= 1) v += __shfl_xor_sync(FULL_WARP, v, o);
    if (lane_index() < 4) part[warp_index() / WARPS_N][column] = v;
}

/// Σ over the block's warps that have a column.
__device__ __forceinline__ float gather(float (*part)[TILE_N], int column) {
    float sum = 0.f;
#pragma unroll
    for (int w = 0; w < WARPS_M; w++) sum += part[w][column];
    return sum;
}

/// Rounds the results to what will be stored; to partial: a row of means of the first count rows, a row of Σ of squared deviations.
__device__ __forceinline__ void moments(float* partial, Sums& sum, int count, int first, int columns) {
    __shared__ float sums[WARPS_M][TILE_N], rests[WARPS_M][TILE_N], squares[WARPS_M][TILE_N], means[TILE_N];
    const int row = warp_row() + lane_index() / 4, column = warp_column() + lane_index() % 4 * 2;
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            float total = 0.f;
#pragma unroll
            for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float& v = sum[i][j][half * 2 + e];
                    v = to_float(from_float<Stored>(v));
                    if (row + i * 16 + half * 8 < count) total += v;
                }
            leave(sums, column + j * 8 + e, total);
        }
    __syncthreads();
    for (int c = thread_index(); c < TILE_N; c += THREADS) means[c] = gather(sums, c) / (float)count;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float mean = means[column + j * 8 + e];
            float rest = 0.f, square = 0.f;
#pragma unroll
            for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    if (row + i * 16 + half * 8 < count) {
                        const float d = sum[i][j][half * 2 + e] - mean;
                        rest += d;
                        square = fmaf(d, d, square);
                    }
            leave(rests, column + j * 8 + e, rest);
            leave(squares, column + j * 8 + e, square);
        }
    __syncthreads();
    for (int c = thread_index(); c < TILE_N && first + c < columns; c += THREADS) {
        const float rest = gather(rests, c), d = rest / (float)count; // what the mean lost by rounding
        partial[first + c] = means[c] + d;
        partial[columns + first + c] = gather(squares, c) - rest * d;
    }
}
