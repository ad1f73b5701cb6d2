// rows.cuh: a row for each team of Threads: a warp of 32 (block (32, 4), Launch.WarpPerRow) or a block of 256 (Launch.BlockPerRow).
//   why      a warp needs no barrier, but a row of thousands leaves most of the GPU idle behind a few warps
//   use      const int row = row_of_team<THREADS>(); if (row >= rows) return; … team_sum<THREADS>(v)
//   care     the whole team must call team_*; the row is the same for all of it, so it may return together
#pragma once
#include "load.cuh"
#include "warp.cuh"

template <int Threads> __device__ __forceinline__ int row_of_team() {
    static_assert(Threads == 32 || Threads == 256, "a warp or a block");
    return Threads == 32 ? (int)(blockIdx.x * blockDim.y + threadIdx.y) : (int)blockIdx.x;
}

template <int Threads> __device__ __forceinline__ float team_sum(float v) {
    if constexpr (Threads == 32) return warp_sum(v);
    else return block_sum(v);
}

template <int Threads> __device__ __forceinline__ float team_max(float v) {
    if constexpr (Threads == 32) return warp_max(v);
    else return block_max(v);
}

/// Calls pack(c) for every Pack elements of a row that begin at a multiple of their size, and one(c) for those before and behind:
/// a row of any length at the price of a few single loads. The row's own address need only be that of an element.
template <int Threads, int Pack, class Scalar, class One, class Many>
__device__ __forceinline__ void walk_row(const Scalar* row, int cols, One one, Many pack) {
    const int lane = threadIdx.x;
    int head = 0;
    if constexpr (Pack > 1) head = min(cols, (int)((Pack - (u64)row / sizeof(Scalar) % Pack) % Pack));
    if (lane < head) one(lane);
    const int packs = (cols - head) / Pack, tail = head + packs * Pack;
    for (int p = lane; p < packs; p += Threads) pack(head + p * Pack);
    if (tail + lane < cols) one(tail + lane);
}
