// pipeline.cu: y = 2x through a ring of three shared buffers filled by cp.async; the last tile is ragged and filled with zeros.
#include "smem.cuh"

extern "C" __global__ void pipeline(float* y, const float* x, int n) {
    __shared__ __align__(16) float ring[3][128];
    int t = (int)threadIdx.x, tiles = (n + 127) / 128;
    auto fetch = [&](int tile) {
        if (tile < tiles) {
            int i = tile * 128 + t * 4;
            cp_async_or_zero<16>(&ring[tile % 3][t * 4], x + i, i < n);
        }
        cp_async_commit();
    };
    fetch(0);
    fetch(1);
    for (int tile = 0; tile < tiles; tile++) {
        fetch(tile + 2);
        cp_async_wait<2>();
        __syncthreads();
        for (int i = t; i < 128; i += 32) y[tile * 128 + i] = 2.f * ring[tile % 3][127 - i];
        __syncthreads();
    }
}
