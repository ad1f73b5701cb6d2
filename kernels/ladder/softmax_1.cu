// softmax_1.cu: rung 1 below softmax.cu: three walks along a row.          compiled per use: -DTYPE=float|bf16|half
//   maths    m = max x, then Σ e^(x−m), then y = e^(x−m)/Σ: each walk wants what the one before found
//   traffic  x is asked for three times and y written once; e^(x−m) is computed twice
//   launch   a warp a row, block (32, 4); 2 or 4 bytes a thread an instruction
//   care     a row of −∞ gives zeros, not NaN: m = 0 there
//   next     rung 2 finds maximum and sum in one walk: when a larger element comes, what was summed is rescaled. The same step lets
//            attention go on from tile to tile without seeing the row's end
//   see      lesson 06 · engine/ops/ladder/SoftmaxLadder.cs
// options  -DTYPE=float|bf16|half
#include "types.cuh"
#include "warp.cuh"

typedef TYPE T;

extern "C" __global__ void __launch_bounds__(128) softmax_three_walks(T* y, const T* x, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += (i64)row * cols;
    y += (i64)row * cols;
    float max = -INFINITY, sum = 0;
    for (int c = threadIdx.x; c < cols; c += 32) max = fmaxf(max, to_float(x[c]));
    max = warp_max(max);
    if (max == -INFINITY) max = 0;
    for (int c = threadIdx.x; c < cols; c += 32) sum += expf(to_float(x[c]) - max);
    sum = warp_sum(sum);
    const float scale = sum == 0.f ? 0.f : 1.f / sum;
    for (int c = threadIdx.x; c < cols; c += 32) y[c] = from_float<T>(expf(to_float(x[c]) - max) * scale);
}
