// attention_1.cu: attention as the formula is written, the scores in memory.   compiled per use: -DTYPE=float|bf16|half -DHEAD=64
//   maths    S = s·Q·Kᵀ, then P = softmax_rows S where S lies, then O = P·V
//   traffic  the scores, 4 bytes for each pair of a query and a key and each head, are written, read twice and written again, and read once more: 20 bytes
//            where the other rungs move none. A query's block reads its keys, and its values, once each from L2: Tk·D elements for one row of O
//   flops    4·Tq·Tk·D on the plain units, with a load for nearly every one of them
//   launch   128 threads for each (query, head) in all three; scores (heads, T, longest) F32, so that the host must know the longest sequence: to
//            read that back is to wait for the GPU
//   care     the largest score is taken off before exp
//   next     attention_2.cu never stores a score: the softmax is taken online, a key at a time
//   see      attention_2.cu · engine/ops/ladder/AttentionLadder.cs · AttentionLadderTests
// options  -DTYPE=float|bf16|half -DHEAD=64
#include "packed.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int THREADS = 128;

extern "C" __global__ void __launch_bounds__(THREADS) attention_1_scores(
    float* scores, const T* q, const T* k, const int* cu_query, const int* cu_key, int sequences, int longest, int width, float scale) {
    const i64 query = blockIdx.x, row = blockIdx.y * (i64)gridDim.x + query;
    const int b = sequence_of(cu_query, sequences, (int)query), first = cu_key[b], count = cu_key[b + 1] - first;
    const T* const own = q + query * width + blockIdx.y * HEAD;
    for (int j = threadIdx.x; j < count; j += THREADS) {
        const T* const key = k + (i64)(first + j) * width + blockIdx.y * HEAD;
        float sum = 0;
        for (int c = 0; c < HEAD; c++) sum = fmaf(to_float(own[c]), to_float(key[c]), sum);
        scores[row * longest + j] = sum * scale;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) attention_1_softmax(
    float* scores, const int* cu_query, const int* cu_key, int sequences, int longest) {
    const i64 query = blockIdx.x;
    const int b = sequence_of(cu_query, sequences, (int)query), count = cu_key[b + 1] - cu_key[b];
    float* const s = scores + (blockIdx.y * (i64)gridDim.x + query) * longest;
    float max = -INFINITY, sum = 0;
    for (int j = threadIdx.x; j < count; j += THREADS) max = fmaxf(max, s[j]);
    max = block_max(max);
    for (int j = threadIdx.x; j < count; j += THREADS) sum += expf(s[j] - max);
    sum = block_sum(sum);
    for (int j = threadIdx.x; j < count; j += THREADS) s[j] = expf(s[j] - max) / sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) attention_1_output(
    T* y, const float* scores, const T* v, const int* cu_query, const int* cu_key, int sequences, int longest, int width) {
    const i64 query = blockIdx.x;
    const int b = sequence_of(cu_query, sequences, (int)query), first = cu_key[b], count = cu_key[b + 1] - first;
    const float* const p = scores + (blockIdx.y * (i64)gridDim.x + query) * longest;
    for (int c = threadIdx.x; c < HEAD; c += THREADS) {
        float sum = 0;
        for (int j = 0; j < count; j++) sum = fmaf(p[j], to_float(v[(i64)(first + j) * width + blockIdx.y * HEAD + c]), sum);
        y[query * width + blockIdx.y * HEAD + c] = from_float<T>(sum);
    }
}
