// product.cu: C = A·B in float; TILE × TILE tiles of A and B in dynamic shared memory, one element a thread, ragged edges.
#include "smem.cuh"

#define TILE 16

extern "C" __global__ void __launch_bounds__(TILE* TILE) product(float* c, const float* a, const float* b, int m, int n, int k) {
    DYN_SMEM(float, tiles);
    float(*as)[TILE + 1] = (float(*)[TILE + 1]) tiles;
    float(*bs)[TILE + 1] = as + TILE;
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y, row = (int)blockIdx.y * TILE + ty, col = (int)blockIdx.x * TILE + tx;
    float sum = 0.f;
    for (int k0 = 0; k0 < k; k0 += TILE) {
        as[ty][tx] = row < m && k0 + tx < k ? a[row * k + k0 + tx] : 0.f;
        bs[ty][tx] = k0 + ty < k && col < n ? b[(k0 + ty) * n + col] : 0.f;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE; i++) sum = fmaf(as[ty][i], bs[i][tx], sum);
        __syncthreads();
    }
    if (row < m && col < n) c[row * n + col] = sum;
}
