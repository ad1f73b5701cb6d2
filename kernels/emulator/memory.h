// Device memory: one reserved range of addresses, each allocation in pages of its own with a guard page behind it.
#pragma once
#include "cuda_abi.h"

namespace emu {

constexpr uint64_t arena_bytes = 256ull << 30;   // addresses, not memory
constexpr uint64_t page = 4096;

/// Reserves the range (once) and, in check mode, its shadow.
bool open_memory();

/// Frees all allocations and pinned memory: the context is gone.
void reset_memory();

uint64_t arena_base();
inline bool in_arena(uint64_t p) { return p - arena_base() < arena_bytes; }

/// All of [p, p + n) lies in one live allocation.
bool is_device(CUdeviceptr p, size_t n);

/// All of [p, p + n) lies in one live block of cuMemHostAlloc.
bool is_pinned(const void* p, size_t n);

/// "68 bytes past the end of the 4096-byte allocation at 0x...", "in freed memory", ...
const char* describe_address(uint64_t p, char* to, size_t size);

} // namespace emu
