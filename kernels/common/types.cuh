// types.cuh: fixed-width integers, the two 2-byte floats, infinity. Every other header starts here.
//   why      NVRTC brings no headers: no stdint.h, no cuda_bf16.h, no INFINITY. These are ours, and the same on the emulator.
//   care     bf16 and half are storage; arithmetic is done in float. They have no constructors, so they may be __shared__.
//   rounding to nearest, ties to even; a NaN stays a NaN (as 0x7fff), bf16 overflow becomes infinity
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#undef INFINITY
#undef NAN
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)

struct bf16 { u16 bits; };
struct half { u16 bits; };
static_assert(sizeof(bf16) == 2 && sizeof(half) == 2, "activations are stored in two bytes");

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

#if defined(PLIP_EMULATOR)

// The CPU rounds a half in hardware (or in libgcc) just as cvt.rn.f16.f32 does.
__device__ __forceinline__ float to_float(half x) { return (float)emu_bits<_Float16>(x.bits); }
__device__ __forceinline__ half to_half(float x) { return half{emu_bits<u16>((_Float16)x)}; }

__device__ __forceinline__ bf16 to_bf16(float x) {
    u32 u = __float_as_uint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return bf16{0x7fff};
    return bf16{(u16)((u + 0x7fffu + (u >> 16 & 1)) >> 16)};
}

// Two numbers in the 32-bit register that mma and ldmatrix take: the first in the lower half.
template <class Scalar> __device__ u32 pack2(float low, float high);
template <> __device__ inline u32 pack2<bf16>(float low, float high) { return to_bf16(low).bits | (u32)to_bf16(high).bits << 16; }
template <> __device__ inline u32 pack2<half>(float low, float high) { return to_half(low).bits | (u32)to_half(high).bits << 16; }

#else

__device__ __forceinline__ float to_float(half x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

__device__ __forceinline__ half to_half(float x) {
    half y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

__device__ __forceinline__ bf16 to_bf16(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

template <class Scalar> __device__ __forceinline__ u32 pack2(float low, float high);
template <> __device__ __forceinline__ u32 pack2<bf16>(float low, float high) {
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
template <> __device__ __forceinline__ u32 pack2<half>(float low, float high) {
    u32 y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

#endif

/// float to whatever a kernel stores: from_float<Scalar>(x), Scalar = float, bf16 or half.
template <class Scalar> __device__ Scalar from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return to_bf16(x); }
template <> __device__ __forceinline__ half from_float<half>(float x) { return to_half(x); }

/// The two numbers of a 32-bit register of Scalar = bf16 or half.
template <class Scalar> __device__ __forceinline__ float unpack_low(u32 x) { return to_float(Scalar{(u16)x}); }
template <class Scalar> __device__ __forceinline__ float unpack_high(u32 x) { return to_float(Scalar{(u16)(x >> 16)}); }
