// bugs.cu: one kernel for each kind of mistake that the emulator must name. Each is marked at its line with BUG; test code
// finds that line by its mark, so lines may move.
#include "smem.cuh"
#include "warp.cuh"

#define KERNEL extern "C" __global__ void

KERNEL race_raw(float* y, const float* x) {
    __shared__ float s[128];
    int t = (int)threadIdx.x;
    s[t] = x[t];
    y[t] = s[(t + 1) % 128];   // BUG race_raw: no barrier before
}
KERNEL race_war(float* y, const float* x) {
    __shared__ float s[128];
    int t = (int)threadIdx.x;
    float a = 0.f;
    for (int k = 0; k < 2; k++) {
        s[t] = x[t] + k;   // BUG race_war: no barrier at the loop's end
        __syncthreads();
        a += s[(t + 37) % 128];
    }
    y[t] = a;
}
KERNEL race_waw(float* y, const float* x) {
    __shared__ float s[64];
    int t = (int)threadIdx.x;
    s[t % 64] = x[t];   // BUG race_waw
    __syncthreads();
    y[t] = s[t % 64];
}
KERNEL race_warp(float* y, const float* x) {
    __shared__ float s[128];
    int t = (int)threadIdx.x;
    s[t] = x[t];
    y[t] = s[t ^ 1];   // BUG race_warp: needs __syncwarp
}
KERNEL race_bf16(bf16* y, const bf16* x) {
    __shared__ bf16 s[128];
    int t = (int)threadIdx.x;
    s[t] = x[t];
    y[t] = s[(t + 33) % 128];   // BUG race_bf16
}
KERNEL race_dynamic(float* y, const float* x) {
    DYN_SMEM(float, s);
    int t = (int)threadIdx.x;
    s[t] = x[t];
    y[t] = s[(t + 64) % 128];   // BUG race_dynamic
}
KERNEL race_global(float* y) {
    y[0] = (float)blockIdx.x;   // BUG race_global: every block
}
KERNEL race_global_read(float* y) {
    int t = (int)(blockIdx.x * blockDim.x + threadIdx.x), n = (int)(gridDim.x * blockDim.x);
    y[t] = y[(t + (int)blockDim.x) % n] + 1.f;   // BUG race_global_read
}
KERNEL race_atomic(int* y) {
    atomicAdd(y, 1);
    if (threadIdx.x == 40) y[0] = 7;   // BUG race_atomic: plain beside atomic
}
KERNEL outside_global(float* y, const float* x) {
    int t = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    y[t] = x[t];   // BUG outside_global: no bound
}
KERNEL outside_far(float* y) {
    y[(1ll << 28) + threadIdx.x] = 1.f;   // BUG outside_far
}
KERNEL outside_shared(float* y) {
    __shared__ float s[64];
    __shared__ float other[64];
    int t = (int)threadIdx.x;
    other[t] = 0.f;
    s[t + 1] = 1.f;   // BUG outside_shared: the last thread
    __syncthreads();
    y[t] = s[t] + other[t];
}
KERNEL outside_dynamic(float* y) {
    DYN_SMEM(float, s);
    int t = (int)threadIdx.x;
    s[t] = 1.f;   // BUG outside_dynamic
    __syncthreads();
    y[t] = s[t];
}
KERNEL host_pointer(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x];   // BUG host_pointer
}
KERNEL null_pointer(float* y) {
    y[threadIdx.x] = 1.f;   // BUG null_pointer
}
KERNEL unwritten_global(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x] + 1.f;   // BUG unwritten_global
}
KERNEL unwritten_shared(float* y) {
    __shared__ float s[128];
    if (threadIdx.x < 100) s[threadIdx.x] = 1.f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];   // BUG unwritten_shared
}
KERNEL no_wait(float* y, const float* x) {
    __shared__ __align__(16) float s[128];
    int t = (int)threadIdx.x;
    cp_async<16>(&s[t * 4], x + t * 4);
    cp_async_commit();
    __syncthreads();
    for (int i = 0; i < 4; i++) y[t * 4 + i] = s[t * 4 + i];   // BUG no_wait
}
KERNEL wait_one_short(float* y, const float* x) {
    __shared__ __align__(16) float s[256];
    int t = (int)threadIdx.x;
    cp_async<16>(&s[t * 4], x + t * 4);
    cp_async_commit();
    cp_async<16>(&s[128 + t * 4], x + t * 4);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    for (int i = 0; i < 8; i++) y[t * 8 + i] = s[t * 8 + i];   // BUG wait_one_short
}
KERNEL divergent_barrier(float* y) {
    if (threadIdx.x & 1) {
        y[threadIdx.x] = 1.f;
        __syncthreads();   // BUG divergent_barrier
    } else {
        y[threadIdx.x] = 2.f;
        __syncthreads();
    }
}
KERNEL leave_before_barrier(float* y, int n) {
    int t = (int)threadIdx.x;
    if (t >= n) return;
    y[t] = 1.f;
    __syncthreads();   // BUG leave_before_barrier
    y[t] += 1.f;
}
KERNEL divergent_shuffle(float* y) {
    float v = 1.f;
    if (threadIdx.x < 16) v = __shfl_xor_sync(FULL_WARP, v, 1);
    else v = __shfl_xor_sync(FULL_WARP, v, 2);   // BUG divergent_shuffle
    y[threadIdx.x] = v;
}
KERNEL partial_mask(float* y) {
    float v = (float)threadIdx.x;
    if (threadIdx.x < 16) v = __shfl_xor_sync(0x0000ffffu, v, 16);   // BUG partial_mask: reads a lane outside
    y[threadIdx.x] = v;
}
KERNEL deadlock(float* y) {
    if (threadIdx.x == 5) __syncthreads();   // BUG deadlock
    else __syncwarp();
    y[threadIdx.x] = 0.f;
}
KERNEL misaligned(float* y, const float* x) {
    *(float4*)(y + 4 * threadIdx.x) = *(const float4*)(x + 1 + 4 * threadIdx.x);   // BUG misaligned
}
KERNEL stack_overflow(float* y) {
    float big[20000];
    for (int i = 0; i < 20000; i++) big[i] = y[0] + i;   // BUG stack_overflow
    __syncthreads();
    float s = 0.f;
    for (int i = 0; i < 20000; i++) s += big[i * 7 % 20000];
    y[threadIdx.x] = s;
}
KERNEL division(int* y, int by) {
    y[threadIdx.x] = 100 / (by + (int)threadIdx.x);   // BUG division
}
KERNEL failed_assert(float* y) {
    assert(threadIdx.x < 64);   // BUG failed_assert
    y[threadIdx.x] = 0.f;
}
// Correct kernels that a careless checker would accuse.
KERNEL fine_warp(float* y, const float* x) {
    __shared__ float s[128];
    int t = (int)threadIdx.x;
    for (int k = 0; k < 3; k++) {
        s[t] = x[t] + k;
        __syncwarp();
        y[t] = s[t ^ 1] + s[t ^ 2];
        __syncwarp();
    }
}
KERNEL fine_neighbours(bf16* y, u8* bytes, const bf16* x) {
    __shared__ bf16 s[128];
    int t = (int)threadIdx.x, i = (int)blockIdx.x * 128 + t;
    s[t] = x[i];
    bytes[i] = (u8)t;
    __syncthreads();
    y[i] = s[127 - t];
    bytes[i] = (u8)(bytes[i] + 1);
}
KERNEL fine_barriers(float* y, const float* x, int rounds) {
    __shared__ float s[128];
    int t = (int)threadIdx.x;
    float a = x[t];
    for (int k = 0; k < rounds; k++) {
        s[t] = a;
        __syncthreads();
        a = s[(t + 1) % 128];
        __syncthreads();
    }
    y[t] = a;
}
