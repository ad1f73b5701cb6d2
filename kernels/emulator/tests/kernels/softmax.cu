// softmax.cu: y = exp(x − max) / Σ, one warp per row; rows beyond the end leave whole warps early.
// instances  softmax<float>; softmax<bf16>; softmax<half>
#include "load.cuh"
#include "warp.cuh"

template <class T> __global__ void softmax(T* y, const T* x, int rows, int cols) {
    int row = (int)(blockIdx.x * blockDim.y + threadIdx.y), lane = (int)threadIdx.x;
    if (row >= rows) return;
    x += (size_t)row * cols;
    y += (size_t)row * cols;
    float largest = -INFINITY;
    for (int i = lane; i < cols; i += 32) largest = fmaxf(largest, to_float(x[i]));
    largest = warp_max(largest);
    float sum = 0.f;
    for (int i = lane; i < cols; i += 32) sum += __expf(to_float(x[i]) - largest);
    sum = warp_sum(sum);
    for (int i = lane; i < cols; i += 32) y[i] = from_float<T>(__expf(to_float(x[i]) - largest) / sum);
}

extern "C" __global__ void __launch_bounds__(128) softmax_f32(float* y, const float* x, int rows, int cols) {
    int row = (int)(blockIdx.x * blockDim.y + threadIdx.y);
    if (row >= rows) return;
    float largest = -INFINITY, sum = 0.f;
    for (int i = (int)threadIdx.x; i < cols; i += 32) largest = fmaxf(largest, x[row * cols + i]);
    largest = warp_max(largest);
    for (int i = (int)threadIdx.x; i < cols; i += 32) sum += __expf(x[row * cols + i] - largest);
    sum = warp_sum(sum);
    for (int i = (int)threadIdx.x; i < cols; i += 32) y[row * cols + i] = __expf(x[row * cols + i] - largest) / sum;
}
