// sequences.cu: packed sequences; sequence b is rows at[b] … at[b+1]−1.  compiled per use: -DTYPE=float|bf16|half -DOTHER=float|TYPE -DPACK=4|1
//   maths    sum and mean of a sequence's rows; a row for each sequence spread over it (1/n of it), or added to its rows;
//            offsets of sequences of one length
//   traffic  every input once, the output once; an offset's search is some seven reads from L1 a row
//   launch   sequence_sum: block (32, 8), grid (B, ⌈cols/(32·PACK)⌉); even_offsets: a thread an offset; the others: a warp a row, block (32, 4)
//   care     no atomics: warp w adds rows w, w+8, … in order, then the warps are added in theirs. Empty sequences sum to 0
//   see      engine/ops/Sequences.cs · SequencesTests
// options  -DTYPE=float|bf16|half -DOTHER=float -DPACK=4|1
// options  -DTYPE=bf16 -DOTHER=bf16 -DPACK=4
// options  -DTYPE=half -DOTHER=half -DPACK=4
#include "load.cuh"
#include "packed.cuh"

typedef TYPE T;
constexpr int WARPS = 8;

extern "C" __global__ void __launch_bounds__(256) sequence_sum(OTHER* y, const T* x, const int* at, int cols, int mean) {
    __shared__ float part[WARPS][32 * PACK];
    const int first = at[blockIdx.x], end = at[blockIdx.x + 1], base = blockIdx.y * 32 * PACK, c = base + threadIdx.x * PACK;
    Vec<float, PACK> sum;
#pragma unroll
    for (int i = 0; i < PACK; i++) sum[i] = 0;
    if (c < cols)
        for (int t = first + (int)threadIdx.y; t < end; t += WARPS) {
            const Vec<float, PACK> v = load<PACK>(x + (i64)t * cols + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) sum[i] += v[i];
        }
#pragma unroll
    for (int i = 0; i < PACK; i++) part[threadIdx.y][threadIdx.x * PACK + i] = sum[i];
    __syncthreads();
    const int mine = threadIdx.y * 32 + threadIdx.x;
    if (mine >= 32 * PACK || base + mine >= cols) return;
    float total = part[0][mine];
    for (int w = 1; w < WARPS; w++) total += part[w][mine];
    y[(i64)blockIdx.x * cols + base + mine] = from_float<OTHER>(mean ? total / (end - first) : total);
}

extern "C" __global__ void __launch_bounds__(128) segment_mean_backward(T* dx, const T* dy, const int* at, int sequences, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const int b = sequence_of(at, sequences, row);
    const float by = 1.f / (at[b + 1] - at[b]);
    for (int c = threadIdx.x * PACK; c < cols; c += 32 * PACK) {
        Vec<float, PACK> v = load<PACK>(dy + (i64)b * cols + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) v[i] *= by;
        store(dx + (i64)row * cols + c, v);
    }
}

extern "C" __global__ void __launch_bounds__(128) add_per_sequence(T* y, const T* x, const OTHER* v, const int* at, int sequences, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const int b = sequence_of(at, sequences, row);
    for (int c = threadIdx.x * PACK; c < cols; c += 32 * PACK) {
        Vec<float, PACK> sum = load<PACK>(x + (i64)row * cols + c);
        const Vec<float, PACK> added = load<PACK>(v + (i64)b * cols + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum[i] += added[i];
        store(y + (i64)row * cols + c, sum);
    }
}

extern "C" __global__ void __launch_bounds__(256) even_offsets(int* at, int count, int length) {
    const int b = blockIdx.x * blockDim.x + threadIdx.x;
    if (b < count) at[b] = b * length;
}
