// mbarrier, and copies of boxes of tensors (TMA). The hardware may write at any moment between the request and the barrier's phase; the emulator writes when
// the barrier is waited for, so that a kernel which reads before finds the poison of fresh shared memory (or, in check mode, is told so).
#include "block.h"
#include "check.h"
#include "tensor_maps.h"
#include <cstring>

namespace emu {

/// The eight bytes of an mbarrier. All ones, as fresh shared memory is: never initialised.
struct MBarrier {
    int32_t bytes;                     // told of, not yet arrived
    uint16_t pending;                  // arrivals that this phase waits for
    uint16_t arrivals : 15, phase : 1;
};
static_assert(sizeof(MBarrier) == 8, "as the hardware's");

static MBarrier& known(Worker& w, uint64_t* p, uint64_t address) {
    auto& b = *(MBarrier*)p;
    if ((uintptr_t)p % 8) note(w, CUDA_ERROR_MISALIGNED_ADDRESS, "an mbarrier at an address that is not a multiple of 8", address, "", true);
    if (b.arrivals == 0x7fff) note(w, CUDA_ERROR_LAUNCH_FAILED, "an mbarrier that was not initialised", address, "", true);
    return b;
}

static void settle(MBarrier& b) {
    if (b.pending || b.bytes) return;
    b.phase ^= 1;
    b.pending = b.arrivals;
}

/// The 128-byte swizzle: groups of 16 bytes change places by the number of their line.
static uint8_t* swizzled(Worker& w, const uint8_t* to) {
    constexpr uintptr_t Begin = 128;   // where addresses of dynamic shared memory begin, as in kernels/common/smem.cuh
    uintptr_t at = (uintptr_t)(to - w.dynamic) + Begin;
    return w.dynamic + ((at ^ (at >> 7 & 7) << 4) - Begin);
}

static void line(Worker& w, const BulkCopy& c, unsigned number, uint64_t from, bool inside, int64_t first) {
    const TensorMap& m = *(const TensorMap*)c.map;
    for (unsigned group = 0; group < m.box[0] * m.element / 16; group++) {
        uint8_t bytes[16] = {};
        unsigned valid = 0;
        for (unsigned i = 0; i < 16u / m.element; i++) {
            int64_t column = first + group * 16 / m.element + i;
            if (!inside || column < 0 || column >= m.extent[0]) continue;
            memcpy(bytes + i * m.element, (const void*)(from + (uint64_t)column * m.element), m.element);
            valid++;
        }
        if (valid && w.launch->checked) {
            int64_t column = first + group * 16 / m.element;
            check_access(w, from + (uint64_t)(column < 0 ? 0 : column) * m.element, valid * m.element, Access::Read, c.address);
        }
        memcpy(swizzled(w, (uint8_t*)c.to + number * 128 + group * 16), bytes, 16);
    }
}

static void land(Worker& w, const BulkCopy& c) {
    const TensorMap& m = *(const TensorMap*)c.map;
    if (!m.im2col)
        for (unsigned i = 0; i < m.box[1]; i++) {
            int64_t row = (int64_t)c.at[1] + i;
            line(w, c, i, m.address + (uint64_t)row * m.stride[0], row >= 0 && row < m.extent[1], c.at[0]);
        }
    else {
        int64_t x = c.at[1], y = c.at[2], n = c.at[3];
        for (unsigned i = 0; i < m.box[1]; i++) {
            int64_t column = x + c.offset[0], row = y + c.offset[1];
            bool inside = column >= 0 && column < m.extent[1] && row >= 0 && row < m.extent[2] && n >= 0 && n < m.extent[3];
            line(w, c, i, m.address + (uint64_t)column * m.stride[0] + (uint64_t)row * m.stride[1] + (uint64_t)n * m.stride[2], inside, c.at[0]);
            if ((x += m.step[0]) < (int64_t)m.extent[1] + m.upper[0]) continue;
            x = m.lower[0];
            if ((y += m.step[1]) < (int64_t)m.extent[2] + m.upper[1]) continue;
            y = m.lower[1];
            n++;
        }
    }
    if (w.launch->checked) mark_landed(w, (uint64_t)c.to, (unsigned)(m.box[1] * 128));
    ((MBarrier*)c.barrier)->bytes -= (int32_t)(m.box[0] * m.element * m.box[1]);
}

} // namespace emu

using namespace emu;

API void emu_mbarrier_init(uint64_t* p, int arrivals) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    if (arrivals < 1 || arrivals > 1024) note(w, CUDA_ERROR_LAUNCH_FAILED, "an mbarrier of no arrivals, or of more than 1024", address, "", true);
    *(MBarrier*)p = {0, (uint16_t)arrivals, (uint16_t)arrivals, 0};
}

API void emu_mbarrier_expect(uint64_t* p, int bytes) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    MBarrier& b = known(w, p, address);
    if (!b.pending) note(w, CUDA_ERROR_LAUNCH_FAILED, "an mbarrier at which more arrive than it waits for", address, "", true);
    b.bytes += bytes;
    b.pending--;
    settle(b);
}

API void emu_tensor_copy(void* to, const void* map, const int* at, int rank, int s, int r, uint64_t* barrier) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    known(w, barrier, address);
    const auto& m = *(const TensorMap*)map;
    if (m.magic != TensorMap::Written) note(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, "a bulk copy by something that is no tensor map", address, "", true);
    if ((rank == 4) != (m.im2col != 0)) note(w, CUDA_ERROR_ILLEGAL_INSTRUCTION, "a bulk copy by a tensor map of another kind", address, "", true);
    uint64_t offset = (uint64_t)((uint8_t*)to - w.dynamic), bytes = m.box[1] * 128;
    if (offset + bytes > w.launch->dynamic_shared) note(w, CUDA_ERROR_ILLEGAL_ADDRESS, "a bulk copy outside dynamic shared memory", address, "", true);
    if ((offset + 128) % 1024) note(w, CUDA_ERROR_MISALIGNED_ADDRESS, "a bulk copy with the 128-byte swizzle to an address that is not a multiple of 1 KB", address, "", true);
    w.bulk.push_back({to, map, {at[0], at[1], at[2], at[3]}, {s, r}, barrier, address});
    if (w.launch->checked) {
        check_access(w, (uint64_t)to, (unsigned)bytes, Access::Write, address);
        mark_pending(w, (uint64_t)to, (unsigned)bytes);
    }
}

API void emu_mbarrier_wait(uint64_t* p, int parity, int line_number) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    unsigned index = this_thread()->index;
    for (unsigned tries = 0;; tries++) {
        MBarrier& b = known(w, p, address);
        for (size_t i = 0; i < w.bulk.size();)
            if (w.bulk[i].barrier == p) {
                BulkCopy c = w.bulk[i];
                w.bulk.erase(w.bulk.begin() + (std::ptrdiff_t)i);
                land(w, c);
            } else i++;
        settle(b);
        if (b.phase != (unsigned)parity) return;
        // Not complete: others have their turn. Who would wake this thread is not known, so it looks again; that nobody comes is told by how often.
        if (tries > 4 * w.threads)
            note(w, CUDA_ERROR_LAUNCH_TIMEOUT, "deadlock: an mbarrier's phase does not end", address,
                 ": " + std::to_string(b.pending) + " arrivals and " + std::to_string(b.bytes) + " bytes are missing", true);
        Thread& t = w.thread[index];
        t.line = line_number;
        t.address = address;
        make_ready(w, index);
        wait_turn(w, index);
    }
}
