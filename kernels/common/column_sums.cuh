// column_sums.cuh: a block of (32, WARPS) threads over ROWS_PER_BLOCK rows: a lane has PACK neighbouring columns, a warp every WARPS-th row.
//   use      grid.x counts groups of WIDTH columns, grid.y blocks of rows; sum what own_columns() has row by row, then leave_columns for all of the block
//   cost     a column's sums over the block's rows are written once, 1/ROWS_PER_BLOCK of the rows; a second pass adds those of the blocks
//   care     warps are added in order. Its barrier is for the whole block, columns past the end included
#pragma once
#include "load.cuh"

constexpr int WARPS = 8, ROWS_PER_BLOCK = 64, WIDTH = 32 * PACK;

__device__ __forceinline__ int own_columns() { return (blockIdx.x * 32 + threadIdx.x) * PACK; }

/// Each column's sum over the block's rows, from each warp's, to row blockIdx.y of partial (blocks of rows × cols).
__device__ __forceinline__ void leave_columns(float* partial, const Vec<float, PACK>& sum, int cols) {
    __shared__ float part[WARPS][WIDTH];
    const int warp = threadIdx.y, lane = threadIdx.x;
#pragma unroll
    for (int i = 0; i < PACK; i++) part[warp][lane * PACK + i] = sum[i];
    __syncthreads();
    for (int k = warp * 32 + lane; k < WIDTH; k += 32 * WARPS) {
        const int column = blockIdx.x * WIDTH + k;
        if (column >= cols) break;
        float total = part[0][k];
        for (int w = 1; w < WARPS; w++) total += part[w][k];
        partial[(i64)blockIdx.y * cols + column] = total;
    }
}
