// sum_rows.cu: the sum of all rows, and a vector repeated over rows.          compiled per use: -DTYPE=float|bf16|half -DVECTOR=float|bf16|half
//   maths    y_c = Σ_r x_rc, F32;   y_rc = v_c
//   traffic  x once; the blocks' sums are a 64th of it in F32
//   launch   sum_rows: block (32, 8), grid (⌈cols/32⌉, ⌈rows/256⌉); add_rows: block (32, 8), grid ⌈cols/32⌉; broadcast: a thread an element
//   care     no atomics: a block's 256 rows are added by 8 warps, each in order, blocks in order
//   see      engine/ops/SumRows.cs · SumRowsTests
// options  -DTYPE=float|bf16|half -DVECTOR=float|bf16|half
#include "load.cuh"

typedef TYPE T;
constexpr int WARPS = 8, ROWS_PER_BLOCK = 256;

template <class F> __device__ __forceinline__ void sum_column(float* y, const F* x, int from, int to, int cols) {
    __shared__ float part[WARPS][32];
    const int c = blockIdx.x * 32 + threadIdx.x;
    float sum = 0;
    if (c < cols)
        for (int r = from + (int)threadIdx.y; r < to; r += WARPS) sum += to_float(x[(i64)r * cols + c]);
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || c >= cols) return;
    for (int w = 1; w < WARPS; w++) sum += part[w][threadIdx.x];
    y[c] = sum;
}

extern "C" __global__ void __launch_bounds__(256) sum_rows(float* partial, const T* x, int rows, int cols) {
    const int from = blockIdx.y * ROWS_PER_BLOCK;
    sum_column(partial + (i64)blockIdx.y * cols, x, from, min(rows, from + ROWS_PER_BLOCK), cols);
}

extern "C" __global__ void __launch_bounds__(256) add_rows(float* y, const float* partial, int rows, int cols) {
    sum_column(y, partial, 0, rows, cols);
}

extern "C" __global__ void __launch_bounds__(256) broadcast_rows(T* y, const VECTOR* v, i64 count, int cols) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = from_float<T>(to_float(v[i % cols]));
}
