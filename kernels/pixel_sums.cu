// pixel_sums.cu: sums over the pixels of each picture, from those of its blocks.          compiled per use: -DTYPE=float|bf16|half
//   maths    y_nc = s·Σ_b partial_nbc
//   traffic  4 bytes a block and channel
//   launch   a thread an element of y, block 256
//   care     blocks are fixed by the shape and added in order: the same bits every time
//   see      engine/ops/PixelSums.cs · MeanPixelsTests, ScaleChannelsTests
// options  -DTYPE=float|bf16|half
#include "load.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) pixel_totals(T* y, const float* partial, i64 count, int cols, int blocks, float scale) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= count) return;
    partial += i / cols * blocks * cols + i % cols;
    float sum = 0;
    for (int b = 0; b < blocks; b++) sum += partial[(i64)b * cols];
    y[i] = from_float<T>(sum * scale);
}
