// upsample.cu: larger pictures N×H×W×C.          compiled per use: -DTYPE=float|bf16|half -DPACK=4|8|1 -DNEAREST=0|1
//   maths    nearest y[i,j] = x[⌊i/f⌋, ⌊j/f⌋]; bilinear source = max(0, (i+½)·H/outH − ½), the four neighbours by distance
//            dx = the same weights, gathered from the outputs that read the pixel
//   traffic  the larger picture once; the smaller one is read again from L1
//   launch   a block or more for a row of the result: grid (N·rows, parts of a row), a thread for PACK channels of a pixel
//   care     a source position is a fraction of integers, so that both directions see the same weights; no atomics, nothing cleared first
//   see      engine/ops/Upsample.cs · UpsampleTests
// options  -DTYPE=float -DPACK=4|1 -DNEAREST=0|1
// options  -DTYPE=bf16|half -DPACK=8 -DNEAREST=0|1
#include "load.cuh"

typedef TYPE T;

/// A position of the larger picture reads low, and its neighbour by the share of high.
struct Taps {
    int low;
    float high;
};

struct Axis {
    int size, out;

    __device__ __forceinline__ Taps taps(int i) const {
        if (NEAREST) return Taps{i / (out / size), 0.f};
        i64 at = (i64)(2 * i + 1) * size - out; // the source position, in parts of 2·out
        if (at < 0) at = 0;
        const int low = min((int)(at / (2 * (i64)out)), size - 1);
        return Taps{low, low == size - 1 ? 0.f : (float)(at - (i64)low * 2 * out) / (2.f * out)};
    }

    /// Outputs that may read position p, first and one past the last: those with a source in (p−1, p+1), and beyond the edge all.
    __device__ __forceinline__ int from(int p) const {
        if (NEAREST) return p * (out / size);
        return p == 0 ? 0 : (int)(((i64)(2 * p - 1) * out / size + 1) / 2);
    }
    __device__ __forceinline__ int to(int p) const {
        if (NEAREST) return (p + 1) * (out / size);
        return p == size - 1 ? out : min((i64)out, ((i64)(2 * p + 3) * out - 1) / size / 2 + 1);
    }

    /// How much of position p output i reads.
    __device__ __forceinline__ float weight(int i, int p) const {
        const Taps t = taps(i);
        return t.low == p ? 1.f - t.high : t.low + 1 == p ? t.high : 0.f;
    }
};

template <int N> __device__ __forceinline__ void add(Vec<float, N>& sum, const T* x, float weight) {
    const Vec<float, N> v = load<N>(x);
#pragma unroll
    for (int e = 0; e < N; e++) sum[e] = fmaf(v[e], weight, sum[e]);
}

extern "C" __global__ void __launch_bounds__(256) upsample_forward(T* y, const T* x, int h, int w, int c, int out_h, int out_w) {
    const Axis rows{h, out_h}, columns{w, out_w};
    const Taps down = rows.taps(blockIdx.x % out_h);
    const int packs = c / PACK;
    x += ((i64)(blockIdx.x / out_h) * h + down.low) * w * c;
    y += (i64)blockIdx.x * out_w * c;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < out_w * packs; i += gridDim.y * blockDim.x) {
        const int j = i / packs, channel = i % packs * PACK;
        const Taps right = columns.taps(j);
        const T* at = x + (i64)right.low * c + channel;
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        add(sum, at, (1.f - down.high) * (1.f - right.high));
        if (right.high > 0) add(sum, at + c, (1.f - down.high) * right.high);
        if (down.high > 0) {
            add(sum, at + (i64)w * c, down.high * (1.f - right.high));
            if (right.high > 0) add(sum, at + (i64)w * c + c, down.high * right.high);
        }
        store(y + (i64)j * c + channel, sum);
    }
}

extern "C" __global__ void __launch_bounds__(256) upsample_backward(T* dx, const T* dy, int h, int w, int c, int out_h, int out_w) {
    const Axis rows{h, out_h}, columns{w, out_w};
    const int row = blockIdx.x % h, packs = c / PACK;
    dy += (i64)(blockIdx.x / h) * out_h * out_w * c;
    dx += (i64)blockIdx.x * w * c;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < w * packs; i += gridDim.y * blockDim.x) {
        const int place = i / packs, channel = i % packs * PACK;
        Vec<float, PACK> sum;
#pragma unroll
        for (int e = 0; e < PACK; e++) sum[e] = 0.f;
        for (int a = rows.from(row); a < rows.to(row); a++) {
            const float above = rows.weight(a, row);
            if (above == 0) continue;
            for (int b = columns.from(place); b < columns.to(place); b++) {
                const float weight = above * columns.weight(b, place);
                if (weight != 0) add(sum, dy + ((i64)a * out_w + b) * c + channel, weight);
            }
        }
        store(dx + (i64)place * c + channel, sum);
    }
}
