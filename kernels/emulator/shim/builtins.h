// The language of a .cu file on the CPU: keywords, the index variables, barriers. Force-included before the kernel's source
// when the emulator compiles it; the pieces of shim/ are joined in the order builtins, vectors, math, warp, atomics, entry.
// No system header is included: they would double the time to compile.
#pragma once
#define PLIP_EMULATOR 1
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __shared__ thread_local   // a block lives on one OS thread, and one at a time
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __restrict __restrict__
// __global__ and __launch_bounds__ become markers that the translator reads and takes out.
#define __global__ EMU_GLOBAL_MARK
#define __launch_bounds__(...) EMU_BOUNDS_MARK(__VA_ARGS__)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

// A thread's own context lies at the top of its stack, whose size and alignment are equal: the stack pointer finds it,
// without thread-local storage and without a register held back. The same struct is in fibers.h.
struct EmuThread { uint3 thread, block; dim3 block_dim, grid_dim; unsigned index, lane, warp, unused; void* stack; void* unused2; };
enum { EMU_STACK = 1 << 16 };

static __forceinline__ EmuThread* emu_self() {
    unsigned long sp;
    asm("mov %%rsp, %0" : "=r"(sp));
    return (EmuThread*)((sp | (EMU_STACK - 1)) + 1 - sizeof(EmuThread));
}
static __forceinline__ unsigned emu_lane() { return emu_self()->lane; }

#define threadIdx (emu_self()->thread)
#define blockIdx (emu_self()->block)
#define blockDim (emu_self()->block_dim)
#define gridDim (emu_self()->grid_dim)
#define warpSize 32
#define EMU_UNCHECKED __attribute__((no_sanitize("thread")))   // one lane works for all: what it touches is not its own access

typedef void (*EmuWarpOp)(void** lanes, unsigned mask);
extern "C" {
int emu_barrier(int line, int kind, int predicate);
void emu_warp(unsigned mask, EmuWarpOp op, void* lane_argument, int line);
void emu_no_operation(void**, unsigned);
void* emu_dynamic_shared();
void emu_copy_async(void* shared, const void* global, int bytes, int valid);
void emu_copy_commit();
void emu_copy_wait(int pending);
void emu_read_shared(const void* p, int bytes);
void emu_mbarrier_init(unsigned long long* barrier, int arrivals);
void emu_mbarrier_expect(unsigned long long* barrier, int bytes);
void emu_mbarrier_wait(unsigned long long* barrier, int parity, int line);
void emu_tensor_copy(void* shared, const void* map, const int* at, int rank, int s, int r, unsigned long long* barrier);
void emu_fail(int code, const char* message);
unsigned long long emu_atomic(void* p, int kind, int bytes, unsigned long long value, unsigned long long compare);
int printf(const char*, ...);
}

#define __syncthreads() ((void)emu_barrier(__LINE__, 0, 0))
#define __syncthreads_count(p) emu_barrier(__LINE__, 1, !!(p))
#define __syncthreads_and(p) emu_barrier(__LINE__, 2, !!(p))
#define __syncthreads_or(p) emu_barrier(__LINE__, 3, !!(p))
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __trap() { emu_fail(719, "__trap()"); }
#define assert(e) ((e) ? (void)0 : emu_fail(710, "assertion failed: " #e))

static __forceinline__ void emu_aligned(const void* p, int bytes) {
    if ((unsigned long)p & (bytes - 1)) emu_fail(716, "vector access to an address that is not a multiple of its size");
}

// What cannot be emulated faithfully is refused by name.
#define EMU_REFUSED(text) __attribute__((error(text)))
EMU_REFUSED("__activemask() is what the hardware happens to do: pass an explicit mask") unsigned __activemask();
EMU_REFUSED("no clock in the emulator: time with events") long long clock64();
EMU_REFUSED("threads do not wait for one another by spinning: use a barrier") void __nanosleep(unsigned);
