// philox.cuh: Philox4x32-10, counter-based random numbers (Salmon et al., SC 2011); the very numbers of engine/random/Philox.cs.
//   maths    counter (block lo, block hi, step, stream), key = seed; ten rounds of two 32×32→64 products
//   use      Philox r{seed, stream, step}; r.uniform(element). Four neighbouring elements share a block: a thread that
//            handles 4i … 4i+3 calls uniform4(i) and pays once
//   cost     10 rounds · 2 wide products a block: about 70 instructions for four numbers
//   care     step is read from device memory where a captured graph is replayed: an argument would be baked in
#pragma once
#include "types.cuh"

struct Random4 { u32 at[4]; };
struct Uniform4 { float at[4]; };

struct Philox {
    u64 seed;
    u32 stream, step;

    /// The 128 random bits at counter (block, step, stream).
    __device__ __forceinline__ Random4 block(u64 index) const {
        u32 c0 = (u32)index, c1 = (u32)(index >> 32), c2 = step, c3 = stream;
        u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
        for (int round = 0; round < 10; round++) {
            u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
            u32 n0 = (u32)(p1 >> 32) ^ c1 ^ k0, n2 = (u32)(p0 >> 32) ^ c3 ^ k1;
            c0 = n0, c1 = (u32)p1, c2 = n2, c3 = (u32)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        return Random4{{c0, c1, c2, c3}};
    }

    /// 32 random bits for one element; elements 4i … 4i+3 share block i.
    __device__ __forceinline__ u32 bits(u64 element) const {
        Random4 r = block(element >> 2);
        u32 low = element & 1 ? r.at[1] : r.at[0], high = element & 1 ? r.at[3] : r.at[2];
        return element & 2 ? high : low;
    }

    /// Uniform in [0, 1) with 24 bits: every value is exact in float.
    __device__ __forceinline__ float uniform(u64 element) const { return unit(bits(element)); }

    /// uniform(4 · quad) … uniform(4 · quad + 3), for the price of one.
    __device__ __forceinline__ Uniform4 uniform4(u64 quad) const {
        Random4 r = block(quad);
        return Uniform4{{unit(r.at[0]), unit(r.at[1]), unit(r.at[2]), unit(r.at[3])}};
    }

    /// Standard normal by Box and Muller in double, as the CPU does it, from the element's own block.
    __device__ __forceinline__ float normal(u64 element) const {
        Random4 r = block(element);
        double u = ((r.at[0] >> 8) + 1) * (1.0 / (1 << 24)), v = (r.at[1] >> 8) * (1.0 / (1 << 24));
        return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
    }

    /// An integer in [0, bound), by multiply and shift.
    __device__ __forceinline__ int next(u64 element, int bound) const { return (int)(((u64)bits(element) * (u32)bound) >> 32); }

    static __device__ __forceinline__ float unit(u32 bits) { return (float)(bits >> 8) * (1.f / (1 << 24)); }
};
