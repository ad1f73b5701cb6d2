// conv2d_mma.cu: convolution on tensor cores, as a product whose left factor is never written down.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128|64 -DTILE_N=128|64|32 -DPACK_A=8|1
//   maths    forward  y[p,k]  = [relu](b_k + Σ_{r,s,c} x[p·t+(r,s)−pad, c]·w[r,s,c,k])    pixels × K, sums of R·S·C
//            moments  the same without a bias, and of each block's pixels each channel's mean and Σ of squared deviations, for batch norm
//            data     dx[p,c] = [relu](b_c + Σ_{r,s,k} dy[(p+pad−(r,s))/t, k]·w[r,s,c,k])  for each of the t² phases of p, which meet their own taps
//   traffic  a tile reads (TILE_M + TILE_N)·2 bytes for TILE_M·TILE_N products: 64 flops a byte at 128 × 128. Weights from L2; pixels through L1, where
//            the taps of neighbours meet: from L2 about once and a halo. y once. Moments save batch norm a read of y and leave 2·⌈pixels/TILE_M⌉·K floats
//   launch   blocks of THREADS (256, or 128 for 64×64 and 128×32), those of one row of tiles side by side: grid.x = ⌈M/TILE_M⌉·⌈N/TILE_N⌉; grid.z =
//            groups of pixels with moments of their own, or phases; STAGES·(TILE_M+TILE_N)·64 bytes of shared memory: 64 KB at 128 × 128
//   care     moments are of y as it is stored, squares of deviations from the tile's own mean. PACK_A=1: channels are no multiple of 8, or pictures
//            lie askew: pixels are gathered one element at a time, for the three channels of a stem. K (and of data, dy's K) is a multiple of 8
//   see      engine/ops/MmaConvolution.cs · conv2d.cu (F32, and other channels) · arXiv:1502.03167 · Conv2dTests
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128|64|32 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=64 -DTILE_N=64 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=64|32 -DPACK_A=1
#include "digits.cuh"
#include "staged_product.cuh"

typedef TYPE T;

/// Rows are pixels of a result, terms (tap row, tap column, channel) of what it is made from; taps go forwards or backwards.
template <int Direction> struct Pixels : Along<TILE_M> {
    static constexpr int NOWHERE = -(1 << 30);
    const T* corner[PASSES]; // where its first tap lies, in the picture or not
    int top[PASSES], left[PASSES], height, width, channels, high, wide;
    Digits tap;

    __device__ __forceinline__ void start(int pass, const T* pictures, i64 picture, int row, int column) {
        corner[pass] = pictures + ((picture * height + row) * width + column) * channels;
        top[pass] = row;
        left[pass] = column;
    }

    __device__ __forceinline__ bool inside(int pass, const Digits& at) const {
        return at.outer < high && (u32)(top[pass] + Direction * at.outer) < (u32)height && (u32)(left[pass] + Direction * at.middle) < (u32)width;
    }

    __device__ __forceinline__ int offset(const Digits& at) const { return Direction * (at.outer * width + at.middle) * channels + at.inner; }

    __device__ __forceinline__ void fetch(T* tile) {
        if constexpr (PACK_A == 8) {
            const int from = offset(tap);
#pragma unroll
            for (int p = 0; p < PASSES; p++) cp_async_shared_taps(tile + slot(p), corner[p] + from, inside(p, tap));
            tap.advance(DEPTH, wide, channels);
        } else {
            Vec<T, 8> v[PASSES];
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int from = offset(tap);
#pragma unroll
                for (int p = 0; p < PASSES; p++) v[p][i] = inside(p, tap) ? corner[p][from] : T{0};
                tap.advance(1, wide, channels);
            }
#pragma unroll
            for (int p = 0; p < PASSES; p++) store_as(tile + slot(p), v[p]);
            tap.advance(DEPTH - 8, wide, channels);
        }
    }
};

/// Rows are channels c, terms (every stride-th tap, k): the weights of a phase, transposed.
struct Turned : Along<TILE_N> {
    const T* weights;
    int first, rows, first_row, first_column, stride, high, wide, filter_wide, channels;
    Digits tap;

    __device__ __forceinline__ void fetch(T* tile) {
        const i64 at = ((i64)(first_row + stride * tap.outer) * filter_wide + first_column + stride * tap.middle) * rows;
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            const int c = first + row(p);
            cp_async_or_zero<16>(tile + slot(p), weights + (at + c) * channels + tap.inner, c < rows && tap.outer < high);
        }
        tap.advance(DEPTH, wide, channels);
    }
};

/// A tile's results, rounded, to the rows that at(row) gives (null past the end), columns first… of so many.
template <class At> __device__ __forceinline__ void write(const Sums& sum, const float* bias, float floor, int first, int columns, At at) {
    const int g = lane_index() / 4, t = lane_index() % 4, column = first + warp_column();
    Vec<float, 2> add[BLOCKS_N];
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int c = column + j * 8 + t * 2 + e;
            add[j][e] = bias && c < columns ? bias[c] : 0.f;
        }
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            T* row = at(warp_row() + i * 16 + half * 8 + g);
            u32 pairs[BLOCKS_N];
#pragma unroll
            for (int j = 0; j < BLOCKS_N; j++) {
                float v[2];
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    v[e] = sum[i][j][half * 2 + e] + add[j][e];
                    v[e] = v[e] < floor ? floor : v[e]; // a NaN stays one
                }
                pairs[j] = pack2<T>(v[0], v[1]);
            }
            if (columns % 8 == 0) {
                transpose_quad(pairs); // two columns of each of four blocks become eight of one: 16 bytes a lane, 64 a quad
                const int c = column + t * 8;
                if (row && c < columns) store_as(row + c, Vec<u32, 4>{pairs[0], pairs[1], pairs[2], pairs[3]});
            } else if (row)
#pragma unroll
                for (int j = 0; j < BLOCKS_N; j++) {
                    const int c = column + j * 8 + t * 2;
                    if (c < columns) row[c] = T{(u16)pairs[j]};
                    if (c + 1 < columns) row[c + 1] = T{(u16)(pairs[j] >> 16)};
                }
        }
}

/// Σ over the tile's rows of each of this thread's columns, the same in every thread that has them.
__device__ __forceinline__ void add_tile_rows(float (&v)[BLOCKS_N][2], float (*part)[TILE_N]) {
    const int t = lane_index() % 4, column = warp_column() + t * 2;
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
#pragma unroll
            for (int o = 16; o >= 4; o >>= 1) v[j][e] += __shfl_xor_sync(FULL_WARP, v[j][e], o);
            if (lane_index() < 4) part[warp_index() / WARPS_N][column + j * 8 + e] = v[j][e];
        }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            v[j][e] = 0.f;
#pragma unroll
            for (int w = 0; w < WARPS_M; w++) v[j][e] += part[w][column + j * 8 + e];
        }
}

/// Rounds the results to what will be stored; to partial: a row of means of the first count rows, a row of Σ of squared deviations.
__device__ __forceinline__ void moments(float* partial, Sums& sum, int count, int first, int columns) {
    __shared__ float parts[3][WARPS_M][TILE_N];
    const int g = lane_index() / 4, t = lane_index() % 4;
    float mean[BLOCKS_N][2] = {}, rest[BLOCKS_N][2] = {}, squares[BLOCKS_N][2] = {};
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                sum[i][j][e] = to_float(from_float<T>(sum[i][j][e]));
                if (warp_row() + i * 16 + e / 2 * 8 + g < count) mean[j][e % 2] += sum[i][j][e];
            }
    add_tile_rows(mean, parts[0]);
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) mean[j][e] /= (float)count;
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (warp_row() + i * 16 + e / 2 * 8 + g < count) {
                    const float d = sum[i][j][e] - mean[j][e % 2];
                    rest[j][e % 2] += d;
                    squares[j][e % 2] = fmaf(d, d, squares[j][e % 2]);
                }
    add_tile_rows(rest, parts[1]);
    add_tile_rows(squares, parts[2]);
    if (warp_row() != 0 || g != 0) return;
#pragma unroll
    for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int c = first + warp_column() + j * 8 + t * 2 + e;
            if (c >= columns) continue;
            const float d = rest[j][e] / (float)count; // what the mean lost by rounding
            partial[c] = mean[j][e] + d;
            partial[columns + c] = squares[j][e] - rest[j][e] * d;
        }
}

/// The shape of a convolution, as every kernel here is told it.
struct Geometry { int h, w, c, r, s, k, stride, padding, ho, wo; };

/// Rows from pixel on of x·w, for columns from column on.
__device__ __forceinline__ void forward(Sums& sum, T* memory, const T* x, const T* w, i64 pixel, int count, int column, const Geometry& q) {
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

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_forward(
    T* y, const T* x, const T* w, const float* bias, float floor, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N;
    const int count = min(TILE_M, pixels - row);
    Sums sum;
    forward(sum, memory, x, w, row, count, column, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo});
    write(sum, bias, floor, column, k, [&](int i) { return i < count ? y + ((i64)row + i) * k : nullptr; });
}

// grid z: groups of so many pixels. partial: for each block of TILE_M of each group's pixels a row of means and a row of Σ of squared deviations
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_moments(
    T* y, float* partial, const T* x, const T* w, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, block = blockIdx.x / across, column = blockIdx.x % across * TILE_N;
    const int count = min(TILE_M, pixels - block * TILE_M), blocks = gridDim.x / across;
    const i64 row = (i64)blockIdx.z * pixels + (i64)block * TILE_M;
    Sums sum;
    forward(sum, memory, x, w, row, count, column, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo});
    moments(partial + ((i64)blockIdx.z * blocks + block) * 2 * k, sum, count, column, k);
    write(sum, nullptr, -INFINITY, column, k, [&](int i) { return i < count ? y + (row + i) * k : nullptr; });
}

// Pixels (a + t·i, b + t·j) of dx meet the taps (a+pad) mod t + t·r′ alone: a phase is a convolution of stride 1 with them. grid z = t²
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_data(
    T* dx, const T* dy, const T* w, const float* bias, float floor, int n, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    const int down = blockIdx.z / stride, right = blockIdx.z % stride;
    const int rows = (h - down + stride - 1) / stride, columns = (wd - right + stride - 1) / stride, pixels = n * rows * columns;
    const int across = (c + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N;
    if (row >= pixels) return;
    const int count = min(TILE_M, pixels - row), first_row = (down + padding) % stride, first_column = (right + padding) % stride;
    const int high = first_row < r ? (r - first_row + stride - 1) / stride : 0, wide = first_column < s ? (s - first_column + stride - 1) / stride : 0;
    const int terms = high * wide * k;
    Pixels<-1> a;
    Turned b;
    if (terms > 0) {
        a.height = ho, a.width = wo, a.channels = k, a.high = high, a.wide = wide;
        a.tap.set(a.term(), wide, k);
#pragma unroll
        for (int p = 0; p < a.PASSES; p++) {
            const int at = row + a.row(p);
            if (a.row(p) < count)
                a.start(p, dy, at / columns / rows, at / columns % rows + (down + padding - first_row) / stride, at % columns + (right + padding - first_column) / stride);
            else a.corner[p] = dy, a.top[p] = a.left[p] = a.NOWHERE;
        }
        b.weights = w, b.first = column, b.rows = c, b.first_row = first_row, b.first_column = first_column, b.stride = stride;
        b.high = high, b.wide = wide, b.filter_wide = s, b.channels = k;
        b.tap.set(b.term(), wide, k);
    }
    Sums sum;
    multiply(sum, a, b, terms, memory);
    write(sum, bias, floor, column, c, [&](int i) {
        const int at = row + i, line = at / columns % rows * stride + down, place = at % columns * stride + right;
        return i < count ? dx + (((i64)(at / columns / rows) * h + line) * wd + place) * c : nullptr;
    });
}
