// conv2d_mma.cu: convolution on tensor cores, as a product whose left factor is never written down.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128|64 -DTILE_N=128|64|32 -DPACK_A=8|1
//   maths    forward  y[p,k]  = [relu](b_k + Σ_{r,s,c} x[p·t+(r,s)−pad, c]·w[r,s,c,k])    pixels × K, sums of R·S·C
//            moments  the same without a bias, and of each block's pixels each channel's mean and Σ of squared deviations, for batch norm
//            data     dx[p,c] = [relu](b_c + Σ_{r,s,k} dy[(p+pad−(r,s))/t, k]·w[r,s,c,k])  for each of the t² phases of p, which meet their own taps
//   traffic  a tile reads (TILE_M + TILE_N)·2 bytes for TILE_M·TILE_N products: 64 flops a byte at 128 × 128. Weights from L2; pixels through L1, where
//            the taps of neighbours meet: from L2 about once and a halo. y once. Moments save batch norm a read of y and leave 2·⌈pixels/TILE_M⌉·K floats
//   launch   blocks of THREADS (256, or 128 for 64×64 and 128×32), those of one row of tiles side by side: grid.x = ⌈M/TILE_M⌉·⌈N/TILE_N⌉; grid.z =
//            groups of pixels with moments of their own, or phases; STAGES·(TILE_M+TILE_N)·64 bytes of shared memory: 64 KB at 128 × 128
//   care     moments are of y as it is stored, squares of deviations from the tile's own mean. PACK_A=1: channels are no multiple of 8, or pictures
//            lie askew: pixels are gathered one element at a time, for the three channels of a stem. K (and of data, dy's K) is a multiple of 8
//   see      engine/ops/MmaConvolution.cs · conv2d.cu (F32, and other channels) · arXiv:1502.03167 · Conv2dTests
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128|64|32 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=64 -DTILE_N=64 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=64|32 -DPACK_A=1
#include "staged_product.cuh"
#include "conv_product.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_forward(
    T* y, const T* x, const T* w, const float* bias, float floor, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    convolve(y, x, w, bias, floor, pixels, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}

// partial: for each block of TILE_M of each group's pixels a row of means and a row of Σ of squared deviations
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_moments(
    T* y, float* partial, const T* x, const T* w, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    convolve_moments(y, partial, x, w, pixels, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_data(
    T* dx, const T* dy, const T* w, const float* bias, float floor, int n, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    convolve_back(dx, dy, w, bias, floor, n, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}
