// contrast.cu: the contrastive losses over all pairs of a small batch.    compiled per use: -DROW=Matching|Instance|Alignment
//   maths    C = u·wᵀ (by cuBLASLt; u = v/|v| by contrast_sides.cu); a loss for each row of C, which its gradient overwrites; the same of
//            Cᵀ for the columns
//            Matching:  Σ p·(log p − log(q+ε)), p = softmax(s·f·C), f = 1 or |v|; a, b, c = s, ε, form of q (0: y/Σy, 1: y/√Σy²)
//            Instance:  ½·(log Σ e^(s·C) − s·Cᵢᵢ); a = s
//            Alignment: Σ log(1 + e^(−τp·(C−α))) or log(1 + e^(τn·(C−β))); a, b, c, d = α, β, τp, τn
//   traffic  N² floats: rows read two or three times (from L2) and written once; both ways turn them twice more
//   launch   rows: block 128, a block a row. turn: block (32, 8), a block for 32×32
//   care     of equal floats a NaN is not one: identities are compared as integers. Logarithms of a row are taken once, in
//            F64, as the CPU does. Sums in fixed order
//   see      contrast_stream.cu for large batches · engine/ops/ContrastStored.cs, Cmpm.cs, InfoNce.cs, AlignmentLoss.cs · CmpmTests, SdmTests, InfoNceTests, AlignmentLossTests
// options  -DROW=Matching|Instance|Alignment
#include "smem.cuh"
#include "warp.cuh"

/// A row of cosines as one block sees it, and what its loss takes.
struct Row {
    float* cosines;
    const int* identities;
    int index, count;
    float factor, a, b, c, d;
};
struct Loss { float value, by_factor; };

struct Matching {
    static __device__ Loss of(const Row& r) {
        __shared__ double logs[3];
        const float scale = r.a * r.factor;
        const int own = r.identities[r.index];
        float highest = -INFINITY;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) highest = fmaxf(highest, r.cosines[j]);
        const float top = scale * block_max(highest);
        // With e = e^(score − top): L = Σ e·(score − top − log(q+ε))/Σe − log Σe, and q has but two values.
        float other = 0, along = 0, same = 0, matches = 0;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) {
            const float centred = fmaf(r.cosines[j], scale, -top), e = expf(centred);
            along = fmaf(e, centred, along);
            if (r.identities[j] == own) same += e, matches += 1;
            else other += e;
        }
        other = block_sum(other);
        along = block_sum(along);
        same = block_sum(same);
        matches = block_sum(matches);
        if (threadIdx.x == 0) {
            const double q = 1.0 / (r.c == 0 ? (double)matches : sqrt((double)matches)), total = (double)other + same;
            const double log_same = log(q + r.b), log_other = log((double)r.b), log_sum = log(total);
            const double loss = (along - same * log_same - other * log_other) / total - log_sum;
            logs[0] = loss;
            logs[1] = log_sum + log_same + loss;
            logs[2] = log_sum + log_other + loss;
        }
        __syncthreads();
        const float mean_same = (float)logs[1], mean_other = (float)logs[2], weight = 1.f / (other + same);
        float by_scale = 0;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) {
            const float cosine = r.cosines[j], centred = fmaf(cosine, scale, -top);
            const float f = centred - (r.identities[j] == own ? mean_same : mean_other), g = expf(centred) * weight * f;
            r.cosines[j] = g * scale;
            by_scale = fmaf(g, cosine, by_scale);
        }
        return Loss{(float)logs[0], r.a * block_sum(by_scale)};
    }
};

struct Instance {
    static __device__ Loss of(const Row& r) {
        float highest = -INFINITY;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) highest = fmaxf(highest, r.cosines[j]);
        const float top = r.a * block_max(highest), own = fmaf(r.a, r.cosines[r.index], -top);
        float sum = 0;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) sum += expf(fmaf(r.a, r.cosines[j], -top));
        const float total = block_sum(sum), weight = 0.5f * r.a / total;
        // p − 1 of a pair that is almost certain would cancel; the rest of the row does not.
        float rest = 0;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) {
            if (j == r.index) continue;
            const float g = expf(fmaf(r.a, r.cosines[j], -top)) * weight;
            r.cosines[j] = g;
            rest += g;
        }
        rest = block_sum(rest);
        if (threadIdx.x == 0) r.cosines[r.index] = -rest;
        return Loss{(float)(0.5 * (log((double)total) - own)), 0};
    }
};

struct Alignment {
    static __device__ Loss of(const Row& r) {
        const int own = r.identities[r.index];
        float sum = 0;
        for (int j = threadIdx.x; j < r.count; j += blockDim.x) {
            const bool same = r.identities[j] == own;
            const float slope = same ? -r.c : r.d, z = (r.cosines[j] - (same ? r.a : r.b)) * slope, e = expf(-fabsf(z));
            r.cosines[j] = slope * (z > 0 ? 1.f : e) / (1.f + e);
            sum += fmaxf(z, 0.f) + log1pf(e); // never overflows, and keeps the digits of small losses
        }
        return Loss{block_sum(sum), 0};
    }
};

extern "C" __global__ void __launch_bounds__(128) contrast_rows(
    float* losses, float* by_size, float* cosines, const float* size, const int* identities, int n, int first, int lengths,
    float a, float b, float c, float d) {
    const int row = blockIdx.x;
    const Loss loss = ROW::of(Row{cosines + (i64)row * n, identities, row, n, lengths ? size[first + row] : 1.f, a, b, c, d});
    if (threadIdx.x != 0) return;
    losses[first + row] = loss.value;
    by_size[first + row] = lengths ? loss.by_factor : 0.f;
}

// to = fromᵀ, or to += fromᵀ: (n, n) by tiles, so that both sides move whole lines. The odd width keeps columns out of one bank.
extern "C" __global__ void __launch_bounds__(256) contrast_turn(float* to, const float* from, int n, int add) {
    __shared__ float tile[32][33];
    const int tiles = (n + 31) / 32, row = blockIdx.x / tiles * 32, col = blockIdx.x % tiles * 32;
    for (int r = threadIdx.y; r < 32; r += 8)
        if (row + r < n && col + (int)threadIdx.x < n) tile[r][threadIdx.x] = from[(i64)(row + r) * n + col + threadIdx.x];
    __syncthreads();
    for (int r = threadIdx.y; r < 32; r += 8) {
        if (col + r >= n || row + (int)threadIdx.x >= n) continue;
        float* y = to + (i64)(col + r) * n + row + threadIdx.x;
        *y = add ? *y + tile[threadIdx.x][r] : tile[threadIdx.x][r];
    }
}

// Σ of the rows' losses over n, in F64: one block of 256.
extern "C" __global__ void __launch_bounds__(256) contrast_total(float* y, const float* losses, int count, int n) {
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += 256) sum += losses[i];
    sum = block_total<256>(sum);
    if (threadIdx.x == 0) *y = (float)(sum / n);
}
