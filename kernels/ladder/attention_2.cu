// attention_2.cu: attention with an online softmax: no score is stored.   compiled per use: -DTYPE=float|bf16|half -DHEAD=64
//   maths    over the keys, m' = max(m, s·q·k), e = exp(s·q·k − m'), l' = l·exp(m − m') + e, o' = o·exp(m − m') + e·v; O = o/l.   arXiv:1805.02867
//   traffic  q and y once; k and v once for each query, 2·Tk·D elements from L2 or L1 for one row of O: at 64 tokens, 64 times what the tiles of the
//            next rung read
//   flops    4·Tq·Tk·D on the plain units, and 5 shuffles for each score, which is what it waits for
//   launch   a warp for each (query, head), its row held in registers, HEAD/32 elements a lane; block (32, 4), grid ⌈T·heads/4⌉
//   care     the largest score so far is taken off before exp
//   next     attention.cu takes 64 queries at a time through shared memory, so that a key that was loaded serves them all and no sum crosses a warp;
//            attention_mma.cu lets the tensor cores multiply
//   see      attention_1.cu · engine/ops/ladder/AttentionLadder.cs · AttentionLadderTests
// options  -DTYPE=float|bf16|half -DHEAD=64
#include "packed.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int COLUMNS = (HEAD + 31) / 32;

extern "C" __global__ void __launch_bounds__(128) attention_2(
    T* y, const T* q, const T* k, const T* v, const int* cu_query, const int* cu_key, int sequences, int queries, int heads, int width, float scale) {
    const i64 item = (i64)blockIdx.x * blockDim.y + threadIdx.y;
    if (item >= (i64)queries * heads) return;
    const i64 query = item / heads, own = query * width + item % heads * HEAD;
    const int b = sequence_of(cu_query, sequences, (int)query), end = cu_key[b + 1], lane = threadIdx.x;
    float row[COLUMNS], sums[COLUMNS], top = -INFINITY, total = 0;
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
        row[i] = lane + i * 32 < HEAD ? to_float(q[own + lane + i * 32]) * scale : 0.f;
        sums[i] = 0;
    }
    for (int j = cu_key[b]; j < end; j++) {
        const i64 at = (i64)j * width + item % heads * HEAD;
        float score = 0;
#pragma unroll
        for (int i = 0; i < COLUMNS; i++)
            if (lane + i * 32 < HEAD) score = fmaf(row[i], to_float(k[at + lane + i * 32]), score);
        score = warp_sum(score);
        const float max = fmaxf(top, score), by = expf(top - max), e = expf(score - max);
        total = total * by + e;
        top = max;
#pragma unroll
        for (int i = 0; i < COLUMNS; i++)
            if (lane + i * 32 < HEAD) sums[i] = sums[i] * by + e * to_float(v[at + lane + i * 32]);
    }
#pragma unroll
    for (int i = 0; i < COLUMNS; i++)
        if (lane + i * 32 < HEAD) y[own + lane + i * 32] = from_float<T>(sums[i] / total);
}
