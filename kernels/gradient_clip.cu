// gradient_clip.cu: the norm of all gradients and the factor that clips it.          compiled once
//   maths    ‖g‖ = √Σ g²·|s|;  factor = s·min(1, max/(‖g‖ + 1e-6));  s is an argument, over the loss scale where there is one
//   traffic  g read once, for norm, overflow and the factor that unscales alike; 8 bytes for each 16,384 elements written and read again
//   launch   gradient_squares: block 256, a block for 16,384 elements. gradient_norm: one block of 256
//   care     squares are added in F64: in F32 they overflow at 1.8e19. Blocks depend on the count alone and are added in order. The
//            factor stays on the device, where the optimiser reads it: result is the F64 norm in two words, the factor, and 1 if finite. The
//            loss scale is read from memory: it changes while a captured graph is replayed
//   see      engine/optim/GradientClip.cs · GradientClipTests
#include "load.cuh"
#include "warp.cuh"

constexpr int THREADS = 256, PER_THREAD = 16; // packs of 4 elements

extern "C" __global__ void __launch_bounds__(THREADS) gradient_squares(float* partial, const float* g, i64 count) {
    const i64 first = ((i64)blockIdx.x * THREADS * PER_THREAD + threadIdx.x) * 4;
    double sum = 0;
    for (int k = 0; k < PER_THREAD; k++) {
        const i64 i = first + (i64)k * THREADS * 4;
        if (i >= count) break;
        const Vec<float, 4> v = load<4>(g + i);
#pragma unroll
        for (int e = 0; e < 4; e++) sum += (double)v[e] * v[e];
    }
    sum = block_total<THREADS>(sum);
    if (threadIdx.x == 0) ((double*)partial)[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) gradient_norm(
    float* result, const float* partial, const float* loss_scale, int blocks, float largest, float factor) {
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += ((const double*)partial)[b];
    sum = block_total<THREADS>(sum);
    if (threadIdx.x != 0) return;
    const double scale = loss_scale != nullptr ? (double)factor / *loss_scale : (double)factor;
    const double norm = sqrt(sum) * fabs(scale), clip = (double)largest / (norm + 1e-6);
    *(double*)result = norm;
    result[2] = (float)(scale * (clip < 1 ? clip : 1.0));
    result[3] = norm - norm == 0 ? 1.f : 0.f; // infinity and NaN less themselves are NaN
}
