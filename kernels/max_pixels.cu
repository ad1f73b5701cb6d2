// max_pixels.cu: global max pooling of N×P×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DLANES=1|2|4|8|16|32
//   maths    y_n = max_p x_np; dx_np = dy_n at the first largest pixel, else 0
//   traffic  x read once, or dx written once; the pixel's number as a float: 4 bytes a picture and channel
//   launch   columns.cuh: forward grid (N, groups of columns); backward (N·blocks, groups), 256 pixels or more a block
//   care     of equals the first wins, whichever thread saw it; a NaN wins over numbers and a later one over an earlier, as on the CPU
//   see      engine/ops/MaxPixels.cs · MaxPixelsTests
// options  -DTYPE=float -DPACK=4|1 -DLANES=8|32
// options  -DTYPE=bf16|half -DPACK=8 -DLANES=8|32
#include "columns.cuh"

typedef TYPE T;
constexpr int NONE = 0x7fffffff;

__device__ __forceinline__ bool wins(float v, int at, float over, int over_at) {
    if (v != v) return over == over || at > over_at;
    return v > over || (v == over && at < over_at);
}

extern "C" __global__ void __launch_bounds__(256) max_pixels_forward(T* y, float* at, const T* x, int pixels, int cols) {
    __shared__ float value[PACK][ROWS][LANES];
    __shared__ int place[PACK][ROWS][LANES];
    const int c = first_column(), tx = threadIdx.x, ty = threadIdx.y;
    x += (i64)blockIdx.x * pixels * cols + c;
    Columns best;
    int where[PACK];
#pragma unroll
    for (int i = 0; i < PACK; i++) best[i] = -INFINITY, where[i] = NONE;
    if (c < cols)
        for (int p = ty; p < pixels; p += ROWS) {
            const Columns v = load<PACK>(x + (i64)p * cols);
#pragma unroll
            for (int i = 0; i < PACK; i++)
                if (wins(v[i], p, best[i], where[i])) best[i] = v[i], where[i] = p;
        }
#pragma unroll
    for (int i = 0; i < PACK; i++) value[i][ty][tx] = best[i], place[i][ty][tx] = where[i];
    __syncthreads();
    for (int o = ROWS / 2; o > 0; o >>= 1) {
        if (ty < o)
#pragma unroll
            for (int i = 0; i < PACK; i++)
                if (wins(value[i][ty + o][tx], place[i][ty + o][tx], value[i][ty][tx], place[i][ty][tx]))
                    value[i][ty][tx] = value[i][ty + o][tx], place[i][ty][tx] = place[i][ty + o][tx];
        __syncthreads();
    }
    if (ty != 0 || c >= cols) return;
    Columns number;
#pragma unroll
    for (int i = 0; i < PACK; i++) best[i] = value[i][0][tx], number[i] = (float)place[i][0][tx];
    const i64 to = (i64)blockIdx.x * cols + c;
    store(y + to, best);
    store_channels(at + to, number);
}

extern "C" __global__ void __launch_bounds__(256) max_pixels_backward(T* dx, const T* dy, const float* at, int pixels, int cols, int blocks, int per_block) {
    const int c = first_column(), n = blockIdx.x / blocks, from = blockIdx.x % blocks * per_block, end = min(pixels, from + per_block);
    if (c >= cols) return;
    const Columns d = load<PACK>(dy + (i64)n * cols + c), number = channels(at + (i64)n * cols + c);
    dx += (i64)n * pixels * cols + c;
    for (int p = from + (int)threadIdx.y; p < end; p += ROWS) {
        Columns v;
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] = number[i] == (float)p ? d[i] : 0.f;
        store(dx + (i64)p * cols, v);
    }
}
