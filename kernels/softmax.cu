// softmax.cu: softmax and its logarithm over the last axis.   compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DTHREADS=32|256 -DSTEPS=4
//   maths    y = e^(x−m)/Σ e^(x−m), m = max x;       dx = y·(dy − Σ y·dy)
//            y = x − m − log Σ e^(x−m);              dx = dy − e^y·Σ dy
//   traffic  x read once, y written once; backward dy and y once, dx written once. A row of up to 8,192 is held in registers (STEPS
//            packs a thread); a longer one (STEPS 0) is read three times forward, twice backward, the later times from L2
//   launch   a warp for a row of up to 1,024, block (32, 4); else a block of 256 for a row
//   care     a row of −∞ has no difference to its maximum: m = 0 then, so that it gives 0 (log: −∞), not NaN.
//            x − m first, then − log Σ: with x near 10⁴ the one is exact and m + log Σ is not. An entry of −∞ takes no part in Σ dy
//   see      engine/ops/Softmax.cs · SoftmaxTests
// options  -DTYPE=float -DPACK=4 -DTHREADS=32 -DSTEPS=1|8
// options  -DTYPE=bf16|half -DPACK=8 -DTHREADS=32 -DSTEPS=4
// options  -DTYPE=float|bf16|half -DPACK=1 -DTHREADS=256 -DSTEPS=0|32
#include "rows.cuh"

typedef TYPE T;
constexpr int SPAN = THREADS * PACK, HELD = STEPS > 0 ? STEPS : 1;

/// f(column, slot) for each of this thread's packs of a row.
template <class F> __device__ __forceinline__ void each_pack(int cols, F f) {
    const int first = threadIdx.x * PACK;
    if constexpr (STEPS > 0) {
#pragma unroll
        for (int s = 0; s < STEPS; s++)
            if (first + s * SPAN < cols) f(first + s * SPAN, s);
    } else
        for (int c = first; c < cols; c += SPAN) f(c, 0);
}

template <bool LOG> __device__ __forceinline__ void forward(T* y, const T* x, int rows, int cols) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    x += (i64)row * cols;
    y += (i64)row * cols;
    Vec<float, PACK> v[HELD];
    float max = -INFINITY;
    each_pack(cols, [&](int c, int s) {
        v[s] = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) max = fmaxf(max, v[s][i]);
    });
    max = team_max<THREADS>(max);
    if (max == -INFINITY) max = 0;
    float sum = 0;
    each_pack(cols, [&](int c, int s) {
        if constexpr (STEPS == 0) v[s] = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            v[s][i] -= max;
            const float e = expf(v[s][i]);
            if (!LOG) v[s][i] = e;
            sum += e;
        }
    });
    sum = team_sum<THREADS>(sum);
    const float of_sum = sum == 0.f ? 0.f : LOG ? logf(sum) : 1.f / sum;
    each_pack(cols, [&](int c, int s) {
        if constexpr (STEPS == 0) v[s] = load<PACK>(x + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            if (STEPS == 0) v[s][i] = LOG ? v[s][i] - max : expf(v[s][i] - max);
            v[s][i] = LOG ? v[s][i] - of_sum : v[s][i] * of_sum;
        }
        store(y + c, v[s]);
    });
}

template <bool LOG> __device__ __forceinline__ void backward(T* dx, const T* dy, const T* y, int rows, int cols) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    const i64 at = (i64)row * cols;
    Vec<float, PACK> g[HELD], p[HELD];
    float sum = 0;
    each_pack(cols, [&](int c, int s) {
        g[s] = load<PACK>(dy + at + c);
        p[s] = load<PACK>(y + at + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum += !LOG ? g[s][i] * p[s][i] : p[s][i] == -INFINITY ? 0.f : g[s][i];
    });
    sum = team_sum<THREADS>(sum);
    each_pack(cols, [&](int c, int s) {
        if constexpr (STEPS == 0) {
            g[s] = load<PACK>(dy + at + c);
            p[s] = load<PACK>(y + at + c);
        }
#pragma unroll
        for (int i = 0; i < PACK; i++)
            g[s][i] = !LOG ? p[s][i] * (g[s][i] - sum) : p[s][i] == -INFINITY ? 0.f : g[s][i] - expf(p[s][i]) * sum;
        store(dx + at + c, g[s]);
    });
}

extern "C" __global__ void __launch_bounds__(256) softmax_forward(T* y, const T* x, int rows, int cols) { forward<false>(y, x, rows, cols); }

extern "C" __global__ void __launch_bounds__(256) log_softmax_forward(T* y, const T* x, int rows, int cols) { forward<true>(y, x, rows, cols); }

extern "C" __global__ void __launch_bounds__(256) softmax_backward(T* dx, const T* dy, const T* y, int rows, int cols) {
    backward<false>(dx, dy, y, rows, cols);
}

extern "C" __global__ void __launch_bounds__(256) log_softmax_backward(T* dx, const T* dy, const T* y, int rows, int cols) {
    backward<true>(dx, dy, y, rows, cols);
}
