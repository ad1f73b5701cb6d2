// load.cuh: N neighbouring elements in one transaction, as float in registers; T = float, bf16 or half in memory.
//   cost     a warp moves 32 · N · sizeof(T) bytes by one instruction; 16 bytes a thread reaches full bandwidth
//   care     the address must be a multiple of N · sizeof(T): the device faults (716), and so does the emulator
//   hints    *_stream: touched once, evict first (ld.global.cs / st.global.cs), so that weights stay in L2
//            *_once: read-only for the whole kernel (ld.global.nc)
#pragma once
#include "types.cuh"

/// Count elements of Scalar, aligned to their whole size: a register vector.
template <class Scalar, int Count> struct alignas(sizeof(Scalar) * Count) Vec {
    Scalar at[Count];
    __device__ __forceinline__ Scalar& operator[](int i) { return at[i]; }
    __device__ __forceinline__ const Scalar& operator[](int i) const { return at[i]; }
};

/// Elements of Scalar in 16 bytes.
template <class Scalar> struct Widest { static constexpr int count = 16 / sizeof(Scalar); };

#if defined(PLIP_EMULATOR)

template <class Words> __device__ __forceinline__ Words load_as(const void* p) { emu_aligned(p, sizeof(Words)); return *(const Words*)p; }
template <class Words> __device__ __forceinline__ Words load_stream_as(const void* p) { return load_as<Words>(p); }
template <class Words> __device__ __forceinline__ Words load_once_as(const void* p) { return load_as<Words>(p); }
template <class Words> __device__ __forceinline__ void store_as(void* p, const Words& v) { emu_aligned(p, sizeof(Words)); *(Words*)p = v; }
template <class Words> __device__ __forceinline__ void store_stream_as(void* p, const Words& v) { store_as(p, v); }

#else

// One 4, 8 or 16-byte instruction with a cache operator; Words is what the bits mean.
#define PLIP_LOAD(Name, Op)                                                                                           \
    template <class Words> __device__ __forceinline__ Words Name(const void* p) {                                             \
        static_assert(sizeof(Words) == 4 || sizeof(Words) == 8 || sizeof(Words) == 16, "4, 8 or 16 bytes");                       \
        union Bits { Words v; u32 w[sizeof(Words) / 4]; } b;                                                                  \
        if constexpr (sizeof(Words) == 4)                                                                                 \
            asm volatile(Op ".u32 %0, [%1];" : "=r"(b.w[0]) : "l"(p));                                                \
        else if constexpr (sizeof(Words) == 8)                                                                            \
            asm volatile(Op ".v2.u32 {%0, %1}, [%2];" : "=r"(b.w[0]), "=r"(b.w[1]) : "l"(p));                         \
        else                                                                                                          \
            asm volatile(Op ".v4.u32 {%0, %1, %2, %3}, [%4];"                                                         \
                         : "=r"(b.w[0]), "=r"(b.w[1]), "=r"(b.w[2]), "=r"(b.w[3]) : "l"(p));                          \
        return b.v;                                                                                                   \
    }
PLIP_LOAD(load_stream_as, "ld.global.cs")
PLIP_LOAD(load_once_as, "ld.global.nc")
#undef PLIP_LOAD

template <class Words> __device__ __forceinline__ Words load_as(const void* p) { return *(const Words*)p; }
template <class Words> __device__ __forceinline__ void store_as(void* p, const Words& v) { *(Words*)p = v; }

template <class Words> __device__ __forceinline__ void store_stream_as(void* p, const Words& v) {
    static_assert(sizeof(Words) == 4 || sizeof(Words) == 8 || sizeof(Words) == 16, "4, 8 or 16 bytes");
    const u32* w = (const u32*)&v;
    if constexpr (sizeof(Words) == 4)
        asm volatile("st.global.cs.u32 [%0], %1;" ::"l"(p), "r"(w[0]) : "memory");
    else if constexpr (sizeof(Words) == 8)
        asm volatile("st.global.cs.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(w[0]), "r"(w[1]) : "memory");
    else
        asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]) : "memory");
}

#endif

template <class Scalar, int Count> __device__ __forceinline__ Vec<float, Count> to_floats(const Vec<Scalar, Count>& v) {
    Vec<float, Count> f;
#pragma unroll
    for (int i = 0; i < Count; i++) f[i] = to_float(v[i]);
    return f;
}

template <class Scalar, int Count> __device__ __forceinline__ Vec<Scalar, Count> from_floats(const Vec<float, Count>& f) {
    Vec<Scalar, Count> v;
#pragma unroll
    for (int i = 0; i < Count; i++) v[i] = from_float<Scalar>(f[i]);
    return v;
}

/// Count elements from p as floats. Count · sizeof(Scalar) is 2 (one bf16), 4, 8 or 16 bytes.
template <int Count, class Scalar> __device__ __forceinline__ Vec<float, Count> load(const Scalar* p) { return to_floats(load_as<Vec<Scalar, Count>>(p)); }
template <int Count, class Scalar> __device__ __forceinline__ Vec<float, Count> load_stream(const Scalar* p) { return to_floats(load_stream_as<Vec<Scalar, Count>>(p)); }
template <int Count, class Scalar> __device__ __forceinline__ Vec<float, Count> load_once(const Scalar* p) { return to_floats(load_once_as<Vec<Scalar, Count>>(p)); }

/// Count floats to p, rounded to Scalar.
template <int Count, class Scalar> __device__ __forceinline__ void store(Scalar* p, const Vec<float, Count>& v) { store_as(p, from_floats<Scalar>(v)); }
template <int Count, class Scalar> __device__ __forceinline__ void store_stream(Scalar* p, const Vec<float, Count>& v) { store_stream_as(p, from_floats<Scalar>(v)); }
