// conv2d_2.cu: convolution as a product of matrices, in tiles; the left factor is never written down.     compiled per use: -DTYPE=float|bf16|half
//   maths    y[p,k] = Σ_t X[p,t]·w[t,k] over t = (r,s,c), where X[p,t] is what tap (r,s) of pixel p sees of channel c, or 0 outside the picture
//   traffic  16 × 16 results read 16 + 16 values for each term: a sixteenth of rung 1's loads; a multiplication still takes two loads from shared memory
//   launch   block (16, 16), a result a thread; grid (⌈pixels/16⌉, ⌈K/16⌉); 2 KB of shared memory
//   care     two barriers for every 16 terms: the tile is whole before it is read, and read before it is written again
//   next     kernels/conv2d.cu gives a thread 4 × 4 or 8 × 8 results in registers, loads 16 bytes at a time and fetches the next terms while it
//            multiplies; kernels/conv2d_mma.cu gives the products to tensor cores and the copies to cp.async
//   see      conv2d_1.cu · engine/ops/ladder/Conv2dLadder.cs · Conv2dLadderTests
// options  -DTYPE=float|bf16|half
#include "types.cuh"

typedef TYPE T;
constexpr int SIDE = 16;

extern "C" __global__ void __launch_bounds__(SIDE * SIDE) conv2d_2(
    T* y, const T* x, const T* w, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    __shared__ float seen[SIDE][SIDE + 1], filters[SIDE][SIDE + 1];
    const int tx = threadIdx.x, ty = threadIdx.y, terms = r * s * c;
    const int mine = blockIdx.x * SIDE + ty, column = blockIdx.y * SIDE + tx; // the pixel whose taps this thread loads, and whose result it makes
    const i64 picture = (i64)(mine / wo / ho) * h;
    const int top = mine / wo % ho * stride - padding, left = mine % wo * stride - padding;
    float sum = 0.f;
    for (int first = 0; first < terms; first += SIDE) {
        const int t = first + tx, row = top + t / c / s, place = left + t / c % s;
        const bool inside = mine < pixels && t < terms && row >= 0 && row < h && place >= 0 && place < wd;
        seen[ty][tx] = inside ? to_float(x[((picture + row) * wd + place) * c + t % c]) : 0.f;
        filters[ty][tx] = first + ty < terms && column < k ? to_float(w[(i64)(first + ty) * k + column]) : 0.f;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < SIDE; i++) sum = fmaf(seen[ty][i], filters[i][tx], sum);
        __syncthreads();
    }
    if (mine < pixels && column < k) y[(i64)mine * k + column] = from_float<T>(sum);
}
