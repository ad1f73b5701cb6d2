// normalize.cu: rows of length one.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DTHREADS=32|256
//   maths    y = x/max(‖x‖, ε);   dx = (dy − y·(y·dy))/‖x‖, 0 where ‖x‖ ≤ ε
//   traffic  x from memory once and from L1 or L2 again; y written once. Backward: dy and y likewise, dx written once
//   launch   a warp for a row of up to 1,024, block (32, 4); else a block of 256
//   care     where Σx² leaves F32 (squares of 10²⁰ and of 10⁻²⁰ do), ‖x‖ = m·√Σ(x/m)², m the largest magnitude. Divisions, not 1/‖x‖:
//            that is infinite for the smallest norms. A NaN or ∞ in a row shows as NaN
//   see      engine/ops/Normalize.cs · NormalizeTests
// options  -DTYPE=float -DPACK=4 -DTHREADS=32|256
// options  -DTYPE=bf16|half -DPACK=8 -DTHREADS=32|256
// options  -DTYPE=float|bf16|half -DPACK=1 -DTHREADS=32
#include "rows.cuh"

typedef TYPE T;

/// f(column) for each of this thread's packs of a row.
template <class F> __device__ __forceinline__ void each_pack(int cols, F f) {
    for (int c = threadIdx.x * PACK; c < cols; c += THREADS * PACK) f(c);
}

/// ‖x‖ without overflow or underflow; every thread of the team gets it.
__device__ __forceinline__ float norm_of(const T* x, int cols) {
    float sum = 0;
    each_pack(cols, [&](int c) {
        const Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum += v[i] * v[i];
    });
    sum = team_sum<THREADS>(sum);
    // Inside these bounds no square overflowed, and those that vanished (below 1e-38) are too small to matter.
    if (sum > 1e-28f && sum < INFINITY) return sqrtf(sum);
    if (sum != sum) return sum;
    float max = 0;
    each_pack(cols, [&](int c) {
        const Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) max = fmaxf(max, fabsf(v[i]));
    });
    max = team_max<THREADS>(max);
    if (max == 0.f || max == INFINITY) return max;
    float squares = 0;
    each_pack(cols, [&](int c) {
        const Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) squares += v[i] / max * (v[i] / max);
    });
    return max * sqrtf(team_sum<THREADS>(squares));
}

extern "C" __global__ void __launch_bounds__(256) l2_normalize_forward(T* y, float* norm, const T* x, int rows, int cols, float eps) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    x += (i64)row * cols;
    y += (i64)row * cols;
    const float length = norm_of(x, cols), by = length < eps ? eps : length;
    if (threadIdx.x == 0) norm[row] = length;
    each_pack(cols, [&](int c) {
        Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] /= by;
        store(y + c, v);
    });
}

extern "C" __global__ void __launch_bounds__(256) l2_normalize_backward(
    T* dx, const T* dy, const T* y, const float* norm, int rows, int cols, float eps) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    const i64 at = (i64)row * cols;
    const float length = norm[row];
    const bool flat = length <= eps;
    float dot = 0;
    each_pack(cols, [&](int c) {
        const Vec<float, PACK> d = load<PACK>(dy + at + c), u = load<PACK>(y + at + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) dot += d[i] * u[i];
    });
    dot = team_sum<THREADS>(dot);
    each_pack(cols, [&](int c) {
        const Vec<float, PACK> u = load<PACK>(y + at + c);
        Vec<float, PACK> d = load<PACK>(dy + at + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) d[i] = flat ? 0.f : (d[i] - u[i] * dot) / length;
        store(dx + at + c, d);
    });
}
