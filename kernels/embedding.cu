// embedding.cu: rows picked by number, and their gradients put back.   compiled per use: -DTYPE=float|bf16|half -DGRADIENT=float|TYPE -DPACK=4|8|1
//   maths    y_t = x[i_t];   dx_r = Σ_{t: i_t = r} dy_t, in F32, rounded once
//   traffic  forward: y read and written once. Backward: dx cleared before, dy read once, touched rows of dx written once; partial
//            sums are a 32nd of dy in F32
//   launch   gather_rows: a warp a row. sort_picks: a thread a pick, ⌈T/256⌉ blocks; it compares each with each: 16,384 picks are
//            268 million comparisons out of shared memory, about 30 µs.
//            sum_picks: 64 sorted picks × 64·PACK columns a block; join_picks: the same grid
//   care     no atomics: picks are in order of (row, position), a chunk of 64 is added in that order, and what chunks share in theirs,
//            so the same bits every time, and one word that is all of the text costs no more than many
//   see      engine/ops/Embedding.cs · EmbeddingTests
// options  -DTYPE=float|bf16|half -DGRADIENT=float -DPACK=4|1
// options  -DTYPE=bf16 -DGRADIENT=bf16 -DPACK=4
// options  -DTYPE=half -DGRADIENT=half -DPACK=4
#include "load.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int SORT = 256, CHUNK = 64, THREADS = 64;

extern "C" __global__ void __launch_bounds__(128) gather_rows(T* y, const T* x, const int* picks, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    y += (i64)row * cols;
    x += (i64)picks[row] * cols;
    for (int c = threadIdx.x * PACK; c < cols; c += 32 * PACK) store_as(y + c, load_as<Vec<T, PACK>>(x + c));
}

// A pick's place is the number of those before it: smaller ones, and equal ones at earlier positions.
extern "C" __global__ void __launch_bounds__(SORT) sort_picks(int* order, int* sorted, const int* picks, int count) {
    __shared__ int tile[SORT];
    const int t = blockIdx.x * SORT + threadIdx.x, mine = t < count ? picks[t] : 0;
    int place = 0;
    for (int base = 0; base < count; base += SORT) {
        if (base + (int)threadIdx.x < count) tile[threadIdx.x] = picks[base + threadIdx.x];
        __syncthreads();
        const int n = min(SORT, count - base);
        for (int j = 0; j < n; j++) place += tile[j] < mine || (tile[j] == mine && base + j < t);
        __syncthreads();
    }
    if (t >= count) return;
    order[place] = t;
    sorted[place] = mine;
}

// A run of equal picks that lies in its chunk is written; a part of a longer one goes to partial: slot 0 of its chunk when the run came
// from the chunk before, else slot 1.
extern "C" __global__ void __launch_bounds__(THREADS) sum_picks(
    GRADIENT* dx, float* partial, const T* dy, const int* order, const int* sorted, int count, int cols) {
    __shared__ int from[CHUNK], row[CHUNK];
    const int begin = blockIdx.x * CHUNK, n = min(CHUNK, count - begin);
    const int before = begin > 0 ? sorted[begin - 1] : -1, after = begin + n < count ? sorted[begin + n] : -1;
    for (int j = threadIdx.x; j < n; j += THREADS) {
        from[j] = order[begin + j];
        row[j] = sorted[begin + j];
    }
    __syncthreads();
    const int c = (blockIdx.y * THREADS + threadIdx.x) * PACK;
    if (c >= cols) return;
    for (int j = 0; j < n;) {
        const int r = row[j];
        const bool came = j == 0 && r == before;
        Vec<float, PACK> sum = load<PACK>(dy + (i64)from[j] * cols + c);
        for (j++; j < n && row[j] == r; j++) {
            const Vec<float, PACK> d = load<PACK>(dy + (i64)from[j] * cols + c);
#pragma unroll
            for (int i = 0; i < PACK; i++) sum[i] += d[i];
        }
        const bool goes = j == n && r == after;
        if (came || goes) store(partial + ((i64)blockIdx.x * 2 + (came ? 0 : 1)) * cols + c, sum);
        else store(dx + (i64)r * cols + c, sum);
    }
}

// The block of the chunk in which a run begins that goes on in the next adds its parts.
extern "C" __global__ void __launch_bounds__(THREADS) join_picks(GRADIENT* dx, const float* partial, const int* sorted, int count, int cols) {
    const int begin = blockIdx.x * CHUNK, end = begin + CHUNK;
    if (end >= count) return;
    const int r = sorted[end];
    if (sorted[end - 1] != r || (begin > 0 && sorted[begin - 1] == r)) return;
    const int c = (blockIdx.y * THREADS + threadIdx.x) * PACK;
    if (c >= cols) return;
    Vec<float, PACK> sum = load<PACK>(partial + ((i64)blockIdx.x * 2 + 1) * cols + c);
    for (int at = end; at < count && sorted[at] == r; at += CHUNK) {
        const Vec<float, PACK> part = load<PACK>(partial + (i64)(at / CHUNK) * 2 * cols + c);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum[i] += part[i];
    }
    store(dx + (i64)r * cols + c, sum);
}
