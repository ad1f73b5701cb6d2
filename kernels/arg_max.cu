// arg_max.cu: the place of the largest element of each row.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DTHREADS=32|256
//   maths    y_r = the smallest c with x_rc = max x_r; a NaN counts as the largest
//   traffic  x once
//   launch   a warp for a row of up to 1,024, block (32, 4); else a block of 256
//   see      engine/ops/ArgMax.cs · ArgMaxTests
// options  -DTYPE=float -DPACK=4 -DTHREADS=32|256
// options  -DTYPE=bf16|half -DPACK=8 -DTHREADS=32|256
#include "rows.cuh"

typedef TYPE T;

/// The larger of two, of equal ones the first; a NaN is larger than all numbers and as large as another.
__device__ __forceinline__ Place first_of_largest(Place a, Place b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return b_nan ? b : a;
    return (a_nan || a.value == b.value) ? (b.index < a.index ? b : a) : b.value > a.value ? b : a;
}

__device__ __forceinline__ Place warp_first_of_largest(Place p) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        p = first_of_largest(p, Place{__shfl_xor_sync(FULL_WARP, p.value, o), __shfl_xor_sync(FULL_WARP, p.index, o)});
    return p;
}

extern "C" __global__ void __launch_bounds__(256) arg_max(int* y, const T* x, int rows, int cols) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    x += (i64)row * cols;
    Place best{-INFINITY, 0x7fffffff};
    walk_row<THREADS, PACK>(
        x, cols, [&](int c) { best = first_of_largest(best, Place{to_float(x[c]), c}); },
        [&](int c) {
            const Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) best = first_of_largest(best, Place{v[i], c + i});
        });
    best = warp_first_of_largest(best);
    if constexpr (THREADS > 32) {
        __shared__ Place of_warps[32];
        if (lane_index() == 0) of_warps[warp_index()] = best;
        __syncthreads();
        best = warp_first_of_largest(of_warps[lane_index() % (THREADS / 32)]);
    }
    if (threadIdx.x == 0) y[row] = best.index;
}
