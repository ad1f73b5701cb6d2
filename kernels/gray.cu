// gray.cu: the gray form of normalised RGB pictures.          compiled per use: -DTYPE=float|bf16|half
//   maths    g = r·x₀ + g·x₁ + b·x₂;  y_c = g·scale_c + shift_c
//   traffic  1 read, 1 write
//   launch   a thread a pixel, block 256: a warp's three loads fall into the same lines
//   see      engine/ops/Gray.cs · GrayTests
// options  -DTYPE=float|bf16|half
#include "load.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) gray(
    T* y, const T* x, i64 pixels, float r, float g, float b, float scale_r, float scale_g, float scale_b, float shift_r, float shift_g, float shift_b) {
    const i64 i = ((i64)blockIdx.x * 256 + threadIdx.x) * 3;
    if (i >= pixels * 3) return;
    const float level = r * to_float(x[i]) + g * to_float(x[i + 1]) + b * to_float(x[i + 2]);
    y[i] = from_float<T>(level * scale_r + shift_r);
    y[i + 1] = from_float<T>(level * scale_g + shift_g);
    y[i + 2] = from_float<T>(level * scale_b + shift_b);
}
