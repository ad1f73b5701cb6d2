// packed.cuh: packed sequences, sequence b is rows at[b] … at[b+1]−1: which one a row is of, and which rows a block owns.
//   why      a grid must cover sequences of any lengths without the host knowing them: ⌊T/Rows⌋ + B tiles are enough, for sequence b
//            has the tiles from at[b]/Rows + b on, and ⌊(a+n)/R⌋ − ⌊a/R⌋ + 1 ≥ ⌈n/R⌉; those left over find nothing to do
//   cost     log₂ B loads, all from L1 but for the block's first
#pragma once
#include "types.cuh"

/// The last sequence that begins at or before row t, so that empty ones before it are passed over.
__device__ __forceinline__ int sequence_of(const int* at, int sequences, int t) {
    int low = 0, high = sequences - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (at[middle] <= t) low = middle;
        else high = middle - 1;
    }
    return low;
}

/// Rows of one sequence: the first, and how many. count ≤ 0: nothing to do.
struct Tile { int sequence, first, count; };

/// The tile of blockIdx.x: at most Rows rows of the sequences that at (sequences + 1 offsets) separates.
template <int Rows> __device__ __forceinline__ Tile find_tile(const int* at, int sequences) {
    const int tile = blockIdx.x;
    int low = 0, high = sequences - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (at[middle] / Rows + middle <= tile) low = middle;
        else high = middle - 1;
    }
    const int skipped = (tile - (at[low] / Rows + low)) * Rows, first = at[low] + skipped;
    return Tile{low, first, min(Rows, at[low + 1] - first)};
}
