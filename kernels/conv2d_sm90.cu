// conv2d_sm90.cu: conv2d_mma.cu's convolutions in tiles of 128 × 128 by Hopper's products of a warpgroup.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128 -DPACK_A=8
//   maths    as conv2d_mma.cu and conv2d_mma_weight.cu
//   traffic  as theirs; both factors go from shared memory to the tensor cores without passing through registers: of a product's 4·(128 + 128) bytes a
//            warp's ldmatrix moves none, which is what holds mma.sync to some 60 % of a Hopper's rate
//   launch   blocks of 256, two warpgroups with 64 rows each, two blocks a multiprocessor: one's copies and ends behind the other's products; grids as theirs;
//            3·(128 + 128)·128 bytes and 1 KB to align them: 97 KB of shared memory
//   care     wgmma reads by way of the async proxy: a fence stands between a stage's copies and their barrier. Never run where this was written: chosen
//            only behind a self-test on the GPU at hand (engine/ops/HopperConvolution.cs). Copies are cp.async, not TMA: taps, strides and phases are
//            gathered by address, and nothing waits on an mbarrier, so that a mistake gives wrong numbers, which the test sees, and no hang
//   see      conv2d_mma.cu · wgmma_product.cuh · engine/ops/MmaConvolution.cs
// arch  sm_90a
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128 -DPACK_A=8
#include "wgmma_product.cuh"
#include "conv_product.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_sm90_forward(
    T* y, const T* x, const T* w, const float* bias, float floor, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    convolve(y, x, w, bias, floor, pixels, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}

// partial: for each block of TILE_M of each group's pixels a row of means and a row of Σ of squared deviations
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_sm90_moments(
    T* y, float* partial, const T* x, const T* w, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    convolve_moments(y, partial, x, w, pixels, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_sm90_data(
    T* dx, const T* dy, const T* w, const float* bias, float floor, int n, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho,
    int wo) {
    DYN_SMEM(T, memory);
    convolve_back(dx, dy, w, bias, floor, n, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_sm90_weight(
    float* partial, const T* x, const T* dy, int pixels, int per_part, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    convolve_filters(partial, x, dy, pixels, per_part, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}
