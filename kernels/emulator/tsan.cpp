// g++ -fsanitize=thread puts a call before every access to memory. These are the callees: not the sanitizer's own library,
// which knows nothing of CUDA threads, but our checks.
#include "block.h"
#include "check.h"

namespace emu {

static inline void checked(const void* p, size_t n, Access access, void* from) {
    Worker* w = this_worker();
    if (w && w->running && w->launch->checked) check_access(*w, (uint64_t)p, (unsigned)n, access, (uint64_t)from);
}

/// A vector access whose type promises alignment.
static inline void aligned(const void* p, size_t n, Access access, void* from) {
    Worker* w = this_worker();
    if (w && w->running && (uintptr_t)p & (n - 1))
        note(*w, CUDA_ERROR_MISALIGNED_ADDRESS, "vector access to an address that is not a multiple of its size", (uint64_t)from, "", true);
    checked(p, n, access, from);
}

} // namespace emu

using namespace emu;

#define HERE __builtin_return_address(0)
#define ACCESSES(N)                                                                                        \
    API void __tsan_read##N(void* p) { aligned(p, N, Access::Read, HERE); }                                \
    API void __tsan_write##N(void* p) { aligned(p, N, Access::Write, HERE); }                              \
    API void __tsan_unaligned_read##N(void* p) { checked(p, N, Access::Read, HERE); }                      \
    API void __tsan_unaligned_write##N(void* p) { checked(p, N, Access::Write, HERE); }                    \
    API void __tsan_volatile_read##N(void* p) { aligned(p, N, Access::Read, HERE); }                       \
    API void __tsan_volatile_write##N(void* p) { aligned(p, N, Access::Write, HERE); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

API void __tsan_read_range(void* p, size_t n) { checked(p, n, Access::Read, HERE); }
API void __tsan_write_range(void* p, size_t n) { checked(p, n, Access::Write, HERE); }
API void __tsan_init(void) {}
API void __tsan_func_entry(void*) {}
API void __tsan_func_exit(void) {}
