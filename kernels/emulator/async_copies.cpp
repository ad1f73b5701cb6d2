// cp.async. The hardware may write at any moment between the copy and the wait; the emulator writes at the wait, so that a
// kernel which reads before finds the poison of fresh shared memory (or, in check mode, is told so).
#include "block.h"
#include "check.h"
#include <cstring>

namespace emu {

static void land(Worker& w, const AsyncCopy& c) {
    if (w.launch->checked) {
        if (c.valid) check_access(w, (uint64_t)c.from, (unsigned)c.valid, Access::Read, c.address);
        check_access(w, (uint64_t)c.to, (unsigned)c.bytes, Access::Write, c.address);
    }
    memcpy(c.to, c.from, (size_t)c.valid);
    memset((uint8_t*)c.to + c.valid, 0, (size_t)(c.bytes - c.valid));
}

} // namespace emu

using namespace emu;

API void emu_copy_async(void* to, const void* from, int bytes, int valid) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    if (((uintptr_t)to | (valid ? (uintptr_t)from : 0)) & (uintptr_t)(bytes - 1))
        note(w, CUDA_ERROR_MISALIGNED_ADDRESS, "cp.async with an address that is not a multiple of its size", address, "", true);
    w.copies[this_thread()->index].all.push_back({to, from, bytes, valid, address});
    // From here on others may not read or write there: the write is recorded now, its arrival at the wait.
    if (w.launch->checked) {
        check_access(w, (uint64_t)to, (unsigned)bytes, Access::Write, address);
        mark_pending(w, (uint64_t)to, (unsigned)bytes);
    }
}

API void emu_copy_commit() {
    Copies& t = this_worker()->copies[this_thread()->index];
    int grouped = 0;
    for (int g : t.groups) grouped += g;
    t.groups.push_back((int)t.all.size() - grouped);
}

API void emu_copy_wait(int pending) {
    Worker& w = *this_worker();
    Copies& t = w.copies[this_thread()->index];
    int landed = 0;
    size_t groups = t.groups.size() > (size_t)pending ? t.groups.size() - (size_t)pending : 0;
    for (size_t g = 0; g < groups; g++)
        for (int i = 0; i < t.groups[g]; i++) land(w, t.all[(size_t)landed++]);
    t.all.erase(t.all.begin(), t.all.begin() + landed);
    t.groups.erase(t.groups.begin(), t.groups.begin() + (std::ptrdiff_t)groups);
}

API void* emu_dynamic_shared() { return this_worker()->dynamic; }

API void emu_read_shared(const void* p, int bytes) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    if ((uintptr_t)p & (uintptr_t)(bytes - 1)) note(w, CUDA_ERROR_MISALIGNED_ADDRESS, "ldmatrix with a row that is not 16-byte aligned", address, "", true);
    if (w.launch->checked) check_access(w, (uint64_t)p, (unsigned)bytes, Access::Read, address);
}

API void emu_fail(int code, const char* message) { note(*this_worker(), code, message, (uint64_t)__builtin_return_address(0), "", true); }
