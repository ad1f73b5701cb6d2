// scale_channels.cu: a factor for each channel of each picture, N×P×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DLANES=1|2|4|8|16|32
//   maths    y_np = x_np ⊙ s_n; dx_np = dy_np ⊙ s_n; ds_n = Σ_p dy_np ⊙ x_np
//   traffic  forward 8 bytes an element in F32; backward dy and x read once, dx written once
//   launch   columns.cuh, grid (N·blocks, groups of columns); a picture's blocks, 256 pixels or more each, are added by pixel_sums.cu
//   care     F32 sums in one fixed order
//   see      arXiv:1709.01507 · engine/ops/ScaleChannels.cs · ScaleChannelsTests
// options  -DTYPE=float -DPACK=4|1 -DLANES=8|32
// options  -DTYPE=bf16|half -DPACK=8 -DLANES=8|32
#include "columns.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) scale_channels_forward(T* y, const T* x, const T* s, int pixels, int cols, int blocks, int per_block) {
    const int c = first_column(), n = blockIdx.x / blocks, from = blockIdx.x % blocks * per_block, end = min(pixels, from + per_block);
    if (c >= cols) return;
    const Columns factor = load<PACK>(s + (i64)n * cols + c);
    for (int p = from + (int)threadIdx.y; p < end; p += ROWS) {
        const i64 at = ((i64)n * pixels + p) * cols + c;
        Columns v = load<PACK>(x + at);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] *= factor[i];
        store(y + at, v);
    }
}

// dx null: nobody wants it. partial null: a picture is one block, whose sum is the whole
extern "C" __global__ void __launch_bounds__(256) scale_channels_backward(
    T* dx, T* ds, float* partial, const T* dy, const T* x, const T* s, int pixels, int cols, int blocks, int per_block) {
    const int c = first_column(), n = blockIdx.x / blocks, from = blockIdx.x % blocks * per_block, end = min(pixels, from + per_block);
    Columns sum = zeros();
    if (c < cols) {
        const Columns factor = load<PACK>(s + (i64)n * cols + c);
        for (int p = from + (int)threadIdx.y; p < end; p += ROWS) {
            const i64 at = ((i64)n * pixels + p) * cols + c;
            Columns d = load<PACK>(dy + at);
            const Columns v = load<PACK>(x + at);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                sum[i] = fmaf(d[i], v[i], sum[i]);
                d[i] *= factor[i];
            }
            if (dx) store(dx + at, d);
        }
    }
    sum = add_rows(sum);
    if (threadIdx.y != 0 || c >= cols) return;
    if (partial) store_channels(partial + (i64)blockIdx.x * cols + c, sum);
    else store(ds + (i64)n * cols + c, sum);
}
