// Addresses are never used twice until the range is exhausted, so a stale pointer faults instead of hitting a neighbour.
// The end of an allocation, rounded up to CUDA's 256-byte alignment, touches its guard page; in check mode the shadow is
// exact to the byte. New memory is filled with 0xFF, which is a NaN in every float type, so that reading it shows.
#include "memory.h"
#include "check.h"
#include "device.h"
#include "errors.h"
#include "options.h"
#include "streams.h"
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <sys/mman.h>

namespace emu {

struct Allocation { uint64_t first_page, pages_bytes, bytes; bool live; };

static constexpr uint64_t alignment = 256, poison_limit = 64ull << 20;
static uint8_t* arena = nullptr;
static uint64_t next_page = page, used = 0;
static std::mutex& lock = *new std::mutex;
static std::map<uint64_t, Allocation>& allocations = *new std::map<uint64_t, Allocation>;   // by address; freed ones stay, for reports
static std::map<uint64_t, size_t>& pinned = *new std::map<uint64_t, size_t>;

bool open_memory() {
    if (!arena) {
        void* p = mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return false;
        madvise(p, arena_bytes, MADV_DONTDUMP);   // a core of this range would fill the disk
        arena = (uint8_t*)p;
    }
    if (options().check && !open_shadow((uint64_t)arena)) return false;
    if (options().check) {   // switched on while memory is live: take what is there as written
        std::lock_guard<std::mutex> hold(lock);
        for (auto& a : allocations)
            if (a.second.live) set_shadow(a.first, a.second.bytes, Shadow::Written);
    }
    return true;
}

uint64_t arena_base() { return (uint64_t)arena; }

static void release(uint64_t address, Allocation& a) {
    if (options().check) set_shadow(address, a.bytes, Shadow::Freed);
    mmap((void*)a.first_page, a.pages_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    used -= a.pages_bytes;
    a.live = false;
}

void reset_memory() {
    std::lock_guard<std::mutex> hold(lock);
    for (auto& a : allocations)
        if (a.second.live) release(a.first, a.second);
    for (auto& p : pinned) munmap((void*)p.first, p.second);
    pinned.clear();
}

static Allocation* containing(uint64_t p, uint64_t* address) {
    auto it = allocations.upper_bound(p);
    if (it == allocations.begin()) return nullptr;
    --it;
    *address = it->first;
    return &it->second;
}

bool is_device(CUdeviceptr p, size_t n) {
    std::lock_guard<std::mutex> hold(lock);
    uint64_t at;
    Allocation* a = containing(p, &at);
    return a && a->live && p + n <= at + a->bytes && p + n >= p;
}

bool is_pinned(const void* p, size_t n) {
    std::lock_guard<std::mutex> hold(lock);
    auto it = pinned.upper_bound((uint64_t)p);
    if (it == pinned.begin()) return false;
    --it;
    return (uint64_t)p + n <= it->first + it->second;
}

const char* describe_address(uint64_t p, char* to, size_t size) {
    std::lock_guard<std::mutex> hold(lock);
    uint64_t at = 0;
    if (p < page) snprintf(to, size, "null pointer");
    else if (!in_arena(p)) snprintf(to, size, "not a device address: memory of the host?");
    else if (Allocation* a = containing(p, &at)) {
        if (!a->live && p < at + a->bytes) snprintf(to, size, "in an allocation of %llu bytes that was freed", (unsigned long long)a->bytes);
        else if (p < at + a->bytes) snprintf(to, size, "in an allocation of %llu bytes", (unsigned long long)a->bytes);
        else snprintf(to, size, "%llu bytes past the end of an allocation of %llu bytes", (unsigned long long)(p - at - a->bytes), (unsigned long long)a->bytes);
    } else snprintf(to, size, "before the first allocation");
    return to;
}

/// Room for `bytes` of pages and one guard page: fresh addresses, or, when those have run out, the oldest that fit.
static uint64_t find_pages(uint64_t bytes) {
    if (next_page + bytes + page <= arena_bytes) {
        uint64_t at = (uint64_t)arena + next_page;
        next_page += bytes + page;
        return at;
    }
    for (auto it = allocations.begin(); it != allocations.end(); ++it)
        if (!it->second.live && it->second.pages_bytes == bytes) {
            uint64_t at = it->second.first_page;
            allocations.erase(it);
            return at;
        }
    return 0;
}

} // namespace emu

using namespace emu;

API CUresult cuMemAlloc_v2(CUdeviceptr* to, size_t bytes) {
    if (CUresult e = context_error()) return e;
    if (!to || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = forbidden_in_capture()) return e;
    std::lock_guard<std::mutex> hold(emu::lock);
    uint64_t body = (bytes + alignment - 1) & ~(alignment - 1), pages = (body + page - 1) & ~(page - 1);
    if (body < bytes || used + pages > options().memory) return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t first = find_pages(pages);
    if (!first || mprotect((void*)first, pages, PROT_READ | PROT_WRITE) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t address = first + pages - body;
    if (bytes <= poison_limit) memset((void*)address, 0xFF, body);   // larger ones would cost memory that may never be touched
    if (options().check) set_shadow(address, bytes, Shadow::Unwritten);
    allocations[address] = {first, pages, bytes, true};
    used += pages;
    *to = address;
    return CUDA_SUCCESS;
}

API CUresult cuMemFree_v2(CUdeviceptr p) {
    if (CUresult e = context_error()) return e;
    if (!p) return CUDA_SUCCESS;
    std::lock_guard<std::mutex> hold(emu::lock);
    auto it = allocations.find(p);
    if (it == allocations.end() || !it->second.live) return CUDA_ERROR_INVALID_VALUE;
    // In deferred mode queued work that still uses it will fault: that is the point.
    release(p, it->second);
    return sticky_error();
}

API CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
    if (CUresult e = context_error()) return e;
    if (!free_bytes || !total) return CUDA_ERROR_INVALID_VALUE;
    std::lock_guard<std::mutex> hold(emu::lock);
    *total = options().memory;
    *free_bytes = options().memory - used;
    return sticky_error();
}

API CUresult cuMemHostAlloc(void** to, size_t bytes, unsigned) {
    if (CUresult e = context_error()) return e;
    if (!to || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = forbidden_in_capture()) return e;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    std::lock_guard<std::mutex> hold(emu::lock);
    pinned[(uint64_t)p] = bytes;
    *to = p;
    return CUDA_SUCCESS;
}

API CUresult cuMemFreeHost(void* p) {
    if (CUresult e = context_error()) return e;
    std::lock_guard<std::mutex> hold(emu::lock);
    auto it = pinned.find((uint64_t)p);
    if (it == pinned.end()) return CUDA_ERROR_INVALID_VALUE;
    munmap(p, it->second);
    pinned.erase(it);
    return sticky_error();
}

/// For an allocator that carves tensors out of one large block: what it hands out is fresh (fresh != 0: unwritten, filled
/// with 0xFF) and what it takes back is out of bounds for kernels until then. Seen by kernels in check mode alone.
API CUresult cuEmulatorMark(CUdeviceptr p, size_t bytes, int fresh, CUstream stream) {
    if (CUresult e = context_error()) return e;
    if (!is_device(p, bytes)) return CUDA_ERROR_INVALID_VALUE;
    return enqueue(stream, [=] {
        if (fresh && bytes <= poison_limit) memset((void*)p, 0xFF, bytes);
        if (options().check) set_shadow(p, bytes, fresh ? Shadow::Unwritten : Shadow::Freed);
    });
}
