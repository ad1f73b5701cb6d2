// boxes.cu: copies of boxes by the tensor memory unit, and what can go wrong with them. Each of one warp and 1 KB-aligned shared memory.
#include "tensor_map.cuh"
#include "warp.cuh"

/// The first multiple of 1 KB.
__device__ u16* tile() {
    DYN_SMEM(u16, memory);
    const u32 at = shared_address(memory);
    return memory + ((at + 1023) / 1024 * 1024 - at) / 2;
}

/// Elements of 64 lines as they lie, in the order of the tensor: groups of 16 bytes are put back.
__device__ void write_lines(u16* y, const u16* lines) {
    for (int i = lane_index(); i < 64 * 64; i += 32) y[i] = lines[i / 64 * 64 + ((i % 64 / 8) ^ (i / 64 % 8)) * 8 + i % 8];
}

extern "C" __global__ void box_of_matrix(u16* y, const __grid_constant__ TensorMaps maps, int column, int row) {
    __shared__ u64 barrier;
    u16* lines = tile();
    if (threadIdx.x == 0) {
        barrier_init(&barrier, 1);
        barriers_ready();
        barrier_expect(&barrier, 64 * 128);
        load_matrix(lines, maps.of[0], column, row, &barrier);
    }
    __syncthreads();
    barrier_wait(&barrier, 0);
    write_lines(y, lines);
}

extern "C" __global__ void box_of_pixels(u16* y, const __grid_constant__ TensorMaps maps, int c, int w, int h, int n, int s, int r) {
    __shared__ u64 barrier;
    u16* lines = tile();
    if (threadIdx.x == 0) {
        barrier_init(&barrier, 1);
        barriers_ready();
        barrier_expect(&barrier, 64 * 128);
        load_pixels(lines, maps.of[0], c, w, h, n, s, r, &barrier);
    }
    __syncthreads();
    barrier_wait(&barrier, 0);
    write_lines(y, lines);
}

/// mistake: 1 nobody waits before the lines are read, 2 more bytes are told of than come, 3 no barrier_init, 4 the end comes before the copy
extern "C" __global__ void box_mistake(u16* y, const __grid_constant__ TensorMaps maps, int mistake) {
    __shared__ u64 barrier;
    u16* lines = tile();
    if (threadIdx.x == 0) {
        if (mistake != 3) barrier_init(&barrier, 1);
        barriers_ready();
        barrier_expect(&barrier, mistake == 2 ? 64 * 128 + 2 : 64 * 128);
        load_matrix(lines, maps.of[0], 0, 0, &barrier);
    }
    __syncthreads();
    if (mistake == 4) return;
    if (mistake != 1) barrier_wait(&barrier, 0);
    write_lines(y, lines);
    if (mistake == 1) barrier_wait(&barrier, 0);
}
