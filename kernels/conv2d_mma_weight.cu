// conv2d_mma_weight.cu: the gradient of a convolution's filters on tensor cores.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128|64 -DTILE_N=128|64 -DPACK_A=8|1
//   maths    dw[rsc,k] = Σ_p x[p·t+(r,s)−pad, c]·dy[p,k]: R·S·C × K, sums over all pixels, cut into parts
//   traffic  a tile reads (TILE_M + TILE_N)·2 bytes for TILE_M·TILE_N products; x for each of the ⌈K/TILE_N⌉ columns of tiles and once a tap, dy for each
//            of the ⌈RSC/TILE_M⌉ rows, what blocks of a part share from L2; a float of each part's sums
//   launch   blocks of THREADS (256; 128 for 64 × 64); grid.x = ⌈RSC/TILE_M⌉·⌈K/TILE_N⌉, grid.z = parts; STAGES·(TILE_M+TILE_N)·64 bytes shared
//   care     both factors lie with their rows along memory and are turned as they are read. Parts are fixed by the shape and added in order:
//            the same bits every time. K is a multiple of 8; PACK_A=1 for C that is not: its pixels are gathered one element at a time
//   see      engine/ops/MmaConvolution.cs · conv2d.cu · Conv2dTests
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128|64 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=64 -DTILE_N=64 -DPACK_A=8|1
#include "digits.cuh"
#include "staged_product.cuh"

typedef TYPE T;

/// Where a row (tap row, tap column, channel) of the gradient lies from a pixel's corner.
struct Tap {
    int down, right, channel;

    __device__ __forceinline__ void set(int row, int rows, int filter_wide, int channels, int padding) {
        channel = row % channels;
        right = row / channels % filter_wide - padding;
        down = row < rows ? row / channels / filter_wide - padding : -(1 << 30); // past the end: outside every picture
    }
};

/// Terms are pixels, rows (tap row, tap column, channel) of what each sees.
struct Seen : Across<TILE_M> {
    const T* pictures;
    int next, end, height, width, channels, stride, rows, columns;
    Tap tap[PACK_A == 8 ? 1 : 8];
    Digits pixel[PASSES];

    __device__ __forceinline__ const T* find(bool& inside, int pass, const Tap& from) const {
        const int h = pixel[pass].middle * stride + from.down, w = pixel[pass].inner * stride + from.right;
        inside = next + term(pass) < end && (u32)h < (u32)height && (u32)w < (u32)width;
        return pictures + (((i64)pixel[pass].outer * height + h) * width + w) * channels + from.channel;
    }

    __device__ __forceinline__ void fetch(T* tile) {
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            bool inside;
            if constexpr (PACK_A == 8) {
                const T* from = find(inside, p, tap[0]);
                cp_async_shared_taps(tile + slot(p), from, inside);
            } else {
                Vec<T, 8> v;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    const T* from = find(inside, p, tap[i]);
                    v[i] = inside ? *from : T{0};
                }
                store_as(tile + slot(p), v);
            }
            pixel[p].advance(DEPTH, rows, columns);
        }
        next += DEPTH;
    }
};

// grid z: the part of the pixels that is summed into partial[z]
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_weight(
    float* partial, const T* x, const T* dy, int pixels, int per_part, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    const int across = (k + TILE_N - 1) / TILE_N, row = blockIdx.x / across * TILE_M, column = blockIdx.x % across * TILE_N, rows = r * s * c;
    const int from = blockIdx.z * per_part, end = min(pixels, from + per_part);
    Seen a;
    a.pictures = x, a.next = from, a.end = end, a.height = h, a.width = wd, a.channels = c, a.stride = stride, a.rows = ho, a.columns = wo;
#pragma unroll
    for (int i = 0; i < (PACK_A == 8 ? 1 : 8); i++) a.tap[i].set(row + a.row() + i, rows, s, c, padding);
#pragma unroll
    for (int p = 0; p < a.PASSES; p++) a.pixel[p].set(from + Across<TILE_M>::term(p), ho, wo);
    Matrix b;
    b.matrix = dy, b.next = from, b.end = end, b.column = column + b.row(), b.columns = k;
    Sums sum;
    multiply(sum, a, b, end - from, memory);
    const int g = lane_index() / 4, first = column + warp_column() + lane_index() % 4 * 2;
    partial += (i64)blockIdx.z * rows * k;
#pragma unroll
    for (int i = 0; i < BLOCKS_M; i++)
#pragma unroll
        for (int j = 0; j < BLOCKS_N; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int to = row + warp_row() + i * 16 + half * 8 + g, at = first + j * 8;
                if (to < rows && at < k) store_as(partial + (i64)to * k + at, Vec<float, 2>{sum[i][j][half * 2], sum[i][j][half * 2 + 1]});
            }
}
