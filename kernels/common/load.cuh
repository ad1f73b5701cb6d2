// load.cuh: N neighbouring elements in one transaction, as float in registers; T = float, bf16 or half in memory.
//   cost     a warp moves 32 · N · sizeof(T) bytes by one instruction; 16 bytes a thread reaches full bandwidth
//   care     the address must be a multiple of N · sizeof(T): the device faults (716), and so does the emulator
//   hints    *_stream: touched once, evict first (ld.global.cs / st.global.cs), so that weights stay in L2
//            *_once: read-only for the whole kernel (ld.global.nc)
#pragma once
#include "types.cuh"

/// N elements of T, aligned to their whole size: a register vector.
template <class T, int N> struct alignas(sizeof(T) * N) Vec {
    T at[N];
    __device__ __forceinline__ T& operator[](int i) { return at[i]; }
    __device__ __forceinline__ const T& operator[](int i) const { return at[i]; }
};

/// Elements of T in 16 bytes.
template <class T> struct Widest { static constexpr int count = 16 / sizeof(T); };

#if defined(PLIP_EMULATOR)

template <class V> __device__ __forceinline__ V load_as(const void* p) { emu_aligned(p, sizeof(V)); return *(const V*)p; }
template <class V> __device__ __forceinline__ V load_stream_as(const void* p) { return load_as<V>(p); }
template <class V> __device__ __forceinline__ V load_once_as(const void* p) { return load_as<V>(p); }
template <class V> __device__ __forceinline__ void store_as(void* p, const V& v) { emu_aligned(p, sizeof(V)); *(V*)p = v; }
template <class V> __device__ __forceinline__ void store_stream_as(void* p, const V& v) { store_as(p, v); }

#else

// One 4, 8 or 16-byte instruction with a cache operator; V is what the bits mean.
#define PLIP_LOAD(NAME, OP)                                                                                           \
    template <class V> __device__ __forceinline__ V NAME(const void* p) {                                             \
        static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16, "4, 8 or 16 bytes");                       \
        union Bits { V v; u32 w[sizeof(V) / 4]; } b;                                                                  \
        if constexpr (sizeof(V) == 4)                                                                                 \
            asm volatile(OP ".u32 %0, [%1];" : "=r"(b.w[0]) : "l"(p));                                                \
        else if constexpr (sizeof(V) == 8)                                                                            \
            asm volatile(OP ".v2.u32 {%0, %1}, [%2];" : "=r"(b.w[0]), "=r"(b.w[1]) : "l"(p));                         \
        else                                                                                                          \
            asm volatile(OP ".v4.u32 {%0, %1, %2, %3}, [%4];"                                                         \
                         : "=r"(b.w[0]), "=r"(b.w[1]), "=r"(b.w[2]), "=r"(b.w[3]) : "l"(p));                          \
        return b.v;                                                                                                   \
    }
PLIP_LOAD(load_stream_as, "ld.global.cs")
PLIP_LOAD(load_once_as, "ld.global.nc")
#undef PLIP_LOAD

template <class V> __device__ __forceinline__ V load_as(const void* p) { return *(const V*)p; }
template <class V> __device__ __forceinline__ void store_as(void* p, const V& v) { *(V*)p = v; }

template <class V> __device__ __forceinline__ void store_stream_as(void* p, const V& v) {
    static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16, "4, 8 or 16 bytes");
    const u32* w = (const u32*)&v;
    if constexpr (sizeof(V) == 4)
        asm volatile("st.global.cs.u32 [%0], %1;" ::"l"(p), "r"(w[0]) : "memory");
    else if constexpr (sizeof(V) == 8)
        asm volatile("st.global.cs.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(w[0]), "r"(w[1]) : "memory");
    else
        asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]) : "memory");
}

#endif

template <class T, int N> __device__ __forceinline__ Vec<float, N> to_floats(const Vec<T, N>& v) {
    Vec<float, N> f;
#pragma unroll
    for (int i = 0; i < N; i++) f[i] = to_float(v[i]);
    return f;
}

template <class T, int N> __device__ __forceinline__ Vec<T, N> from_floats(const Vec<float, N>& f) {
    Vec<T, N> v;
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = from_float<T>(f[i]);
    return v;
}

/// N elements from p as floats. N · sizeof(T) is 2 (one bf16), 4, 8 or 16 bytes.
template <int N, class T> __device__ __forceinline__ Vec<float, N> load(const T* p) { return to_floats(load_as<Vec<T, N>>(p)); }
template <int N, class T> __device__ __forceinline__ Vec<float, N> load_stream(const T* p) { return to_floats(load_stream_as<Vec<T, N>>(p)); }
template <int N, class T> __device__ __forceinline__ Vec<float, N> load_once(const T* p) { return to_floats(load_once_as<Vec<T, N>>(p)); }

/// N floats to p, rounded to T.
template <int N, class T> __device__ __forceinline__ void store(T* p, const Vec<float, N>& v) { store_as(p, from_floats<T>(v)); }
template <int N, class T> __device__ __forceinline__ void store_stream(T* p, const Vec<float, N>& v) { store_stream_as(p, from_floats<T>(v)); }
