// average_pool.cu: means of windows of N×H×W×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1
//   maths    y = Σ window / size; dx = Σ dy/size over the windows that hold the pixel
//   traffic  x read once and y written once, or dy and dx; windows that overlap are read again from L1
//   launch   a block or more for a row of the result: grid (N·rows, parts of a row), a thread for PACK channels of a pixel
//   care     windows come from windows.cuh. Backward gathers in order: no atomics, nothing cleared first
//   see      engine/ops/AveragePool.cs · AveragePoolTests
// options  -DTYPE=float -DPACK=4|1
// options  -DTYPE=bf16|half -DPACK=8
#include "load.cuh"
#include "windows.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) average_pool_forward(
    T* y, const T* x, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Pooling<PACK> pool{{h, out_h, k, stride, padding}, {w, out_w, k, stride, padding}, c};
    pool.each_result([&](i64 picture, Window high, Window wide, i64 o) {
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = high.from; a < high.to; a++)
            for (int b = wide.from; b < wide.to; b++) {
                const Vec<float, PACK> v = load<PACK>(x + picture + ((i64)a * w + b) * c);
#pragma unroll
                for (int e = 0; e < PACK; e++) sum[e] += v[e];
            }
        const float scale = 1.f / ((high.to - high.from) * (wide.to - wide.from));
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] *= scale;
        store(y + o, sum);
    });
}

extern "C" __global__ void __launch_bounds__(256) average_pool_backward(
    T* dx, const T* dy, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Pooling<PACK> pool{{h, out_h, k, stride, padding}, {w, out_w, k, stride, padding}, c};
    pool.each_pixel([&](int, int, i64 picture, Window above, Window beside, i64 o) {
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = above.from; a < above.to; a++) {
            const Window high = pool.rows.window(a);
            for (int b = beside.from; b < beside.to; b++) {
                const Window wide = pool.columns.window(b);
                const float scale = 1.f / ((high.to - high.from) * (wide.to - wide.from));
                const Vec<float, PACK> v = load<PACK>(dy + picture + ((i64)a * out_w + b) * c);
#pragma unroll
                for (int e = 0; e < PACK; e++) sum[e] = fmaf(v[e], scale, sum[e]);
            }
        }
        store(dx + o, sum);
    });
}
