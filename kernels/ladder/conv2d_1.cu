// conv2d_1.cu: convolution as the formula is written, a thread a result.          compiled per use: -DTYPE=float|bf16|half
//   maths    y[p,k] = Σ_{r,s,c} x[p·t+(r,s)−pad, c]·w[r,s,c,k]
//   traffic  a load of x and one of w for every multiplication: 2·R·S·C elements a result. Neighbouring threads have neighbouring k, so that a warp
//            reads a line of w and one value of x: what saves it is L1, not the kernel
//   launch   256 threads, a result each, k fastest
//   care     sums run over the taps and channels in order, in F32 whatever is stored
//   next     conv2d_2.cu shares what neighbours load: 16 × 16 results a block, the product's tiles in shared memory
//   see      conv2d_2.cu · engine/ops/ladder/Conv2dLadder.cs · Conv2dLadderTests
// options  -DTYPE=float|bf16|half
#include "types.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(256) conv2d_1(
    T* y, const T* x, const T* w, i64 results, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    const i64 at = (i64)blockIdx.x * 256 + threadIdx.x;
    if (at >= results) return;
    const i64 pixel = at / k, picture = pixel / wo / ho;
    const int top = (int)(pixel / wo % ho) * stride - padding, left = (int)(pixel % wo) * stride - padding, to = (int)(at % k);
    float sum = 0.f;
    for (int i = 0; i < r; i++)
        for (int j = 0; j < s; j++) {
            if (top + i < 0 || top + i >= h || left + j < 0 || left + j >= wd) continue;
            const T* from = x + ((picture * h + top + i) * wd + left + j) * c;
            const T* filter = w + (i64)(i * s + j) * c * k + to;
            for (int channel = 0; channel < c; channel++) sum = fmaf(to_float(from[channel]), to_float(filter[(i64)channel * k]), sum);
        }
    y[at] = from_float<T>(sum);
}
