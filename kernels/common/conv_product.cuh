// conv_product.cuh: a block's work of each product of a convolution; the kernels of conv2d_mma*.cu and conv2d_sm90.cu are these with two ways to multiply.
//   care     a block past the end of a phase returns as a whole, before any barrier
#pragma once
#include "conv_factors.cuh"
#include "conv_results.cuh"

/// Rows from pixel on of x·w, for columns from column on.
__device__ __forceinline__ void forward(Sums& sum, Stored* memory, const Stored* x, const Stored* w, i64 pixel, int count, int column, const Geometry& q) {
    const int terms = q.r * q.s * q.c;
    Pixels<1> a;
    a.height = q.h, a.width = q.w, a.channels = q.c, a.high = q.r, a.wide = q.s;
    a.tap.set(a.term(), q.s, q.c);
#pragma unroll
    for (int p = 0; p < a.PASSES; p++) {
        const i64 at = pixel + a.row(p);
        if (a.row(p) < count) a.start(p, x, at / q.wo / q.ho, (int)(at / q.wo % q.ho) * q.stride - q.padding, (int)(at % q.wo) * q.stride - q.padding);
        else a.corner[p] = x, a.top[p] = a.left[p] = a.NOWHERE;
    }
    Matrix b;
    b.matrix = w, b.next = 0, b.end = terms, b.column = column + b.row(), b.columns = q.k;
    multiply(sum, a, b, terms, memory);
}

/// y = [relu](x∗w + bias): tiles of a row of tiles side by side.
__device__ __forceinline__ void convolve(
    Stored* y, const Stored* x, const Stored* w, const float* bias, float floor, int pixels, const Geometry& q, Stored* memory) {
    const int across = (q.k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N;
    const int count = min(TILE_M, pixels - row);
    Sums sum;
    forward(sum, memory, x, w, row, count, column, q);
    write(sum, bias, floor, column, q.k, [&](int i) { return i < count ? y + ((i64)row + i) * q.k : nullptr; });
}

/// The same without bias and relu of grid.z groups of so many pixels, and each block's moments.
__device__ __forceinline__ void convolve_moments(
    Stored* y, float* partial, const Stored* x, const Stored* w, int pixels, const Geometry& q, Stored* memory) {
    const int across = (q.k + TILE_N - 1) / TILE_N, block = blockIdx.x / across, column = blockIdx.x % across * TILE_N;
    const int count = min(TILE_M, pixels - block * TILE_M), blocks = gridDim.x / across;
    const i64 row = (i64)blockIdx.z * pixels + (i64)block * TILE_M;
    Sums sum;
    forward(sum, memory, x, w, row, count, column, q);
    moments(partial + ((i64)blockIdx.z * blocks + block) * 2 * q.k, sum, count, column, q.k);
    write(sum, nullptr, -INFINITY, column, q.k, [&](int i) { return i < count ? y + (row + i) * q.k : nullptr; });
}

/// Pixels (a + t·i, b + t·j) of dx meet the taps (a+pad) mod t + t·r′ alone: a phase is a convolution of stride 1 with them. grid z = t²
__device__ __forceinline__ void convolve_back(
    Stored* dx, const Stored* dy, const Stored* w, const float* bias, float floor, int n, const Geometry& q, Stored* memory) {
    const int down = blockIdx.z / q.stride, right = blockIdx.z % q.stride;
    const int rows = (q.h - down + q.stride - 1) / q.stride, columns = (q.w - right + q.stride - 1) / q.stride, pixels = n * rows * columns;
    const int across = (q.c + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N;
    if (row >= pixels) return;
    const int count = min(TILE_M, pixels - row), first_row = (down + q.padding) % q.stride, first_column = (right + q.padding) % q.stride;
    const int high = first_row < q.r ? (q.r - first_row + q.stride - 1) / q.stride : 0, wide = first_column < q.s ? (q.s - first_column + q.stride - 1) / q.stride : 0;
    const int terms = high * wide * q.k;
    Pixels<-1> a;
    Turned b;
    if (terms > 0) {
        a.height = q.ho, a.width = q.wo, a.channels = q.k, a.high = high, a.wide = wide;
        a.tap.set(a.term(), wide, q.k);
#pragma unroll
        for (int p = 0; p < a.PASSES; p++) {
            const int at = row + a.row(p);
            if (a.row(p) < count)
                a.start(p, dy, at / columns / rows, at / columns % rows + (down + q.padding - first_row) / q.stride, at % columns + (right + q.padding - first_column) / q.stride);
            else a.corner[p] = dy, a.top[p] = a.left[p] = a.NOWHERE;
        }
        b.weights = w, b.first = column, b.rows = q.c, b.first_row = first_row, b.first_column = first_column, b.stride = q.stride;
        b.high = high, b.wide = wide, b.filter_wide = q.s, b.channels = q.k;
        b.tap.set(b.term(), wide, q.k);
    }
    Sums sum;
    multiply(sum, a, b, terms, memory);
    write(sum, bias, floor, column, q.c, [&](int i) {
        const int at = row + i, line = at / columns % rows * q.stride + down, place = at % columns * q.stride + right;
        return i < count ? dx + (((i64)(at / columns / rows) * q.h + line) * q.w + place) * q.c : nullptr;
    });
}

/// dw of the pixels of part grid.z.
__device__ __forceinline__ void convolve_filters(
    float* partial, const Stored* x, const Stored* dy, int pixels, int per_part, const Geometry& q, Stored* memory) {
    const int across = (q.k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N, rows = q.r * q.s * q.c;
    const int from = blockIdx.z * per_part, end = min(pixels, from + per_part);
    Seen a;
    a.pictures = x, a.next = from, a.end = end, a.height = q.h, a.width = q.w, a.channels = q.c, a.stride = q.stride, a.rows = q.ho, a.columns = q.wo;
#pragma unroll
    for (int i = 0; i < (PACK_A == 8 ? 1 : 8); i++) a.tap[i].set(row + a.row() + i, rows, q.s, q.c, q.padding);
#pragma unroll
    for (int p = 0; p < a.PASSES; p++) a.pixel[p].set(from + Across<TILE_M>::term(p), q.ho, q.wo);
    Matrix b;
    b.matrix = dy, b.next = from, b.end = end, b.column = column + b.row(), b.columns = q.k;
    Sums sum;
    multiply(sum, a, b, end - from, memory);
    const int g = lane_index() / 4, first = column + warp_column() + lane_index() % 4 * 2;
    partial += (i64)blockIdx.z * rows * q.k;
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int to = row + warp_row() + i * 16 + half * 8 + g, at = first + j * 8;
                if (to < rows && at < q.k) store_as(partial + (i64)to * q.k + at, Vec<float, 2>{sum[i][j][half * 2], sum[i][j][half * 2 + 1]});
            }
}
