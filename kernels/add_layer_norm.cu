// add_layer_norm.cu: layer norm of x + dropout(a).          compiled per use: -DTYPE=float|bf16|half -DCOLS=768 -DPACK=4|8|1
//   maths    s = x + (u ≥ p ? a/(1−p) : 0), y = layer norm of s; u = Philox uniform of the element, as in dropout.cu
//            ds as in layer_norm.cu; dx = ds, da = (u ≥ p ? ds/(1−p) : 0)
//   traffic  forward: x and a read, s and y written (s not where no backward comes); as three ops it would be 7 passes and a bit an
//            element, here 4: 4096×768 bf16 = 25 MB in place of 44. Backward: dy and s read, dx and da written: 4 passes in place of 5
//   launch   forward: a warp a row, block (32, 4). Backward: 32 rows a block, block (32, 8), 8·COLS bytes of shared memory
//   care     the mask is drawn again, not kept: ten rounds for four elements are hidden behind the memory here (on a CPU they are not).
//            s is rounded before it is normalised: statistics are those of what is saved. a/(1−p) is rounded before it is added, as dropout.cu
//            stores it: in F32 the bits of the three ops
//   see      layer_norm.cu (γ's and β's sums) · dropout.cu · engine/ops/AddLayerNorm.cs · AddLayerNormTests
// options  -DTYPE=float -DPACK=4 -DCOLS=64|768
// options  -DTYPE=bf16|half -DPACK=8 -DCOLS=64|768
// options  -DTYPE=float|bf16|half -DPACK=1 -DCOLS=70
#include "layer_norm.cuh"
#include "philox.cuh"

typedef TYPE T;

struct Dropout {
    Philox random;
    float p, scale;

    /// v·scale where its element is kept, else 0, of the elements from first on.
    __device__ __forceinline__ void apply(Vec<float, PACK>& v, i64 first) const {
        if (p == 0) return;
        if constexpr (PACK % 4 == 0) {
#pragma unroll
            for (int q = 0; q < PACK; q += 4) {
                const Uniform4 u = random.uniform4((u64)(first + q) / 4);
#pragma unroll
                for (int i = 0; i < 4; i++) v[q + i] = u.at[i] >= p ? __fmul_rn(v[q + i], scale) : 0.f;
            }
        } else {
#pragma unroll
            for (int i = 0; i < PACK; i++) v[i] = random.uniform((u64)(first + i)) >= p ? __fmul_rn(v[i], scale) : 0.f;
        }
    }
};

/// The step is read from memory where it lies there: an argument would stay what it was when a graph was captured.
__device__ __forceinline__ Dropout dropout(const int* step_now, float p, float scale, i64 seed, int stream, int step) {
    return Dropout{Philox{(u64)seed, (u32)stream, (u32)(step_now != nullptr ? *step_now : step)}, p, scale};
}

extern "C" __global__ void __launch_bounds__(128) add_layer_norm_forward(
    T* y, T* sum, float* mean, float* rstd, const T* x, const T* added, const float* gamma, const float* beta, const int* step_now, int rows, float eps,
    float p, float scale, i64 seed, int stream, int step) {
    constexpr int STEPS = RowOfWarp<COLS, PACK>::packs;
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const Dropout drop = dropout(step_now, p, scale, seed, stream, step);
    const i64 at = (i64)row * COLS;
    Vec<float, PACK> v[STEPS];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int c = column_of<PACK>(s);
        if (c >= COLS) break;
        v[s] = load<PACK>(added + at + c);
        drop.apply(v[s], at + c);
        const Vec<float, PACK> from = load<PACK>(x + at + c);
        Vec<T, PACK> stored;
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            stored[i] = from_float<T>(v[s][i] + from[i]);
            v[s][i] = to_float(stored[i]);
        }
        if (sum != nullptr) store_as(sum + at + c, stored);
    }
    layer_norm_row<COLS>(y + at, mean + row, rstd + row, v, gamma, beta, eps);
}

extern "C" __global__ void __launch_bounds__(256) add_layer_norm_backward(
    T* dx, T* da, float* partial, const T* dy, const T* sum, const float* mean, const float* rstd, const float* gamma, const int* step_now, int rows,
    float p, float scale, i64 seed, int stream, int step) {
    const Dropout drop = dropout(step_now, p, scale, seed, stream, step);
    layer_norm_gradient<COLS, PACK>(dx, partial, dy, sum, mean, rstd, gamma, rows, [&](i64 at, Vec<float, PACK> d) {
        drop.apply(d, at);
        store(da + at, d);
    });
}
