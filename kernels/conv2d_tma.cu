// conv2d_tma.cu: conv2d_sm90.cu's convolutions with tiles brought by the tensor memory unit: im2col is the hardware's.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128
//   maths    as conv2d_mma.cu and conv2d_mma_weight.cu
//   traffic  as theirs; a stage of 32 KB is two to four requests of one thread: pixels as an im2col box (their padding, strides and the ends of rows and
//            pictures are the unit's), filters and dy as boxes of a matrix. No address registers: 64 sums a thread and little else
//   launch   as conv2d_sm90.cu: blocks of 256, two a multiprocessor, 97 KB of shared memory each
//   care     channels of the pixels are a multiple of 64, so that a stage has one tap. Filters' rows past the last channel of a tap are the next tap's: they
//            meet columns that are not written. A phase of the data gradient is a convolution of stride 1 with the taps that meet it, turned round: it
//            has a map of its own. A part of the filters' gradient is a multiple of 64 pixels; past the last picture there are zeros
//   see      tma_product.cuh · tensor_map.cuh · engine/ops/TmaConvolution.cs · HopperConvolution.cs, whose test on the GPU decides
// arch  sm_90a
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128
#include "tma_product.cuh"
#include "conv_results.cuh"

typedef TYPE T;

/// Rows are pixels one behind the other, seen tap by tap, 64 channels of one tap a stage. Turned round the last tap comes first.
template <bool TurnedRound> struct Pixels : RowLines {
    const TensorMap& map;
    int w, h, n, chunks, high, wide;

    __device__ __forceinline__ void fetch(T* tile, int step, u64* barrier) const {
        const int tap = step / chunks, r = tap / wide, s = tap % wide;
        load_pixels(tile, map, step % chunks * 64, w, h, n, TurnedRound ? wide - 1 - s : s, TurnedRound ? high - 1 - r : r, barrier);
    }
};

/// Terms are rows of a matrix, 128 of its columns from column on.
struct Matrix : TermLines {
    const TensorMap& map;
    int column, row;

    __device__ __forceinline__ void fetch(T* tile, int step, u64* barrier) const {
        load_matrix(tile, map, column, row + step * 64, barrier);
        load_matrix(tile + CHUNK_BYTES / 2, map, column + 64, row + step * 64, barrier);
    }
};

/// Rows are input channels of the taps of a phase, terms output channels.
struct Turned : RowLines {
    const TensorMap& map;
    int first, channels, chunks, wide, first_row, first_column, stride, filter_wide;

    __device__ __forceinline__ void fetch(T* tile, int step, u64* barrier) const {
        const int tap = step / chunks, row = first_row + tap / wide * stride, column = first_column + tap % wide * stride;
        const int line = (row * filter_wide + column) * channels + first, k = step % chunks * 64;
        load_matrix(tile, map, k, line, barrier);
        load_matrix(tile + CHUNK_BYTES / 2, map, k, line + 64, barrier);
    }
};

/// Rows are (tap, channel), terms pixels: 64 channels of one tap in each half.
struct Seen : TermLines {
    const TensorMap& map;
    int from, row, rows, channels, filter_wide, stride, padding, ho, wo;

    __device__ __forceinline__ void fetch(T* tile, int step, u64* barrier) const {
        const int pixel = from + step * 64, w = pixel % wo * stride - padding, h = pixel / wo % ho * stride - padding, n = pixel / wo / ho;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int at = row + half * 64 < rows ? row + half * 64 : 0, tap = at / channels; // past the end anything: its rows are not written
            load_pixels(tile + half * CHUNK_BYTES / 2, map, at % channels, w, h, n, tap % filter_wide, tap / filter_wide, barrier);
        }
    }
};

/// Rows from pixel on of x·w, for columns from column on.
__device__ __forceinline__ void forward(
    Sums& sum, T* memory, const TensorMap& pixels, const TensorMap& filters, int pixel, int column, int c, int r, int s, int stride, int padding, int ho, int wo) {
    const int w = pixel % wo * stride - padding, h = pixel / wo % ho * stride - padding, n = pixel / wo / ho;
    const Pixels<false> a{{}, pixels, w, h, n, c / 64, r, s};
    multiply(sum, a, Matrix{{}, filters, column, 0}, r * s * (c / 64), memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_tma_forward(
    T* y, const __grid_constant__ TensorMaps pixels, const __grid_constant__ TensorMaps filters, const float* bias, float floor, int count, int c, int r, int s,
    int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N, rows = min(TILE_M, count - row);
    Sums sum;
    forward(sum, memory, pixels.of[0], filters.of[0], row, column, c, r, s, stride, padding, ho, wo);
    write(sum, bias, floor, column, k, [&](int i) { return i < rows ? y + ((i64)row + i) * k : nullptr; });
}

// partial: for each block of TILE_M of each group's count pixels a row of means and a row of Σ of squared deviations
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_tma_moments(
    T* y, float* partial, const __grid_constant__ TensorMaps pixels, const __grid_constant__ TensorMaps filters, int count, int c, int r, int s, int k,
    int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, block = blockIdx.x / across, column = blockIdx.x % across * TILE_N;
    const int rows = min(TILE_M, count - block * TILE_M), blocks = gridDim.x / across;
    const int row = blockIdx.z * count + block * TILE_M;
    Sums sum;
    forward(sum, memory, pixels.of[0], filters.of[0], row, column, c, r, s, stride, padding, ho, wo);
    moments(partial + ((i64)blockIdx.z * blocks + block) * 2 * k, sum, rows, column, k);
    write(sum, nullptr, -INFINITY, column, k, [&](int i) { return i < rows ? y + ((i64)row + i) * k : nullptr; });
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_tma_data(
    T* dx, const __grid_constant__ TensorMaps pixels, const __grid_constant__ TensorMaps filters, const float* bias, float floor, int n, int h, int wd, int c, int r,
    int s, int k, int stride, int padding) {
    DYN_SMEM(T, memory);
    const int down = blockIdx.z / stride, right = blockIdx.z % stride;
    const int rows = (h - down + stride - 1) / stride, columns = (wd - right + stride - 1) / stride, count = n * rows * columns;
    const int across = (c + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N;
    if (row >= count) return;
    const int first_row = (down + padding) % stride, first_column = (right + padding) % stride;
    const int high = first_row < r ? (r - first_row + stride - 1) / stride : 0, wide = first_column < s ? (s - first_column + stride - 1) / stride : 0;
    const int top = (down + padding - first_row) / stride - (high - 1), left = (right + padding - first_column) / stride - (wide - 1), chunks = (k + 63) / 64;
    const Pixels<true> a{{}, pixels.of[blockIdx.z], row % columns + left, row / columns % rows + top, row / columns / rows, chunks, high, wide};
    const Turned b{{}, filters.of[0], column, c, chunks, wide, first_row, first_column, stride, s};
    Sums sum;
    multiply(sum, a, b, high * wide * chunks, memory);
    write(sum, bias, floor, column, c, [&](int i) {
        const int at = row + i, line = at / columns % rows * stride + down, place = at % columns * stride + right;
        return at < count ? dx + (((i64)(at / columns / rows) * h + line) * wd + place) * c : nullptr;
    });
}

// per_part: a multiple of 64
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_tma_weight(
    float* partial, const __grid_constant__ TensorMaps pixels, const __grid_constant__ TensorMaps results, int count, int per_part, int c, int r, int s, int k,
    int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N, rows = r * s * c;
    const int from = blockIdx.z * per_part, end = min(count, from + per_part);
    const Seen a{{}, pixels.of[0], from, row, rows, c, s, stride, padding, ho, wo};
    Sums sum;
    multiply(sum, a, Matrix{{}, results.of[0], column, from}, (end - from + 63) / 64, memory);
    const int g = lane_index() / 4, first = column + warp_column() + lane_index() % 4 * 2;
    partial += (i64)blockIdx.z * rows * k;
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int to = row + warp_row() + half * 8 + g, at = first + j * 8;
            if (to < rows && at < k) store_as(partial + (i64)to * k + at, Vec<float, 2>{sum[0][j][half * 2], sum[0][j][half * 2 + 1]});
        }
}
