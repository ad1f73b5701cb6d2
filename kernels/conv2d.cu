// conv2d.cu: convolution as a product whose left factor is never written down.
//                        compiled per use: -DTYPE=float|bf16|half -DTILE=64|128 -DPACK_A=4|1 -DPACK_B=4|1 -DPACK_Y=4|1
//   maths    forward  y[p,k]  = b_k + Σ_{r,s,c} x[p·t+(r,s)−pad, c]·w[r,s,c,k]       pixels × K, sums of R·S·C
//            data     dx[p,c] = b_c + Σ_{r,s,k} dy[(p+pad−(r,s))/t, k]·w[r,s,c,k]    for each of the t² phases of p, which meet their own taps alone
//            weight   dw[rsc,k] = Σ_p x[…]·dy[p,k]                                   R·S·C × K, sums over all pixels, cut into parts
//   traffic  a tile of TILE×TILE results reads 2·TILE values for each term: TILE/4 multiplications a byte in F32. Taps of neighbours overlap in L2.
//   launch   block 256, each thread (TILE/16)² results; grid ⌈M/TILE⌉ × ⌈N/TILE⌉ (× phases or parts); 16·(TILE+4)·8 bytes of shared memory
//   care     takes F32, and what is stored in two bytes where conv2d_mma.cu does not. The next 16 terms are fetched while these are multiplied. Taps
//            outside the picture are zeros. F32 products and sums whatever is stored; parts of the weight gradient are fixed by the shape and
//            added in order, so the same bits every time
//   see      conv2d_mma.cu · ladder/conv2d_1.cu, conv2d_2.cu · engine/ops/CudaConvolution.cs · Conv2dTests
// options  -DTYPE=float|bf16|half -DTILE=64|128 -DPACK_A=4 -DPACK_B=4 -DPACK_Y=4
// options  -DTYPE=float|bf16|half -DTILE=64 -DPACK_A=1 -DPACK_B=1|4 -DPACK_Y=1|4
#include "digits.cuh"
#include "load.cuh"

typedef TYPE T;
constexpr int THREADS = 256, DEPTH = 16, SIDE = 16, PER = TILE / SIDE, LINE = TILE + 4; // 4 floats more: 16-byte rows in other banks

template <int P> __device__ __forceinline__ void read(float* to, const T* from, bool valid) {
    if (valid) {
        const Vec<float, P> v = load<P>(from);
#pragma unroll
        for (int i = 0; i < P; i++) to[i] = v[i];
    } else
#pragma unroll
        for (int i = 0; i < P; i++) to[i] = 0.f;
}

/// A thread's share of a tile whose memory runs along the terms of the sum: 16/P threads for a row, PER/P rows a thread.
template <int P> struct Along {
    static constexpr int PASSES = PER / P, ACROSS = DEPTH / P;
    static __device__ __forceinline__ int term() { return (int)threadIdx.x % ACROSS * P; }
    static __device__ __forceinline__ int row(int pass) { return (int)threadIdx.x / ACROSS + pass * (THREADS / ACROSS); }

    static __device__ __forceinline__ void put(float* tile, const float (&v)[PER]) {
#pragma unroll
        for (int p = 0; p < PASSES; p++)
#pragma unroll
            for (int i = 0; i < P; i++) tile[(term() + i) * LINE + row(p)] = v[p * P + i];
    }
};

/// The same where memory runs along the rows of the tile: TILE/P threads for a term, PER/P terms a thread.
template <int P> struct Across {
    static constexpr int PASSES = PER / P, ACROSS = TILE / P, TERMS = THREADS / ACROSS;
    static __device__ __forceinline__ int row() { return (int)threadIdx.x % ACROSS * P; }
    static __device__ __forceinline__ int term(int pass) { return (int)threadIdx.x / ACROSS + pass * TERMS; }

    static __device__ __forceinline__ void put(float* tile, const float (&v)[PER]) {
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            Vec<float, P> u;
#pragma unroll
            for (int i = 0; i < P; i++) u[i] = v[p * P + i];
            store(tile + term(p) * LINE + row(), u);
        }
    }
};

/// Rows are pixels of a result, terms (tap row, tap column, channel) of what it is made from; taps go forwards or backwards.
template <int P, int DIRECTION> struct Pixels : Along<P> {
    const T* picture[Along<P>::PASSES];
    int top[Along<P>::PASSES], left[Along<P>::PASSES], height, width, channels, high, wide;
    Digits tap;

    __device__ __forceinline__ void fetch(float (&v)[PER]) {
#pragma unroll
        for (int p = 0; p < Along<P>::PASSES; p++) {
            const int h = top[p] + DIRECTION * tap.outer, w = left[p] + DIRECTION * tap.middle;
            const bool valid = picture[p] && tap.outer < high && h >= 0 && h < height && w >= 0 && w < width;
            read<P>(v + p * P, picture[p] + ((i64)h * width + w) * channels + tap.inner, valid);
        }
        tap.advance(DEPTH, wide, channels);
    }
};

/// Rows are channels c, terms (every stride-th tap, k): the weights of a phase, transposed.
template <int P> struct Turned : Along<P> {
    const T* weights;
    int row, rows, first_row, first_column, stride, high, wide, filter_wide, channels;
    Digits tap;

    __device__ __forceinline__ void fetch(float (&v)[PER]) {
        const i64 at = ((i64)(first_row + stride * tap.outer) * filter_wide + first_column + stride * tap.middle) * rows;
#pragma unroll
        for (int p = 0; p < Along<P>::PASSES; p++) {
            const int c = row + Along<P>::row(p);
            read<P>(v + p * P, weights + (at + c) * channels + tap.inner, c < rows && tap.outer < high);
        }
        tap.advance(DEPTH, wide, channels);
    }
};

/// Terms are rows of a matrix as it lies, rows its columns.
template <int P> struct Matrix : Across<P> {
    const T* matrix;
    int term, end, column, columns;

    __device__ __forceinline__ void fetch(float (&v)[PER]) {
#pragma unroll
        for (int p = 0; p < Across<P>::PASSES; p++) {
            const int t = term + Across<P>::term(p);
            read<P>(v + p * P, matrix + (i64)t * columns + column, t < end && column < columns);
        }
        term += DEPTH;
    }
};

/// Terms are pixels, rows (tap row, tap column, channel) of what each sees.
template <int P> struct Seen : Across<P> {
    const T* pictures;
    int term, end, height, width, channels, stride, rows, columns;
    int down, right, channel; // where this thread's tap lies from a pixel's first
    bool valid;
    Digits pixel[Across<P>::PASSES];

    __device__ __forceinline__ void fetch(float (&v)[PER]) {
#pragma unroll
        for (int p = 0; p < Across<P>::PASSES; p++) {
            const int h = pixel[p].middle * stride + down, w = pixel[p].inner * stride + right;
            const bool inside = valid && term + Across<P>::term(p) < end && h >= 0 && h < height && w >= 0 && w < width;
            read<P>(v + p * P, pictures + (((i64)pixel[p].outer * height + h) * width + w) * channels + channel, inside);
            pixel[p].advance(DEPTH, rows, columns);
        }
        term += DEPTH;
    }
};

/// A term of every row of a tile.
struct Line { Vec<float, 4> at[LINE / 4]; };

/// Both factors' tiles, in a function of their own: the same memory in whichever kernel.
__device__ __forceinline__ Line* tiles() {
    __shared__ Line lines[2 * DEPTH];
    return lines;
}

/// sum = A·Bᵀ over so many terms, 16 at a time.
template <class A, class B> __device__ __forceinline__ void multiply(float (&sum)[PER][PER], A& a, B& b, int terms) {
    Line *tile_a = tiles(), *tile_b = tile_a + DEPTH;
    const int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (int i = 0; i < PER; i++)
#pragma unroll
        for (int j = 0; j < PER; j++) sum[i][j] = 0.f;
    if (terms <= 0) return;
    float next_a[PER], next_b[PER];
    a.fetch(next_a);
    b.fetch(next_b);
    for (int t = 0; t < terms; t += DEPTH) {
        A::put((float*)tile_a, next_a);
        B::put((float*)tile_b, next_b);
        __syncthreads();
        if (t + DEPTH < terms) {
            a.fetch(next_a);
            b.fetch(next_b);
        }
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            Vec<float, 4> u[PER / 4], v[PER / 4];
#pragma unroll
            for (int q = 0; q < PER / 4; q++) {
                u[q] = tile_a[k].at[q * SIDE + y];
                v[q] = tile_b[k].at[q * SIDE + x];
            }
#pragma unroll
            for (int i = 0; i < PER; i++)
#pragma unroll
                for (int j = 0; j < PER; j++) sum[i][j] = fmaf(u[i / 4][i % 4], v[j / 4][j % 4], sum[i][j]);
        }
        __syncthreads();
    }
}

/// The tile's row of a thread's i-th result, and the first of four columns of its q-th.
__device__ __forceinline__ int result_row(int i) { return (i / 4 * SIDE + (int)threadIdx.x / SIDE) * 4 + i % 4; }
__device__ __forceinline__ int result_column(int q) { return (q * SIDE + (int)threadIdx.x % SIDE) * 4; }

/// A row of a thread's results.
template <class Scalar> __device__ __forceinline__ void write(Scalar* row, const float (&sum)[PER], const float* bias, int first, int columns) {
#pragma unroll
    for (int q = 0; q < PER / 4; q++) {
        const int c = first + result_column(q);
        Vec<float, 4> v;
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = sum[q * 4 + j] + (bias && c + j < columns ? bias[c + j] : 0.f);
        if (PACK_Y == 4) {
            if (c < columns) store(row + c, v);
        } else
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (c + j < columns) row[c + j] = from_float<Scalar>(v[j]);
    }
}

extern "C" __global__ void __launch_bounds__(256, TILE == 64 ? 2 : 1) conv2d_forward(
    T* y, const T* x, const T* w, const float* bias, int pixels, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    const int row = blockIdx.x * TILE, column = blockIdx.y * TILE, terms = r * s * c;
    Pixels<PACK_A, 1> a;
    a.height = h, a.width = wd, a.channels = c, a.high = r, a.wide = s;
    a.tap.set(a.term(), s, c);
#pragma unroll
    for (int p = 0; p < a.PASSES; p++) {
        const int at = row + a.row(p);
        a.picture[p] = at < pixels ? x + (i64)(at / wo / ho) * h * wd * c : nullptr;
        a.top[p] = at / wo % ho * stride - padding;
        a.left[p] = at % wo * stride - padding;
    }
    Matrix<PACK_B> b;
    b.matrix = w, b.term = 0, b.end = terms, b.column = column + b.row(), b.columns = k;
    float sum[PER][PER];
    multiply(sum, a, b, terms);
#pragma unroll
    for (int i = 0; i < PER; i++) {
        const int at = row + result_row(i);
        if (at < pixels) write(y + (i64)at * k, sum[i], bias, column, k);
    }
}

// Pixels (a + t·i, b + t·j) of dx meet the taps (a+pad) mod t + t·r′ alone: a phase is a convolution of stride 1 with them. grid z = t²
extern "C" __global__ void __launch_bounds__(256) conv2d_data(
    T* dx, const T* dy, const T* w, const float* bias, int n, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    const int down = blockIdx.z / stride, right = blockIdx.z % stride;
    const int rows = (h - down + stride - 1) / stride, columns = (wd - right + stride - 1) / stride, pixels = n * rows * columns;
    const int row = blockIdx.x * TILE, column = blockIdx.y * TILE;
    if (row >= pixels) return;
    const int first_row = (down + padding) % stride, first_column = (right + padding) % stride;
    const int high = first_row < r ? (r - first_row + stride - 1) / stride : 0, wide = first_column < s ? (s - first_column + stride - 1) / stride : 0;
    const int terms = high * wide * k;
    Pixels<PACK_A, -1> a;
    Turned<PACK_B> b;
    if (terms > 0) {
        a.height = ho, a.width = wo, a.channels = k, a.high = high, a.wide = wide;
        a.tap.set(a.term(), wide, k);
#pragma unroll
        for (int p = 0; p < a.PASSES; p++) {
            const int at = row + a.row(p);
            a.picture[p] = at < pixels ? dy + (i64)(at / columns / rows) * ho * wo * k : nullptr;
            a.top[p] = at / columns % rows + (down + padding - first_row) / stride;
            a.left[p] = at % columns + (right + padding - first_column) / stride;
        }
        b.weights = w, b.row = column, b.rows = c, b.first_row = first_row, b.first_column = first_column, b.stride = stride;
        b.high = high, b.wide = wide, b.filter_wide = s, b.channels = k;
        b.tap.set(b.term(), wide, k);
    }
    float sum[PER][PER];
    multiply(sum, a, b, terms);
#pragma unroll
    for (int i = 0; i < PER; i++) {
        const int at = row + result_row(i);
        if (at >= pixels) continue;
        const int line = at / columns % rows * stride + down, place = at % columns * stride + right;
        write(dx + (((i64)(at / columns / rows) * h + line) * wd + place) * c, sum[i], bias, column, c);
    }
}

// grid z: the part of the pixels that is summed into partial[z]
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_weight(
    float* partial, const T* x, const T* dy, int pixels, int per_part, int h, int wd, int c, int r, int s, int k, int stride, int padding, int ho, int wo) {
    const int row = blockIdx.x * TILE, column = blockIdx.y * TILE, rows = r * s * c;
    const int from = blockIdx.z * per_part, end = min(pixels, from + per_part);
    Seen<PACK_A> a;
    a.pictures = x, a.term = from, a.end = end, a.height = h, a.width = wd, a.channels = c, a.stride = stride, a.rows = ho, a.columns = wo;
    const int at = row + a.row();
    a.valid = at < rows;
    a.channel = at % c;
    a.right = at / c % s - padding;
    a.down = at / c / s - padding;
#pragma unroll
    for (int p = 0; p < a.PASSES; p++) a.pixel[p].set(from + Across<PACK_A>::term(p), ho, wo);
    Matrix<PACK_B> b;
    b.matrix = dy, b.term = from, b.end = end, b.column = column + b.row(), b.columns = k;
    float sum[PER][PER];
    multiply(sum, a, b, end - from);
    partial += (i64)blockIdx.z * rows * k;
#pragma unroll
    for (int i = 0; i < PER; i++) {
        const int to = row + result_row(i);
        if (to < rows) write(partial + (i64)to * k, sum[i], nullptr, column, k);
    }
}
