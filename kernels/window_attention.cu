// window_attention.cu: attention within windows of maps, biased by distance.   compiled per use: -DTYPE=float|bf16|half -DHEAD=32 -DSIDE=7 -DPACK=4|8|1
//   maths    S = s·Q·Kᵀ + B[distance] + M, P = softmax_rows S, O = P·V for each window of SIDE × SIDE tokens and head; M = −100 between tokens
//            that the roll has brought together from different ends of the map.   Swin, arXiv:2103.14030
//            δ_i = Σ dO_i·O_i; dS = P⊙(dO·Vᵀ − δ); dV = Pᵀ·dO; dQ = s·dS·K; dK = s·dSᵀ·Q; dB[distance] = Σ dS.  P = e^(S − lse) is computed again
//   traffic  forward: q, k, v read once and y written once, 16 bytes a token and channel in F32, and lse; nothing is moved to pad, roll or cut the
//            maps. Backward: q, k, v, y, dO read and dq, dk, dv written once, 32 bytes; sums over PER_BLOCK windows leave a block as one
//   flops    4·L²·D a window and head forward, 10 backward, in F32 on the plain units, L = SIDE²
//   launch   a thread for each token of a window, for one window and head (forward) or some windows of a head (backward), so 49 of 64 lanes at SIDE 7.
//            A thread holds its query (key) in registers and walks the keys (queries), which all lanes read at one address: four
//            multiplications a 16-byte broadcast. Shared memory at D = 32: 15 KB forward, 48 KB backward
//   care     tokens that only pad are keys, of padding's k and v, and no queries. The largest score so far is taken off before exp. Rows of P and dS are an
//            odd number of floats apart, those of tiles 4 mod 8: no bank conflicts. All sums run in a fixed order: the same bits every time
//   see      engine/ops/WindowAttention.cs · WindowMap.cs (what find does) · WindowAttentionTests · bench window_attention
// options  -DTYPE=float -DPACK=4 -DHEAD=32 -DSIDE=7
// options  -DTYPE=bf16|half -DPACK=8 -DHEAD=32 -DSIDE=7
// options  -DTYPE=float|bf16|half -DPACK=1 -DHEAD=3 -DSIDE=4
#include "load.cuh"
#include "smem.cuh"
#include "warp.cuh"

typedef TYPE T;
constexpr int TOKENS = SIDE * SIDE, THREADS = (TOKENS + 31) / 32 * 32;
constexpr int REACH = 2 * SIDE - 1, DISTANCES = REACH * REACH;
constexpr int STRIDE = (HEAD + 15) / 16 * 16 + 4, SCORES = TOKENS | 1;
constexpr int QUAD = HEAD % 4 == 0 ? 4 : 1;
constexpr float APART = -100.f;

/// The maps and how they are rolled, in tokens.
struct Maps { int height, width, shift_y, shift_x; };

/// A token's row, or −1 where it only pads, and the part of the map that it came from.
struct Found { int row, region; };

__device__ __forceinline__ int part(int rolled, int extent, int shift) { return rolled < extent - SIDE ? 0 : rolled < extent - shift ? 1 : 2; }

__device__ __forceinline__ Found find(const Maps& maps, int window, int token) {
    const int down = (maps.height + SIDE - 1) / SIDE, across = (maps.width + SIDE - 1) / SIDE;
    const int image = window / (down * across), place = window % (down * across);
    const int rolled_y = place / across * SIDE + token / SIDE, rolled_x = place % across * SIDE + token % SIDE;
    int y = rolled_y + maps.shift_y, x = rolled_x + maps.shift_x;
    if (y >= down * SIDE) y -= down * SIDE;
    if (x >= across * SIDE) x -= across * SIDE;
    const int row = y < maps.height && x < maps.width ? (image * maps.height + y) * maps.width + x : -1;
    return Found{row, part(rolled_y, down * SIDE, maps.shift_y) * 3 + part(rolled_x, across * SIDE, maps.shift_x)};
}

/// A head's columns of all tokens, times factor; padding's, or zeros, where there is none.
__device__ __forceinline__ void load_tile(float* to, const Found* tokens, const T* from, int width, i64 column, const float* padding, float factor) {
    constexpr int PACKS = HEAD / PACK;
    for (int i = threadIdx.x; i < TOKENS * PACKS; i += THREADS) {
        const int token = i / PACKS, c = i % PACKS * PACK, row = tokens[token].row;
        Vec<float, PACK> v;
        if (row >= 0) {
            v = load<PACK>(from + (i64)row * width + column + c);
        } else {
#pragma unroll
            for (int k = 0; k < PACK; k++) v[k] = padding ? padding[column + c + k] : 0.f;
        }
#pragma unroll
        for (int k = 0; k < PACK; k++) to[token * STRIDE + c + k] = v[k] * factor;
    }
}

/// A head's column of the table.
__device__ __forceinline__ void load_biases(float* bias, const float* table, int heads) {
    for (int i = threadIdx.x; i < DISTANCES; i += THREADS) bias[i] = table[(i64)i * heads + blockIdx.y];
}

__device__ __forceinline__ void load_row(float (&to)[HEAD], const float* row) {
#pragma unroll
    for (int c = 0; c < HEAD; c += QUAD) {
        const Vec<float, QUAD> v = load_as<Vec<float, QUAD>>(row + c);
#pragma unroll
        for (int k = 0; k < QUAD; k++) to[c + k] = v[k];
    }
}

__device__ __forceinline__ float dot(const float (&a)[HEAD], const float* row) {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < HEAD; c += QUAD) {
        const Vec<float, QUAD> v = load_as<Vec<float, QUAD>>(row + c);
#pragma unroll
        for (int k = 0; k < QUAD; k++) sum = fmaf(a[c + k], v[k], sum);
    }
    return sum;
}

__device__ __forceinline__ void add_row(float (&sums)[HEAD], float factor, const float* row) {
#pragma unroll
    for (int c = 0; c < HEAD; c += QUAD) {
        const Vec<float, QUAD> v = load_as<Vec<float, QUAD>>(row + c);
#pragma unroll
        for (int k = 0; k < QUAD; k++) sums[c + k] = fmaf(factor, v[k], sums[c + k]);
    }
}

__device__ __forceinline__ void clear(float (&sums)[HEAD]) {
#pragma unroll
    for (int c = 0; c < HEAD; c++) sums[c] = 0;
}

__device__ __forceinline__ void write_row(T* to, const float (&sums)[HEAD], float factor) {
#pragma unroll
    for (int c = 0; c < HEAD; c += PACK) {
        Vec<float, PACK> v;
#pragma unroll
        for (int k = 0; k < PACK; k++) v[k] = sums[c + k] * factor;
        store(to + c, v);
    }
}

/// Score of a query, already scaled, and a key.
__device__ __forceinline__ float score(const float (&q)[HEAD], const float* keys, const float* bias, const Found* tokens, int query, int key_y, int key_x) {
    const int key = key_y * SIDE + key_x;
    const float s = dot(q, keys + key * STRIDE) + bias[(query / SIDE - key_y + SIDE - 1) * REACH + query % SIDE - key_x + SIDE - 1];
    return tokens[key].region == tokens[query].region ? s : s + APART;
}

extern "C" __global__ void __launch_bounds__(THREADS) window_attention_forward(
    T* y, float* lse, const T* qkv, const float* padding, const float* table, int rows, int heads, int height, int width, int shift_y, int shift_x,
    float scale) {
    DYN_SMEM(float, keys);
    float *values = keys + TOKENS * STRIDE, *bias = values + TOKENS * STRIDE;
    __shared__ Found tokens[TOKENS];
    const int i = threadIdx.x, channels = heads * HEAD;
    const i64 column = (i64)blockIdx.y * HEAD;
    if (i < TOKENS) tokens[i] = find(Maps{height, width, shift_y, shift_x}, blockIdx.x, i);
    load_biases(bias, table, heads);
    __syncthreads();
    load_tile(keys, tokens, qkv, 3 * channels, channels + column, padding, 1.f);
    load_tile(values, tokens, qkv, 3 * channels, 2 * channels + column, padding, 1.f);
    __syncthreads();
    const i64 row = i < TOKENS ? tokens[i].row : -1;
    if (row < 0) return;
    float q[HEAD], sums[HEAD], top = -INFINITY, total = 0;
    const T* own = qkv + row * 3 * channels + column;
#pragma unroll
    for (int c = 0; c < HEAD; c += PACK) {
        const Vec<float, PACK> v = load<PACK>(own + c);
#pragma unroll
        for (int k = 0; k < PACK; k++) q[c + k] = v[k] * scale;
    }
    clear(sums);
    for (int key_y = 0; key_y < SIDE; key_y++) {
        float s[SIDE], max = top;
#pragma unroll
        for (int x = 0; x < SIDE; x++) {
            s[x] = score(q, keys, bias, tokens, i, key_y, x);
            max = fmaxf(max, s[x]);
        }
        const float by = expf(top - max);
        top = max;
        total *= by;
#pragma unroll
        for (int c = 0; c < HEAD; c++) sums[c] *= by;
#pragma unroll
        for (int x = 0; x < SIDE; x++) {
            const float e = expf(s[x] - max);
            total += e;
            add_row(sums, e, values + (key_y * SIDE + x) * STRIDE);
        }
    }
    write_row(y + row * channels + column, sums, 1.f / total);
    lse[(i64)blockIdx.y * rows + row] = top + logf(total);
}

/// This thread's row of P and dS, and its dq, which is returned; queries are scaled.
__device__ __forceinline__ void query_gradient(
    float (&dq)[HEAD], float* p, float* ds, const float* query, const float* gradient, const T* y, float shift, const float* keys, const float* values,
    const float* bias, const Found* tokens) {
    const int i = threadIdx.x;
    float q[HEAD], g[HEAD], delta = 0;
    load_row(q, query);
    load_row(g, gradient);
#pragma unroll
    for (int c = 0; c < HEAD; c += PACK) {
        const Vec<float, PACK> v = load<PACK>(y + c);
#pragma unroll
        for (int k = 0; k < PACK; k++) delta = fmaf(g[c + k], v[k], delta);
    }
    clear(dq);
#pragma unroll 1
    for (int key_y = 0; key_y < SIDE; key_y++)
#pragma unroll 1
        for (int key_x = 0; key_x < SIDE; key_x++) {
            const int key = key_y * SIDE + key_x;
            const float e = expf(score(q, keys, bias, tokens, i, key_y, key_x) - shift), d = e * (dot(g, values + key * STRIDE) - delta);
            p[i * SCORES + key] = e;
            ds[i * SCORES + key] = d;
            add_row(dq, d, keys + key * STRIDE);
        }
}

/// Σ dS over all pairs at one distance.
__device__ __forceinline__ float distance_sum(const float* ds, int distance) {
    const int dy = distance / REACH - SIDE + 1, dx = distance % REACH - SIDE + 1;
    float sum = 0;
#pragma unroll 1
    for (int y = max(0, dy); y < min(SIDE, SIDE + dy); y++)
#pragma unroll 1
        for (int x = max(0, dx); x < min(SIDE, SIDE + dx); x++) sum += ds[(y * SIDE + x) * SCORES + (y - dy) * SIDE + x - dx];
    return sum;
}

// dtable is (blocks, DISTANCES, heads) and dpadding (blocks, 3·channels): each block's sums, added up by add_rows.
extern "C" __global__ void __launch_bounds__(THREADS) window_attention_backward(
    T* dqkv, float* dtable, float* dpadding, const T* dy, const T* y, const float* lse, const T* qkv, const float* padding, const float* table, int windows,
    int per_block, int rows, int heads, int height, int width, int shift_y, int shift_x, float scale) {
    DYN_SMEM(float, queries);
    float *keys = queries + TOKENS * STRIDE, *values = keys + TOKENS * STRIDE, *gradients = values + TOKENS * STRIDE;
    float *p = gradients + TOKENS * STRIDE, *ds = p + TOKENS * SCORES, *bias = ds + TOKENS * SCORES;
    __shared__ Found tokens[TOKENS];
    constexpr int OF_TABLE = (DISTANCES + THREADS - 1) / THREADS, OF_PADDING = (2 * HEAD + THREADS - 1) / THREADS;
    float table_sums[OF_TABLE], padding_sums[OF_PADDING];
#pragma unroll
    for (int n = 0; n < OF_TABLE; n++) table_sums[n] = 0;
#pragma unroll
    for (int n = 0; n < OF_PADDING; n++) padding_sums[n] = 0;
    const int i = threadIdx.x, channels = heads * HEAD;
    const i64 column = (i64)blockIdx.y * HEAD;
    load_biases(bias, table, heads);
    for (int window = blockIdx.x * per_block, end = min(windows, window + per_block); window < end; window++) {
        __syncthreads();
        if (i < TOKENS) tokens[i] = find(Maps{height, width, shift_y, shift_x}, window, i);
        __syncthreads();
        load_tile(queries, tokens, qkv, 3 * channels, column, nullptr, scale);
        load_tile(keys, tokens, qkv, 3 * channels, channels + column, padding, 1.f);
        load_tile(values, tokens, qkv, 3 * channels, 2 * channels + column, padding, 1.f);
        load_tile(gradients, tokens, dy, channels, column, nullptr, 1.f);
        __syncthreads();
        const i64 row = i < TOKENS ? tokens[i].row : -1;
        if (row >= 0) {
            float dq[HEAD];
            query_gradient(
                dq, p, ds, queries + i * STRIDE, gradients + i * STRIDE, y + row * channels + column, lse[(i64)blockIdx.y * rows + row], keys, values, bias,
                tokens);
            if (dqkv) write_row(dqkv + row * 3 * channels + column, dq, scale);
        } else if (i < TOKENS)
#pragma unroll 1
            for (int key = 0; key < TOKENS; key++) ds[i * SCORES + key] = 0;
        __syncthreads();
#pragma unroll
        for (int n = 0; n < OF_TABLE; n++)
            if (i + n * THREADS < DISTANCES) table_sums[n] += distance_sum(ds, i + n * THREADS);
        if (i < TOKENS) {
            float dk[HEAD], dv[HEAD];
            clear(dk);
            clear(dv);
#pragma unroll 1
            for (int query = 0; query < TOKENS; query++) {
                if (tokens[query].row < 0) continue;
                add_row(dv, p[query * SCORES + i], gradients + query * STRIDE);
                add_row(dk, ds[query * SCORES + i], queries + query * STRIDE);
            }
            if (row < 0) {
#pragma unroll
                for (int c = 0; c < HEAD; c++) {
                    keys[i * STRIDE + c] = dk[c];
                    values[i * STRIDE + c] = dv[c];
                }
            } else if (dqkv) {
                T* to = dqkv + row * 3 * channels + column;
                write_row(to + channels, dk, 1.f);
                write_row(to + 2 * channels, dv, 1.f);
            }
        }
        __syncthreads();
#pragma unroll
        for (int n = 0; n < OF_PADDING; n++) {
            const int c = i + n * THREADS;
            if (c >= 2 * HEAD) continue;
            const float* from = c < HEAD ? keys + c : values + c - HEAD;
#pragma unroll 1
            for (int token = 0; token < TOKENS; token++)
                if (tokens[token].row < 0) padding_sums[n] += from[token * STRIDE];
        }
    }
#pragma unroll
    for (int n = 0; n < OF_TABLE; n++)
        if (i + n * THREADS < DISTANCES) dtable[((i64)blockIdx.x * DISTANCES + i + n * THREADS) * heads + blockIdx.y] = table_sums[n];
    float* const to = dpadding + (i64)blockIdx.x * 3 * channels + column;
    for (int c = i; c < HEAD; c += THREADS) to[c] = 0; // a query that pads has no gradient
#pragma unroll
    for (int n = 0; n < OF_PADDING; n++) {
        const int c = i + n * THREADS;
        if (c < 2 * HEAD) to[(c < HEAD ? channels : 2 * channels - HEAD) + c] = padding_sums[n];
    }
}
