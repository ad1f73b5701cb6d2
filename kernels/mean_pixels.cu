// mean_pixels.cu: global average pooling of N×P×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DLANES=1|2|4|8|16|32
//   maths    y_n = 1/P Σ_p x_np; dx_np = dy_n/P
//   traffic  x read once, or dx written once
//   launch   columns.cuh, grid (N·blocks, groups of columns); a picture's blocks, 256 pixels or more each, are added by pixel_sums.cu
//   care     F32 sums in one fixed order
//   see      engine/ops/MeanPixels.cs · MeanPixelsTests
// options  -DTYPE=float -DPACK=4|1 -DLANES=8|32
// options  -DTYPE=bf16|half -DPACK=8 -DLANES=8|32
#include "columns.cuh"

typedef TYPE T;

// partial null: a picture is one block, whose sum is the whole
extern "C" __global__ void __launch_bounds__(256) mean_pixels_forward(T* y, float* partial, const T* x, int pixels, int cols, int blocks, int per_block, float scale) {
    const int c = first_column(), n = blockIdx.x / blocks, from = blockIdx.x % blocks * per_block, end = min(pixels, from + per_block);
    x += (i64)n * pixels * cols + c;
    Columns sum = zeros();
    if (c < cols)
        for (int p = from + (int)threadIdx.y; p < end; p += ROWS) {
            const Columns v = load<PACK>(x + (i64)p * cols);
#pragma unroll
            for (int i = 0; i < PACK; i++) sum[i] += v[i];
        }
    sum = add_rows(sum);
    if (threadIdx.y != 0 || c >= cols) return;
    if (partial) {
        store_channels(partial + (i64)blockIdx.x * cols + c, sum);
        return;
    }
#pragma unroll
    for (int i = 0; i < PACK; i++) sum[i] *= scale;
    store(y + (i64)n * cols + c, sum);
}

extern "C" __global__ void __launch_bounds__(256) mean_pixels_backward(T* dx, const T* dy, int pixels, int cols, int blocks, int per_block, float scale) {
    const int c = first_column(), n = blockIdx.x / blocks, from = blockIdx.x % blocks * per_block, end = min(pixels, from + per_block);
    if (c >= cols) return;
    Columns v = load<PACK>(dy + (i64)n * cols + c);
#pragma unroll
    for (int i = 0; i < PACK; i++) v[i] *= scale;
    dx += (i64)n * pixels * cols + c;
    for (int p = from + (int)threadIdx.y; p < end; p += ROWS) store(dx + (i64)p * cols, v);
}
