// windows.cuh: the windows of a pooling along one axis, and the windows that hold a position; engine/ops/PoolWindows.cs has them as lists.
//   strided  i·stride − padding … + k, cut off at the picture's edges;   adaptive (k = 0)  ⌊i·size/count⌋ … ⌈(i+1)·size/count⌉
//   cost     one or two divisions of integers
#pragma once
#include "types.cuh"

/// First position and one past the last.
struct Window { int from, to; };

struct Axis {
    int size, count, k, stride, padding;

    __device__ __forceinline__ Window window(int i) const {
        if (k == 0) return Window{(int)((i64)i * size / count), (int)(((i64)(i + 1) * size + count - 1) / count)};
        return Window{max(0, i * stride - padding), min(size, i * stride - padding + k)};
    }

    /// The windows that hold position p: a run, empty where there is none.
    __device__ __forceinline__ Window holding(int p) const {
        if (k == 0) return Window{(int)((i64)p * count / size), (int)(((i64)(p + 1) * count - 1) / size) + 1};
        const int past = p + padding - k;
        return Window{past < 0 ? 0 : past / stride + 1, min(count, (p + padding) / stride + 1)};
    }
};
