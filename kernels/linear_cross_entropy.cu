// linear_cross_entropy.cu: cross entropy of logits that exist a part of the vocabulary at a time.   compiled per use: -DTYPE=float|bf16|half -DPACK=4|1 -DTHREADS=32|256
//   maths    lse_t = log Σ_v e^(x_tv) over parts: max and sum of a part join those so far, the sum rescaled when the maximum grows.
//            g_t = dL/n·(e^(x_t − lse_t) − onehot(label_t)), rounded to TYPE for the products; db = Σ_t g_t from what is not rounded
//   traffic  a part's logits (F32, 8 MB at most) are written by cuBLASLt and read here while they lie in the second-level cache: fold reads
//            4 bytes an element, gradient reads 4 and writes 2 in two-byte types; db's partial sums are a 64th of it
//   launch   fold: a warp (parts up to 1,024 wide) or a block of 256 a row. gradient: block (32, 8), 32·PACK columns × 64 rows
//   care     max − x[label] first, then + log Σ: exact with logits of 10⁴. A part without a finite logit takes off nothing. No atomics: a
//            block's rows are added in the order of its warps, blocks in their own order. g may be written over x where TYPE is float
//   see      engine/ops/LinearCrossEntropy.cs · cross_entropy.cu (its mean) · LinearCrossEntropyTests
// options  -DTYPE=float|bf16|half -DPACK=4 -DTHREADS=32|256
// options  -DTYPE=float|bf16|half -DPACK=1 -DTHREADS=256
#include "column_sums.cuh"
#include "rows.cuh"

typedef TYPE T;

/// Of all parts so far, a row: its maximum, Σ e^(x − max) and the logit of its label.
struct State {
    float max, sum, own;
};

extern "C" __global__ void __launch_bounds__(256) linear_cross_entropy_fold(
    float* state, float* losses, float* lse, const float* x, const int* labels, int rows, int cols, int first, int vocabulary, int ignore) {
    const int row = row_of_team<THREADS>();
    if (row >= rows) return;
    const int label = labels[row];
    if (label == ignore) {
        if (threadIdx.x == 0) losses[row] = 0;
        return;
    }
    x += (i64)row * cols;
    float top = -INFINITY;
    walk_row<THREADS, 4>(x, cols, [&](int c) { top = fmaxf(top, x[c]); }, [&](int c) {
        const Vec<float, 4> v = load<4>(x + c);
#pragma unroll
        for (int i = 0; i < 4; i++) top = fmaxf(top, v[i]);
    });
    top = team_max<THREADS>(top);
    const float shift = top == -INFINITY ? 0.f : top;
    float sum = 0;
    walk_row<THREADS, 4>(x, cols, [&](int c) { sum += expf(x[c] - shift); }, [&](int c) {
        const Vec<float, 4> v = load<4>(x + c);
#pragma unroll
        for (int i = 0; i < 4; i++) sum += expf(v[i] - shift);
    });
    sum = team_sum<THREADS>(sum);
    if (threadIdx.x != 0) return;
    State now = first == 0 ? State{-INFINITY, 0.f, 0.f} : *(const State*)(state + (i64)row * 3);
    const float max = fmaxf(now.max, top), of = max == -INFINITY ? 0.f : max;
    now.sum = now.sum * expf(now.max - of) + sum * expf(top - of);
    now.max = max;
    if (label >= first && label < first + cols) now.own = x[label - first];
    if (first + cols < vocabulary) {
        *(State*)(state + (i64)row * 3) = now;
        return;
    }
    const float log = logf(now.sum);
    lse[row] = now.max + log;
    losses[row] = now.max - now.own + log;
}

/// g from x, PACK at a time; each column's sum over this block's rows goes to partial (blocks of rows × cols), if there is any.
extern "C" __global__ void __launch_bounds__(256) linear_cross_entropy_gradient(
    T* g, float* partial, const float* x, const float* dy, const float* lse, const int* labels, const int* counted, int rows, int cols, int first, int ignore) {
    const int c = own_columns();
    const int from = blockIdx.y * ROWS_PER_BLOCK, end = min(rows, from + ROWS_PER_BLOCK);
    const float per_row = *dy / max(1, *counted);
    Vec<float, PACK> sum;
#pragma unroll
    for (int i = 0; i < PACK; i++) sum[i] = 0;
    if (c < cols)
        for (int row = from + threadIdx.y; row < end; row += WARPS) {
            const int label = labels[row];
            const i64 at = (i64)row * cols + c;
            Vec<float, PACK> v;
            if (label == ignore) {
#pragma unroll
                for (int i = 0; i < PACK; i++) v[i] = 0;
            } else {
                const float shift = lse[row];
                v = load<PACK>(x + at);
#pragma unroll
                for (int i = 0; i < PACK; i++) {
                    v[i] = (expf(v[i] - shift) - (first + c + i == label ? 1.f : 0.f)) * per_row;
                    sum[i] += v[i];
                }
            }
            store(g + at, v);
        }
    if (partial == nullptr) return;
    leave_columns(partial, sum, cols);
}
