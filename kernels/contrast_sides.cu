// contrast_sides.cu: embeddings on their way to length one and back.     compiled per use: -DTYPE=float|bf16|half -DOWN=float|TYPE
//   maths    u = v/|v| (normalize), or |v| and 1/|û| alone, û = v or, where it is copied, v·2^−⌊log₂|v|⌋, which is exact (sizes);
//            dv = dy/N·((g − û(û·g)/|û|²)·|û|/|v| + d|v|·û/|û|), g the gradient by û (combine)
//   traffic  v and u once, g twice (the second time from L1 or L2), dv once
//   launch   a warp a row, block (32, 4)
//   care     a zero embedding has no direction: u = 0 and its gradient is 0. OWN is how û is stored: float where it is u, |û| = 1
//   see      engine/ops/ContrastStored.cs, ContrastStream.cs · CmpmTests, ContrastStreamTests
// options  -DTYPE=float|bf16|half -DOWN=float
// options  -DTYPE=bf16 -DOWN=bf16
// options  -DTYPE=half -DOWN=half
#include "load.cuh"
#include "warp.cuh"

typedef TYPE T;

__device__ __forceinline__ float length_of(const T* x, int cols) {
    float squares = 0;
    for (int c = threadIdx.x; c < cols; c += 32) squares += to_float(x[c]) * to_float(x[c]);
    return sqrtf(warp_sum(squares));
}

extern "C" __global__ void __launch_bounds__(128) contrast_normalize(float* u, float* size, const T* x, int rows, int cols, int first) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
    if (row >= rows) return;
    x += (i64)row * cols;
    u += (i64)row * cols;
    const float length = length_of(x, cols), by = length > 0 ? 1.f / length : 0.f;
    if (lane == 0) size[first + row] = length;
    for (int c = lane; c < cols; c += 32) u[c] = to_float(x[c]) * by;
}

// copy: where û goes when it is another than x, else null.
extern "C" __global__ void __launch_bounds__(128) contrast_sizes(float* size, float* inverse, T* copy, const T* x, int rows, int cols, int first) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x;
    if (row >= rows) return;
    x += (i64)row * cols;
    const float length = length_of(x, cols);
    const float by = copy ? __uint_as_float((254u - (__float_as_uint(length) >> 23 & 255u)) << 23) : 1.f;
    if (lane == 0) {
        size[first + row] = length;
        inverse[first + row] = length > 0 ? 1.f / (length * by) : 0.f;
    }
    if (!copy) return;
    copy += (i64)row * cols;
    for (int c = lane; c < cols; c += 32) copy[c] = from_float<T>(length == 0 ? 0.f : to_float(x[c]) * by); // a NaN stays one
}

// From g, which may stand in dx. inverse: 1/|û|, or null where that is 1. Statistics' first row is row first of n pairs.
extern "C" __global__ void __launch_bounds__(128) contrast_combine(
    T* dx, const float* dy, const float* g, const OWN* own, const float* inverse, const float* size, const float* by_size, int rows, int n, int cols, int first) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x, at = first + row;
    if (row >= rows) return;
    dx += (i64)row * cols;
    g += (i64)row * cols;
    own += (i64)row * cols;
    const float scale = *dy / n, length = size[at], by = inverse ? inverse[at] : 1.f, outer = length > 0 ? scale / (length * by) : 0.f;
    float dot = 0;
    for (int c = lane; c < cols; c += 32) dot = fmaf(g[c], to_float(own[c]), dot);
    const float along = scale * by_size[at] * by - outer * by * by * warp_sum(dot);
    for (int c = lane; c < cols; c += 32) dx[c] = from_float<T>(fmaf(g[c], outer, to_float(own[c]) * along));
}
