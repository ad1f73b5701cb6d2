// mma_tile.cuh: tiles of two-byte elements in shared memory: filled from rows in global memory, multiplied by a warp, given back as rows.
//   layout   rows of Cols elements (a multiple of 16) lie tile_stride(Cols) = Cols + 8 apart: an odd number of 16 bytes, so that the eight
//            rows of an ldmatrix fall into different banks
//   sums     what mma.cuh calls D: sums[j] holds columns 8j … 8j+7 of sixteen rows; this lane has rows g and g+8 (g = lane/4), columns
//            2t and 2t+1 (t = lane%4)
//   care     rows of a tile are filled up with zeros to a multiple of 16; products skip whole sixteens that are not there
#pragma once
#include "load.cuh"
#include "mma.cuh"
#include "warp.cuh"

__device__ constexpr int tile_stride(int cols) { return cols + 8; }

/// Copies rows of Width elements, `stride` apart, into a tile of Cols columns, by the whole block of Threads. Pack 8: cp.async, 16 bytes
/// at a time, to be committed and waited for. Pack 1, for rows that do not begin at multiples of 16 bytes: plain loads, one by one.
template <int Pack, int Threads, int Cols, int Width, class Scalar>
__device__ __forceinline__ void fill_tile(Scalar* tile, const Scalar* from, int rows, i64 stride) {
    constexpr int Packs = Cols / Pack;
    const int all = (rows + 15) / 16 * 16 * Packs;
#pragma unroll 1 // four at once, as a compiler would, cost registers that sums need, and no copy waits for another
    for (int i = thread_index(); i < all; i += Threads) {
        const int row = i / Packs, c = i % Packs * Pack;
        const bool there = row < rows && c < Width;
        Scalar* to = tile + row * tile_stride(Cols) + c;
        const Scalar* source = from + (there ? row * stride + c : 0);
        if constexpr (Pack == 8) cp_async_or_zero<16>(to, source, there);
        else *to = there ? *source : Scalar{};
    }
}

/// Where this lane's row of an ldmatrix begins when matrices go down first (a 16×16 block's left half, then its right) …
template <int Cols, class Scalar> __device__ __forceinline__ const Scalar* down_first(const Scalar* block) {
    const int lane = lane_index();
    return block + lane % 16 * tile_stride(Cols) + lane / 16 * 8;
}

/// … and when they go across first (its upper half, then its lower).
template <int Cols, class Scalar> __device__ __forceinline__ const Scalar* across_first(const Scalar* block) {
    const int lane = lane_index();
    return block + (lane % 8 + lane / 16 * 8) * tile_stride(Cols) + lane / 8 % 2 * 8;
}

/// Two neighbouring products: b holds the operands of eight columns, then of the next eight.
template <class Scalar> __device__ __forceinline__ void mma_16x16x16(float (&left)[4], float (&right)[4], const u32 (&a)[4], const u32 (&b)[4]) {
    const u32 first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
    mma_16x8x16<Scalar>(left, a, first);
    mma_16x8x16<Scalar>(right, a, second);
}

/// sums += A · Bᵀ for sixteen rows of A and `count` rows of B, both tiles of Cols columns.
template <int Cols, int Tiles, class Scalar>
__device__ __forceinline__ void multiply_rows(float (&sums)[Tiles][4], const Scalar* a, const Scalar* b, int count) {
#pragma unroll 2 // all of them at once would be loaded ahead, and take the registers of other sums
    for (int k = 0; k < Cols; k += 16) {
        u32 rows[4], columns[4];
        ldmatrix_x4(rows, down_first<Cols>(a + k));
#pragma unroll
        for (int j = 0; j < Tiles; j += 2) {
            if (j * 8 >= count) continue;
            ldmatrix_x4(columns, across_first<Cols>(b + j * 8 * tile_stride(Cols) + k));
            mma_16x16x16<Scalar>(sums[j], sums[j + 1], rows, columns);
        }
    }
}

/// sums += A · B for an operand A of 16 × 16 in registers and sixteen rows of B, a tile of Cols columns of which 8 · Tiles are taken.
template <int Cols, int Tiles, class Scalar>
__device__ __forceinline__ void multiply_block(float (&sums)[Tiles][4], const u32 (&a)[4], const Scalar* b) {
#pragma unroll
    for (int j = 0; j < Tiles; j += 2) {
        u32 columns[4];
        ldmatrix_x4_trans(columns, down_first<Cols>(b + j * 8));
        mma_16x16x16<Scalar>(sums[j], sums[j + 1], a, columns);
    }
}

/// Two neighbouring tiles of sums, rounded, as the operand A of the next product: they lie in the same lanes.
template <class Scalar> __device__ __forceinline__ void to_operand(u32 (&a)[4], const float (&left)[4], const float (&right)[4]) {
    a[0] = pack2<Scalar>(left[0], left[1]);
    a[1] = pack2<Scalar>(left[2], left[3]);
    a[2] = pack2<Scalar>(right[0], right[1]);
    a[3] = pack2<Scalar>(right[2], right[3]);
}

/// The same operand into a tile of Cols columns, where other warps find it.
template <int Cols, class Scalar> __device__ __forceinline__ void store_operand(Scalar* block, const u32 (&a)[4]) {
    Scalar* at = block + lane_index() / 4 * tile_stride(Cols) + lane_index() % 4 * 2;
    store_as(at, a[0]);
    store_as(at + 8 * tile_stride(Cols), a[1]);
    store_as(at + 8, a[2]);
    store_as(at + 8 * tile_stride(Cols) + 8, a[3]);
}

template <int Tiles> __device__ __forceinline__ void clear(float (&sums)[Tiles][4]) {
#pragma unroll
    for (int j = 0; j < Tiles; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) sums[j][i] = 0;
}

/// A warp's sixteen rows of sums, times a factor for rows g and one for rows g+8, to `rows` rows in global memory, of which `columns` columns are
/// there, through sixteen rows of a tile that this warp alone uses: 16 bytes a lane. The warp's lanes must be done with them (__syncwarp).
template <int Pack, int Cols, int Tiles, class Scalar>
__device__ __forceinline__ void write_rows(
    Scalar* to, i64 stride, int rows, int columns, const float (&sums)[Tiles][4], float low, float high, Scalar* stage) {
    constexpr int Packs = Tiles * 8 / Pack;
    const int lane = lane_index();
    Scalar* at = stage + lane / 4 * tile_stride(Cols) + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < Tiles; j++) {
        store_as(at + j * 8, pack2<Scalar>(sums[j][0] * low, sums[j][1] * low));
        store_as(at + 8 * tile_stride(Cols) + j * 8, pack2<Scalar>(sums[j][2] * high, sums[j][3] * high));
    }
    __syncwarp();
    for (int i = lane; i < 16 * Packs; i += 32) {
        const int row = i / Packs, c = i % Packs * Pack;
        if (row >= rows || c >= columns) continue;
        typedef Vec<Scalar, Pack> Words;
        if constexpr (Pack == 8) store_as(to + row * stride + c, load_as<Words>(stage + row * tile_stride(Cols) + c));
        else to[row * stride + c] = stage[row * tile_stride(Cols) + c];
    }
}
