// cross_entropy.cu: mean negative log-likelihood, softmax fused in.   compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DTHREADS=32|256
//   maths    L = 1/n Σ_t (lse_t − x_t[label_t]), lse_t = log Σ_v e^(x_tv);   dx_t = dL/n·(e^(x_t − lse_t) − onehot); 0 for ignored rows
//   traffic  x once forward; once backward with dx written: 4,096 × 30,522 bf16 = 250 MB and 500 MB. No probabilities in memory
//   launch   a warp (up to 1,024 classes) or a block of 256 for a row; the mean: one block of 256
//   care     each thread keeps its own maximum, which it takes off before exp, and rescales its sum when it finds a larger one: one pass.
//            max − x[label] first, then + log: exact with logits of 10⁴. Losses are added in F64, in fixed order.
//            A row of 30,522 begins where it will: walk_row takes single elements up to the next 16 bytes
//   see      engine/ops/CrossEntropy.cs · CrossEntropyTests
// options  -DTYPE=float -DPACK=4 -DTHREADS=32|256
// options  -DTYPE=bf16|half -DPACK=8 -DTHREADS=32|256
// options  -DTYPE=float|bf16|half -DPACK=1 -DTHREADS=256
#include "rows.cuh"

typedef TYPE T;
constexpr int MEAN = 256;

/// A sum of e^(x − max), and max: of what a thread has seen so far.
struct Online {
    float max, sum;
    static __device__ __forceinline__ float finite(float m) { return m == -INFINITY ? 0.f : m; }

    template <int N> __device__ __forceinline__ void add(const Vec<float, N>& v) {
        float top = max;
#pragma unroll
        for (int i = 0; i < N; i++) top = fmaxf(top, v[i]);
        const float shift = finite(top);
        if (top > max) sum *= expf(max - shift);
#pragma unroll
        for (int i = 0; i < N; i++) sum += expf(v[i] - shift);
        max = top;
    }
};

extern "C" __global__ void __launch_bounds__(256) cross_entropy_forward(
    float* losses, float* lse, const T* x, const int* labels, int rows, int cols, int ignore) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    const int label = labels[row];
    if (label == ignore) {
        if (threadIdx.x == 0) losses[row] = 0;
        return;
    }
    x += (i64)row * cols;
    Online mine{-INFINITY, 0.f};
    walk_row<THREADS, PACK>(x, cols, [&](int c) { mine.add(load<1>(x + c)); }, [&](int c) { mine.add(load<PACK>(x + c)); });
    const float max = team_max<THREADS>(mine.max), shift = Online::finite(max);
    const float log = logf(team_sum<THREADS>(mine.sum * expf(mine.max - shift)));
    if (threadIdx.x != 0) return;
    lse[row] = max + log;
    losses[row] = max - to_float(x[label]) + log;
}

extern "C" __global__ void __launch_bounds__(MEAN) cross_entropy_mean(float* y, const float* losses, const int* counted, int rows) {
    double sum = 0;
    for (int t = threadIdx.x; t < rows; t += MEAN) sum += losses[t];
    sum = block_total<MEAN>(sum);
    if (threadIdx.x == 0) *y = *counted == 0 ? 0.f : (float)(sum / *counted);
}

extern "C" __global__ void __launch_bounds__(256) cross_entropy_backward(
    T* dx, const float* dy, const float* lse, const T* x, const int* labels, const int* counted, int rows, int cols, int ignore) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    const int label = labels[row];
    const bool counts = label != ignore;
    const float scale = counts ? *dy / *counted : 0.f, shift = counts ? lse[row] : 0.f;
    x += (i64)row * cols;
    dx += (i64)row * cols;
    auto gradient = [&](int c, float v) { return counts ? (expf(v - shift) - (c == label ? 1.f : 0.f)) * scale : 0.f; };
    walk_row<THREADS, PACK>(
        x, cols, [&](int c) { dx[c] = from_float<T>(gradient(c, to_float(x[c]))); },
        [&](int c) {
            Vec<float, PACK> v = load<PACK>(x + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) v[i] = gradient(c + i, v[i]);
            store(dx + c, v);
        });
}
