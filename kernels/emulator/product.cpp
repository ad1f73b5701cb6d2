// A tile of D is one task: it packs panels of A and B to float, and adds products over K in blocks of a fixed size and order,
// so the result does not depend on who computes it. Sums are in float, as with CUBLAS_COMPUTE_32F, but in another order.
#include "product.h"
#include "cuda_abi.h"
#include "workers.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace emu {

typedef float Lanes __attribute__((vector_size(32), aligned(4)));

constexpr size_t micro_m = 6, micro_n = 16;              // 12 accumulators of 8 lanes
constexpr size_t tile_m = 16 * micro_m, tile_n = 8 * micro_n, tile_k = 256;

size_t element_bytes(int type) { return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF || type == CUDA_R_16F ? 2 : 0; }

float load_element(const void* data, int64_t index, int type) {
    if (type == CUDA_R_32F) return ((const float*)data)[index];
    uint16_t bits = ((const uint16_t*)data)[index];
    if (type == CUDA_R_16F) {
        _Float16 h;
        memcpy(&h, &bits, 2);
        return (float)h;
    }
    uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, 4);
    return f;
}

void store_element(void* data, int64_t index, int type, float value) {
    if (type == CUDA_R_32F) {
        ((float*)data)[index] = value;
        return;
    }
    uint16_t bits;
    if (type == CUDA_R_16F) {
        auto h = (_Float16)value;
        memcpy(&bits, &h, 2);
    } else {
        uint32_t wide;
        memcpy(&wide, &value, 4);
        bits = (wide & 0x7fffffffu) > 0x7f800000u ? 0x7fff : (uint16_t)((wide + 0x7fffu + (wide >> 16 & 1)) >> 16);
    }
    ((uint16_t*)data)[index] = bits;
}

// sums[6][16] += panel a (k × 6) · panel b (k × 16), once for the plain CPU and once for AVX2 with fused multiply-add.
#define MICRO(NAME, TARGET)                                                                            \
    TARGET static void NAME(const float* a, const float* b, size_t k, float* sums) {                   \
        Lanes s[micro_m][2];                                                                           \
        for (size_t i = 0; i < micro_m; i++)                                                           \
            for (size_t j = 0; j < 2; j++) s[i][j] = *(const Lanes*)(sums + i * tile_n + j * 8);       \
        for (; k > 0; k--, a += micro_m, b += micro_n) {                                               \
            Lanes b0 = *(const Lanes*)b, b1 = *(const Lanes*)(b + 8);                                  \
            _Pragma("GCC unroll 6") for (size_t i = 0; i < micro_m; i++) {                             \
                s[i][0] += a[i] * b0;                                                                  \
                s[i][1] += a[i] * b1;                                                                  \
            }                                                                                          \
        }                                                                                              \
        for (size_t i = 0; i < micro_m; i++)                                                           \
            for (size_t j = 0; j < 2; j++) *(Lanes*)(sums + i * tile_n + j * 8) = s[i][j];             \
    }
MICRO(micro_plain, )
MICRO(micro_avx2, __attribute__((target("avx2,fma"))))
static void (*const micro)(const float*, const float*, size_t, float*) =
    __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? micro_avx2 : micro_plain;

/// Rounds to ten bits of fraction, to nearest, ties away from zero, as a GPU's conversion does.
static float to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7f800000u) == 0x7f800000u) return x;
    bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, 4);
    return x;
}

/// Panels of `width` along one side by k, zero beyond the edge. `side` and `deep` are strides in elements.
static void pack(float* to, const View& v, int64_t start, size_t count, size_t width, int64_t side, size_t depth, int64_t deep, bool tf32) {
    float* first_written = to;
    for (size_t first = 0; first < count; first += width)
        for (size_t x = 0; x < depth; x++)
            for (size_t i = 0; i < width; i++)
                *to++ = first + i < count ? load_element(v.data, start + (int64_t)(first + i) * side + (int64_t)x * deep, v.type) : 0.f;
    if (tf32)
        for (float* x = first_written; x < to; x++) *x = to_tf32(*x);
}

static float gelu(float x) { return 0.5f * x * (1.f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }   // as cuBLASLt: by tanh

static void finish(const Product& p, int64_t batch, size_t r, size_t c, float sum) {
    float v = p.alpha * sum;
    if (p.beta != 0) v += p.beta * load_element(p.c.data, batch * p.c.batch + (int64_t)r * p.c.row + (int64_t)c * p.c.column, p.c.type);
    if (p.bias.data) v += load_element(p.bias.data, batch * p.bias.batch + (int64_t)r, p.bias.type);
    if (p.aux.data) store_element(p.aux.data, batch * p.aux.batch + (int64_t)r * p.aux.row + (int64_t)c * p.aux.column, p.aux.type, v);
    if (p.relu) v = v > 0 ? v : 0;
    if (p.gelu) v = gelu(v);
    store_element(p.d.data, batch * p.d.batch + (int64_t)r * p.d.row + (int64_t)c * p.d.column, p.d.type, v);
}

static void tile(const Product& p, int64_t batch, size_t r0, size_t c0) {
    static thread_local std::vector<float>& room = *new std::vector<float>;   // leaked: no destructor may run at exit
    room.resize(tile_m * tile_k + tile_n * tile_k + tile_m * tile_n);
    float *a = room.data(), *b = a + tile_m * tile_k, *sums = b + tile_n * tile_k;
    size_t rows = std::min(tile_m, p.m - r0), columns = std::min(tile_n, p.n - c0);
    memset(sums, 0, tile_m * tile_n * sizeof(float));
    for (size_t k0 = 0; k0 < p.k; k0 += tile_k) {
        size_t depth = std::min(tile_k, p.k - k0);
        pack(a, p.a, batch * p.a.batch + (int64_t)r0 * p.a.row + (int64_t)k0 * p.a.column, rows, micro_m, p.a.row, depth, p.a.column, p.tf32);
        pack(b, p.b, batch * p.b.batch + (int64_t)c0 * p.b.column + (int64_t)k0 * p.b.row, columns, micro_n, p.b.column, depth, p.b.row, p.tf32);
        for (size_t j = 0; j < columns; j += micro_n)
            for (size_t i = 0; i < rows; i += micro_m) micro(a + i * depth, b + j * depth, depth, sums + i * tile_n + j);
    }
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < rows; r++) finish(p, batch, r0 + r, c0 + c, sums[r * tile_n + c]);
}

void multiply(const Product& p) {
    size_t down = (p.m + tile_m - 1) / tile_m, across = (p.n + tile_n - 1) / tile_n;
    run_parallel(down * across * p.batches, [&](size_t task) {
        tile(p, (int64_t)(task / (down * across)), task / across % down * tile_m, task % across * tile_n);
    });
}

} // namespace emu
