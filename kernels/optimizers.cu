// optimizers.cu: an update of the flat parameters.          compiled per use: -DTYPE=float|bf16|half -DCOPY=0|1
//   maths    AdamW, Adan, SGD with momentum as their pages in engine/optim write them; F32 throughout
//   traffic  p and each moment read and written, g read, the copy written: 28 bytes an element for AdamW, 44 Adan, 20 SGD, and 2 for a
//            two-byte copy. Bound by memory: 110 M parameters by AdamW are 3.1 GB, a millisecond at 3 TB/s
//   launch   a thread for each 4 elements (16 bytes of each F32 buffer), block 256; ranges are multiples of 16 elements
//   care     what changes from update to update is read from memory, so that a captured graph can be replayed: the constants of this
//            range, and the norm of the gradient with the factor that clips it. Where the norm is not finite nothing is touched but
//            the number of refused updates, by one thread of the first range
//   see      engine/optim/Optimizer.cs, AdamW.cs, Adan.cs, Sgd.cs, GradientClip.cs · OptimizerTests, ComputeCopyTests
// options  -DTYPE=float -DCOPY=0
// options  -DTYPE=bf16|half -DCOPY=1
#include "load.cuh"

typedef TYPE T;

// Each rule's numbers, in the order of its page's Constants; then p from p, the gradient and the moments.
struct AdamW {
    static constexpr int moments = 2;
    float grad_scale, beta1, beta2, eps, keep, rate, root_scale;

    __device__ __forceinline__ float update(float p, float g, float (&m)[moments]) const {
        m[0] = m[0] * beta1 + g * (1 - beta1);
        m[1] = m[1] * beta2 + g * g * (1 - beta2);
        return p * keep - m[0] * rate / fmaf(sqrtf(m[1]), root_scale, eps);
    }
};

struct Adan {
    static constexpr int moments = 4;
    float grad_scale, beta1, beta2, beta3, eps, first, rate, difference_rate, root_scale, shrink;

    __device__ __forceinline__ float update(float p, float g, float (&m)[moments]) const {
        const float delta = first != 0 ? 0.f : g - m[3], ahead = fmaf(delta, beta2, g);
        m[0] = m[0] * beta1 + g * (1 - beta1);
        m[1] = m[1] * beta2 + delta * (1 - beta2);
        m[2] = m[2] * beta3 + ahead * ahead * (1 - beta3);
        m[3] = g;
        return (p - (m[0] * rate + m[1] * difference_rate) / fmaf(sqrtf(m[2]), root_scale, eps)) * shrink;
    }
};

struct Sgd {
    static constexpr int moments = 1;
    float grad_scale, decay, momentum, rate, nesterov;

    __device__ __forceinline__ float update(float p, float g, float (&m)[moments]) const {
        g += p * decay;
        m[0] = fmaf(m[0], momentum, g);
        return p - (nesterov != 0 ? fmaf(m[0], momentum, g) : m[0]) * rate;
    }
};

template <class Rule>
__device__ __forceinline__ void update(
    float* p, T* copy, const float* g, float* const (&m)[Rule::moments], const float* constants, const float* norm, int* refused, i64 first,
    i64 count) {
    const i64 k = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 4, i = first + k;
    if (k >= count) return;
    if (norm && norm[3] == 0) {
        if (refused && k == 0) ++*refused;
        return;
    }
    const Rule rule = *(const Rule*)constants;
    const float grad_scale = norm ? rule.grad_scale * norm[2] : rule.grad_scale;
    Vec<float, 4> value = load<4>(p + i), state[Rule::moments];
    const Vec<float, 4> grad = load_stream<4>(g + i);
#pragma unroll
    for (int s = 0; s < Rule::moments; s++) state[s] = load_stream<4>(m[s] + i);
#pragma unroll
    for (int e = 0; e < 4; e++) {
        float moments[Rule::moments];
#pragma unroll
        for (int s = 0; s < Rule::moments; s++) moments[s] = state[s][e];
        value[e] = rule.update(value[e], grad[e] * grad_scale, moments);
#pragma unroll
        for (int s = 0; s < Rule::moments; s++) state[s][e] = moments[s];
    }
#pragma unroll
    for (int s = 0; s < Rule::moments; s++) store_stream(m[s] + i, state[s]);
    store(p + i, value);
    if (COPY) store(copy + i, value);
}

extern "C" __global__ void __launch_bounds__(256) adamw(
    float* p, T* copy, float* mean, float* square, const float* g, const float* constants, const float* norm, int* refused, int slot,
    i64 first, i64 count) {
    float* const moments[] = {mean, square};
    update<AdamW>(p, copy, g, moments, constants + slot, norm, refused, first, count);
}

extern "C" __global__ void __launch_bounds__(256) adan(
    float* p, T* copy, float* mean, float* difference, float* square, float* previous, const float* g, const float* constants,
    const float* norm, int* refused, int slot, i64 first, i64 count) {
    float* const moments[] = {mean, difference, square, previous};
    update<Adan>(p, copy, g, moments, constants + slot, norm, refused, first, count);
}

extern "C" __global__ void __launch_bounds__(256) sgd(
    float* p, T* copy, float* velocity, const float* g, const float* constants, const float* norm, int* refused, int slot, i64 first,
    i64 count) {
    float* const moments[] = {velocity};
    update<Sgd>(p, copy, g, moments, constants + slot, norm, refused, first, count);
}
