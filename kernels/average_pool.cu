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
    const Axis rows{h, out_h, k, stride, padding}, columns{w, out_w, k, stride, padding};
    const Window high = rows.window(blockIdx.x % out_h);
    const int packs = c / PACK;
    x += (i64)(blockIdx.x / out_h) * h * w * c;
    y += (i64)blockIdx.x * out_w * c;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < out_w * packs; i += gridDim.y * blockDim.x) {
        const int j = i / packs, channel = i % packs * PACK;
        const Window wide = columns.window(j);
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = high.from; a < high.to; a++)
            for (int b = wide.from; b < wide.to; b++) {
                const Vec<float, PACK> v = load<PACK>(x + ((i64)a * w + b) * c + channel);
#pragma unroll
                for (int e = 0; e < PACK; e++) sum[e] += v[e];
            }
        const float scale = 1.f / ((high.to - high.from) * (wide.to - wide.from));
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] *= scale;
        store(y + (i64)j * c + channel, sum);
    }
}

extern "C" __global__ void __launch_bounds__(256) average_pool_backward(
    T* dx, const T* dy, int h, int w, int c, int out_h, int out_w, int k, int stride, int padding) {
    const Axis rows{h, out_h, k, stride, padding}, columns{w, out_w, k, stride, padding};
    const Window above = rows.holding(blockIdx.x % h);
    const int packs = c / PACK;
    dy += (i64)(blockIdx.x / h) * out_h * out_w * c;
    dx += (i64)blockIdx.x * w * c;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < w * packs; i += gridDim.y * blockDim.x) {
        const int place = i / packs, channel = i % packs * PACK;
        const Window beside = columns.holding(place);
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = above.from; a < above.to; a++) {
            const Window high = rows.window(a);
            for (int b = beside.from; b < beside.to; b++) {
                const Window wide = columns.window(b);
                const float scale = 1.f / ((high.to - high.from) * (wide.to - wide.from));
                const Vec<float, PACK> v = load<PACK>(dy + ((i64)a * out_w + b) * c + channel);
#pragma unroll
                for (int e = 0; e < PACK; e++) sum[e] = fmaf(v[e], scale, sum[e]);
            }
        }
        store(dx + (i64)place * c + channel, sum);
    }
}
