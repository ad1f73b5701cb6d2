// mma_product.cu: C (float) = A·B, A (M,K) and B (K,N) of T = bf16 or half, row-major; 64×64 tiles, K by 32, two stages of
// cp.async, ldmatrix, mma 16×8×16; 4 warps of 16 rows each. M, N multiples of 64, K of 32.
// instances  mma_product<bf16>; mma_product<half>
#include "mma.cuh"

template <class T> __global__ void __launch_bounds__(128) mma_product(float* c, const T* a, const T* b, int n, int k) {
    __shared__ __align__(16) T as[2][64][40];   // rows padded to 80 and 144 bytes: ldmatrix meets no bank twice
    __shared__ __align__(16) T bs[2][32][72];
    int t = (int)threadIdx.x, warp = t / 32, lane = t % 32, row0 = (int)blockIdx.y * 64, col0 = (int)blockIdx.x * 64;
    auto fetch = [&](int stage, int k0) {
        for (int i = t; i < 256; i += 128) {
            cp_async<16>(&as[stage][i / 4][i % 4 * 8], a + (size_t)(row0 + i / 4) * k + k0 + i % 4 * 8);
            cp_async<16>(&bs[stage][i / 8][i % 8 * 8], b + (size_t)(k0 + i / 8) * n + col0 + i % 8 * 8);
        }
        cp_async_commit();
    };
    float sums[8][4] = {};
    fetch(0, 0);
    for (int k0 = 0, stage = 0; k0 < k; k0 += 32, stage ^= 1) {
        if (k0 + 32 < k) {
            fetch(stage ^ 1, k0 + 32);
            cp_async_wait<1>();
        } else cp_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < 32; kk += 16) {
            u32 fa[4];
            ldmatrix_x4(fa, &as[stage][warp * 16 + lane % 16][kk + lane / 16 * 8]);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                u32 fb[2];
                ldmatrix_x2_trans(fb, &bs[stage][kk + lane % 16][j * 8]);
                mma_16x8x16<T>(sums[j], fa, fb);
            }
        }
        __syncthreads();
    }
    int g = lane / 4, q = lane % 4 * 2;
    for (int j = 0; j < 8; j++)
        for (int h = 0; h < 2; h++) *(float2*)&c[(size_t)(row0 + warp * 16 + g + 8 * h) * n + col0 + j * 8 + q] = make_float2(sums[j][2 * h], sums[j][2 * h + 1]);
}

// Every form of ldmatrix on one 16×16 matrix of numbered elements: 4 + 2 + 1 registers a lane, then the same transposed.
extern "C" __global__ void ldmatrix_forms(u32* to, const u16* from) {
    __shared__ __align__(16) u16 m[16][16];
    int l = (int)threadIdx.x;
    for (int i = l; i < 256; i += 32) m[i / 16][i % 16] = from[i];
    __syncwarp();
    u32 r[14], x4[4], x2[2], x1[1];
    const u16* row = &m[l % 16][l / 16 * 8];
    ldmatrix_x4(x4, row);
    ldmatrix_x2(x2, row);
    ldmatrix_x1(x1, row);
    for (int i = 0; i < 4; i++) r[i] = x4[i];
    for (int i = 0; i < 2; i++) r[4 + i] = x2[i];
    r[6] = x1[0];
    ldmatrix_x4_trans(x4, row);
    ldmatrix_x2_trans(x2, row);
    ldmatrix_x1_trans(x1, row);
    for (int i = 0; i < 4; i++) r[7 + i] = x4[i];
    for (int i = 0; i < 2; i++) r[11 + i] = x2[i];
    r[13] = x1[0];
    for (int i = 0; i < 14; i++) to[l * 14 + i] = r[i];
}
