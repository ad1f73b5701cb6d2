// conv_factors.cuh: the factors of a convolution's three products, as tiles are fetched of them (staged_product.cuh or wgmma_product.cuh, included before).
//   Pixels   what the taps of a result's pixels see, forwards or backwards         Turned   a phase's filters, transposed
//   Seen     the same for the filters' gradient, whose terms are pixels            Matrix   rows of a matrix as it lies
//   cost     16 bytes a copy; PACK_A=1: pixels are gathered one element at a time, where channels are no multiple of 8
//   care     taps outside the picture and terms past the end are zeros. Offsets within a picture are 32-bit numbers
#pragma once
#include "digits.cuh"
#include "load.cuh"
#include "smem.cuh"

/// 16 bytes to shared memory in the background, or zeros; unlike cp_async by way of L1, where what neighbouring pixels share is found again.
__device__ __forceinline__ void cp_async_shared_taps(void* shared, const void* global, bool valid) {
#if defined(PLIP_EMULATOR)
    emu_copy_async(shared, global, 16, valid ? 16 : 0);
#else
    const int from = valid ? 16 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(from) : "memory");
#endif
}

/// Terms are rows of a matrix as it lies, TILE_N of its columns from column on.
struct Matrix : Across<TILE_N> {
    const Stored* matrix;
    int next, end, column, columns;

    __device__ __forceinline__ void fetch(Stored* tile) {
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            const int t = next + term(p);
            cp_async_or_zero<16>(tile + slot(p), matrix + (i64)t * columns + column, t < end && column < columns);
        }
        next += DEPTH;
    }
};

/// Rows are pixels of a result, terms (tap row, tap column, channel) of what it is made from; taps go forwards or backwards.
template <int Direction> struct Pixels : Along<TILE_M> {
    static constexpr int NOWHERE = -(1 << 30);
    const Stored* corner[PASSES]; // where its first tap lies, in the picture or not
    int top[PASSES], left[PASSES], height, width, channels, high, wide;
    Digits tap;

    __device__ __forceinline__ void start(int pass, const Stored* pictures, i64 picture, int row, int column) {
        corner[pass] = pictures + ((picture * height + row) * width + column) * channels;
        top[pass] = row;
        left[pass] = column;
    }

    __device__ __forceinline__ bool inside(int pass, const Digits& at) const {
        return at.outer < high && (u32)(top[pass] + Direction * at.outer) < (u32)height && (u32)(left[pass] + Direction * at.middle) < (u32)width;
    }

    __device__ __forceinline__ int offset(const Digits& at) const { return Direction * (at.outer * width + at.middle) * channels + at.inner; }

    __device__ __forceinline__ void fetch(Stored* tile) {
        if constexpr (PACK_A == 8) {
            const int from = offset(tap);
#pragma unroll
            for (int p = 0; p < PASSES; p++) cp_async_shared_taps(tile + slot(p), corner[p] + from, inside(p, tap));
            tap.advance(DEPTH, wide, channels);
        } else {
            Vec<Stored, 8> v[PASSES];
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int from = offset(tap);
#pragma unroll
                for (int p = 0; p < PASSES; p++) v[p][i] = inside(p, tap) ? corner[p][from] : Stored{0};
                tap.advance(1, wide, channels);
            }
#pragma unroll
            for (int p = 0; p < PASSES; p++) store_as(tile + slot(p), v[p]);
            tap.advance(DEPTH - 8, wide, channels);
        }
    }
};

/// Rows are channels c, terms (every stride-th tap, k): the weights of a phase, transposed.
struct Turned : Along<TILE_N> {
    const Stored* weights;
    int first, rows, first_row, first_column, stride, high, wide, filter_wide, channels;
    Digits tap;

    __device__ __forceinline__ void fetch(Stored* tile) {
        const i64 at = ((i64)(first_row + stride * tap.outer) * filter_wide + first_column + stride * tap.middle) * rows;
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            const int c = first + row(p);
            cp_async_or_zero<16>(tile + slot(p), weights + (at + c) * channels + tap.inner, c < rows && tap.outer < high);
        }
        tap.advance(DEPTH, wide, channels);
    }
};

/// Where a row (tap row, tap column, channel) of the gradient lies from a pixel's corner.
struct Tap {
    int down, right, channel;

    __device__ __forceinline__ void set(int row, int rows, int filter_wide, int channels, int padding) {
        channel = row % channels;
        right = row / channels % filter_wide - padding;
        down = row < rows ? row / channels / filter_wide - padding : -(1 << 30); // past the end: outside every picture
    }
};

/// Terms are pixels, rows (tap row, tap column, channel) of what each sees.
struct Seen : Across<TILE_M> {
    const Stored* pictures;
    int next, end, height, width, channels, stride, rows, columns;
    Tap tap[PACK_A == 8 ? 1 : 8];
    Digits pixel[PASSES];

    __device__ __forceinline__ const Stored* find(bool& inside, int pass, const Tap& from) const {
        const int h = pixel[pass].middle * stride + from.down, w = pixel[pass].inner * stride + from.right;
        inside = next + term(pass) < end && (u32)h < (u32)height && (u32)w < (u32)width;
        return pictures + (((i64)pixel[pass].outer * height + h) * width + w) * channels + from.channel;
    }

    __device__ __forceinline__ void fetch(Stored* tile) {
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
            bool inside;
            if constexpr (PACK_A == 8) {
                const Stored* from = find(inside, p, tap[0]);
                cp_async_shared_taps(tile + slot(p), from, inside);
            } else {
                Vec<Stored, 8> v;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    const Stored* from = find(inside, p, tap[i]);
                    v[i] = inside ? *from : Stored{0};
                }
                store_as(tile + slot(p), v);
            }
            pixel[p].advance(DEPTH, rows, columns);
        }
        next += DEPTH;
    }
};

/// The shape of a convolution, as every kernel here is told it.
struct Geometry { int h, w, c, r, s, k, stride, padding, ho, wo; };
