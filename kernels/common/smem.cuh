// smem.cuh: dynamic shared memory, and copies into shared memory that do not wait (cp.async, sm_80 on).
//   use      issue copies, cp_async_commit(), compute on the previous tile, cp_async_wait<N>() (all but the last N groups
//            have landed, for this thread), then __syncthreads() before other threads read
//   cost     no registers and no instructions between load and store; 16-byte copies bypass L1
//   care     both addresses are multiples of the size; the emulator writes at the wait, so a missing wait shows
#pragma once
#include "types.cuh"

#if defined(PLIP_EMULATOR)

#define DYN_SMEM(Scalar, name) Scalar* name = (Scalar*)emu_dynamic_shared()

// Addresses of dynamic shared memory begin at 128, so that what must be aligned to more has to be aligned.
__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)((const u8*)p - (const u8*)emu_dynamic_shared()) + 128; }
__device__ __forceinline__ void* shared_pointer(u32 address) { return (u8*)emu_dynamic_shared() + (i32)(address - 128); }

template <int Bytes> __device__ __forceinline__ void cp_async(void* shared, const void* global) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "4, 8 or 16 bytes");
    emu_copy_async(shared, global, Bytes, Bytes);
}
template <int Bytes> __device__ __forceinline__ void cp_async_or_zero(void* shared, const void* global, bool valid) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "4, 8 or 16 bytes");
    emu_copy_async(shared, global, Bytes, valid ? Bytes : 0);
}
__device__ __forceinline__ void cp_async_commit() { emu_copy_commit(); }
template <int Pending> __device__ __forceinline__ void cp_async_wait() { emu_copy_wait(Pending); }

#else

#define DYN_SMEM(Scalar, name)                                              \
    extern __shared__ __align__(128) unsigned char dynamic_shared_[];  \
    Scalar* name = (Scalar*)dynamic_shared_

/// The 32-bit shared-memory address that PTX wants.
__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

/// Bytes (4, 8 or 16) from global to shared memory, in the background.
template <int Bytes> __device__ __forceinline__ void cp_async(void* shared, const void* global) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "4, 8 or 16 bytes");
    if constexpr (Bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(shared)), "l"(global), "n"(Bytes) : "memory");
}

/// The same, or zeros where not valid (the address is not read then): the ragged edge of a tile.
template <int Bytes> __device__ __forceinline__ void cp_async_or_zero(void* shared, const void* global, bool valid) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "4, 8 or 16 bytes");
    int from = valid ? Bytes : 0;
    if constexpr (Bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(from) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(Bytes), "r"(from) : "memory");
}

/// Closes the group of this thread's copies since the last commit.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most Pending of this thread's groups are still on their way.
template <int Pending> __device__ __forceinline__ void cp_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

#endif
