// max_pool.cu: maxima of windows of N×H×W×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1
//   maths    y = max window, padding is −∞; dx = Σ dy over the windows whose first maximum the pixel is
//   traffic  x read once and y written once; backward x once, a place (F32) for each output written and read, dy read, dx written.
//            Windows that overlap are read again from L1
//   launch   a block or more for a row of the result: grid (N·rows, parts of a row), a thread for PACK channels of a pixel
//   care     a NaN wins forward. Backward gathers in order: no atomics, nothing cleared first
//   see      engine/ops/MaxPool.cs · MaxPoolTests
// options  -DTYPE=float -DPACK=4|1
// options  -DTYPE=bf16|half -DPACK=8
#include "load.cuh"
#include "windows.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256, 4) max_pool_forward(
    T* y, const T* x, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Pooling<PACK> pool{{h, out_h, k, stride, padding}, {w, out_w, k, stride, padding}, c};
    pool.each_result([&](i64 picture, Window high, Window wide, i64 o) {
        Vec<float, PACK> top;
#pragma unroll
        for (int e = 0; e < PACK; e++) top[e] = -INFINITY;
        for (int a = high.from; a < high.to; a++)
            for (int b = wide.from; b < wide.to; b++) {
                const Vec<float, PACK> v = load<PACK>(x + picture + ((i64)a * w + b) * c);
#pragma unroll
                for (int e = 0; e < PACK; e++) top[e] = v[e] > top[e] || v[e] != v[e] ? v[e] : top[e];
            }
        store(y + o, top);
    });
}

// The number, within its window, of the first largest pixel of each output.
extern "C" __global__ void __launch_bounds__(256) max_pool_places(
    float* at, const T* x, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Pooling<PACK> pool{{h, out_h, k, stride, padding}, {w, out_w, k, stride, padding}, c};
    pool.each_result([&](i64 picture, Window high, Window wide, i64 o) {
        Vec<float, PACK> top = load<PACK>(x + picture + ((i64)high.from * w + wide.from) * c), best;
#pragma unroll
        for (int e = 0; e < PACK; e++) best[e] = 0.f;
        for (int a = high.from, number = 0; a < high.to; a++)
            for (int b = wide.from; b < wide.to; b++, number++) {
                const Vec<float, PACK> v = load<PACK>(x + picture + ((i64)a * w + b) * c);
#pragma unroll
                for (int e = 0; e < PACK; e++) {
                    const bool more = v[e] > top[e];
                    top[e] = more ? v[e] : top[e];
                    best[e] = more ? (float)number : best[e];
                }
            }
#pragma unroll
        for (int e = 0; e < PACK; e++) at[o + e] = best[e];
    });
}

extern "C" __global__ void __launch_bounds__(256) max_pool_backward(
    T* dx, const T* dy, const float* at, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Pooling<PACK> pool{{h, out_h, k, stride, padding}, {w, out_w, k, stride, padding}, c};
    pool.each_pixel([&](int row, int place, i64 picture, Window above, Window beside, i64 pixel) {
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = above.from; a < above.to; a++)
            for (int b = beside.from; b < beside.to; b++) {
                const Window wide = pool.columns.window(b);
                const float number = (float)((row - pool.rows.window(a).from) * (wide.to - wide.from) + place - wide.from);
                const i64 o = picture + ((i64)a * out_w + b) * c;
                const Vec<float, PACK> v = load<PACK>(dy + o);
#pragma unroll
                for (int e = 0; e < PACK; e++) sum[e] += at[o + e] == number ? v[e] : 0.f;
            }
        store(dx + pixel, sum);
    });
}
