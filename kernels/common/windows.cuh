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

/// A pooling of pictures of c channels: where blocks of a row each and threads of Size channels are, forward and backward.
template <int Size> struct Pooling {
    Axis rows, columns;
    int c;

    /// For each result of the block's row: f(offset of its picture's pixels, its window's rows and columns, offset of the result).
    template <class Fn> __device__ __forceinline__ void each_result(Fn f) const {
        const Window high = rows.window(blockIdx.x % rows.count);
        const int packs = c / Size;
        const i64 picture = (i64)(blockIdx.x / rows.count) * rows.size * columns.size * c, line = (i64)blockIdx.x * columns.count * c;
        for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < columns.count * packs; i += gridDim.y * blockDim.x) {
            const int j = i / packs, channel = i % packs * Size;
            f(picture + channel, high, columns.window(j), line + (i64)j * c + channel);
        }
    }

    /// For each pixel of the block's row: f(its row and column, offset of its picture's results, the windows that hold it, offset of the pixel).
    template <class Fn> __device__ __forceinline__ void each_pixel(Fn f) const {
        const int row = blockIdx.x % rows.size, packs = c / Size;
        const Window above = rows.holding(row);
        const i64 picture = (i64)(blockIdx.x / rows.size) * rows.count * columns.count * c, line = (i64)blockIdx.x * columns.size * c;
        for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < columns.size * packs; i += gridDim.y * blockDim.x) {
            const int place = i / packs, channel = i % packs * Size;
            f(row, place, picture + channel, above, columns.holding(place), line + (i64)place * c + channel);
        }
    }
};
