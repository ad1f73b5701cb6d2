// conv2d_mma_weight.cu: the gradient of a convolution's filters on tensor cores.
//                        compiled per use: -DTYPE=bf16|half -DTILE_M=128|64 -DTILE_N=128|64 -DPACK_A=8|1
//   maths    dw[rsc,k] = Σ_p x[p·t+(r,s)−pad, c]·dy[p,k]: R·S·C × K, sums over all pixels, cut into parts
//   traffic  a tile reads (TILE_M + TILE_N)·2 bytes for TILE_M·TILE_N products; x for each of the ⌈K/TILE_N⌉ columns of tiles and once a tap, dy for each
//            of the ⌈RSC/TILE_M⌉ rows, what blocks of a part share from L2; a float of each part's sums
//   launch   blocks of THREADS (256; 128 for 64 × 64); grid.x = ⌈RSC/TILE_M⌉·⌈K/TILE_N⌉, grid.z = parts; STAGES·(TILE_M+TILE_N)·64 bytes shared
//   care     both factors lie with their rows along memory and are turned as they are read. Parts are fixed by the shape and added in order:
//            the same bits every time. K is a multiple of 8; PACK_A=1 for C that is not: its pixels are gathered one element at a time
//   see      engine/ops/MmaConvolution.cs · conv2d.cu · Conv2dTests
// options  -DTYPE=bf16|half -DTILE_M=128 -DTILE_N=128|64 -DPACK_A=8
// options  -DTYPE=bf16|half -DTILE_M=64 -DTILE_N=64 -DPACK_A=8|1
#include "staged_product.cuh"
#include "conv_product.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv2d_mma_weight(
    float* partial, const T* x, const T* dy, int pixels, int per_part, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    DYN_SMEM(T, memory);
    convolve_filters(partial, x, dy, pixels, per_part, Geometry{h, wd, c, r, s, k, stride, padding, ho, wo}, memory);
}
