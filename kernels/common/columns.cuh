// columns.cuh: a block of (LANES, 256/LANES) threads over rows of channels: a thread has PACK neighbouring columns and every ROWS-th row.
//   use      grid.y counts groups of LANES·PACK columns; first_column() is the thread's; LANES is a power of two up to 32
//   cost     what belongs to a column is read once and stays in registers; rows are read 16 bytes a thread
//   care     add_rows and its barriers are for the whole block, columns past the end included. Sums pair rows in one fixed order
#pragma once
#include "load.cuh"

constexpr int ROWS = 256 / LANES;

typedef Vec<float, PACK> Columns;

__device__ __forceinline__ int first_column() { return (int)(blockIdx.y * LANES + threadIdx.x) * PACK; }

__device__ __forceinline__ Columns zeros() {
    Columns v;
#pragma unroll
    for (int i = 0; i < PACK; i++) v[i] = 0.f;
    return v;
}

/// PACK floats of a vector of channels, 16 bytes at a time.
__device__ __forceinline__ Columns channels(const float* p) {
    if constexpr (PACK <= 4) return load<PACK>(p);
    else {
        Columns v;
#pragma unroll
        for (int i = 0; i < PACK; i += 4) {
            const Vec<float, 4> part = load<4>(p + i);
#pragma unroll
            for (int j = 0; j < 4; j++) v[i + j] = part[j];
        }
        return v;
    }
}

/// The same, out.
__device__ __forceinline__ void store_channels(float* p, const Columns& v) {
    if constexpr (PACK <= 4) store(p, v);
    else
#pragma unroll
        for (int i = 0; i < PACK; i += 4) {
            Vec<float, 4> part;
#pragma unroll
            for (int j = 0; j < 4; j++) part[j] = v[i + j];
            store(p + i, part);
        }
}

/// Each column's sum over the block's rows of threads; all of them get it.
__device__ __forceinline__ Columns add_rows(Columns v) {
    __shared__ float part[PACK][ROWS][LANES];
    const int x = threadIdx.x, y = threadIdx.y;
#pragma unroll
    for (int i = 0; i < PACK; i++) part[i][y][x] = v[i];
    __syncthreads();
    for (int o = ROWS / 2; o > 0; o >>= 1) {
        if (y < o)
#pragma unroll
            for (int i = 0; i < PACK; i++) part[i][y][x] += part[i][y + o][x];
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < PACK; i++) v[i] = part[i][0][x];
    __syncthreads();
    return v;
}
