// Atomics, the kinds in the order of shim/atomics.h. Float sums depend on the order of blocks, as on the device.
#include "block.h"
#include "check.h"
#include <cstring>

namespace emu {

enum Kind { Add, AddFloat, Min, MinSigned, Max, MaxSigned, Exchange, Compare, And, Or, ExclusiveOr };

template <class Bits, class Signed, class Float> static Bits combine(int kind, Bits old, Bits value, Bits compare) {
    switch (kind) {
    case Add: return old + value;
    case AddFloat: {
        Float a, b;
        memcpy(&a, &old, sizeof a);
        memcpy(&b, &value, sizeof b);
        a += b;
        memcpy(&old, &a, sizeof a);
        return old;
    }
    case Min: return value < old ? value : old;
    case MinSigned: return (Signed)value < (Signed)old ? value : old;
    case Max: return value > old ? value : old;
    case MaxSigned: return (Signed)value > (Signed)old ? value : old;
    case Exchange: return value;
    case Compare: return old == compare ? value : old;
    case And: return old & value;
    case Or: return old | value;
    default: return old ^ value;
    }
}

template <class Bits, class Signed, class Float> static Bits apply(Bits* p, int kind, Bits value, Bits compare) {
    Bits old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(p, &old, combine<Bits, Signed, Float>(kind, old, value, compare), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {}
    return old;
}

} // namespace emu

using namespace emu;

API unsigned long long emu_atomic(void* p, int kind, int bytes, unsigned long long value, unsigned long long compare) {
    Worker& w = *this_worker();
    auto address = (uint64_t)__builtin_return_address(0);
    if ((uintptr_t)p & (uintptr_t)(bytes - 1)) note(w, CUDA_ERROR_MISALIGNED_ADDRESS, "atomic on an address that is not a multiple of its size", address, "", true);
    if (w.launch->checked) check_access(w, (uint64_t)p, (unsigned)bytes, Access::Atomic, address);
    if (bytes == 4) return apply<uint32_t, int32_t, float>((uint32_t*)p, kind, (uint32_t)value, (uint32_t)compare);
    return apply<uint64_t, int64_t, double>((uint64_t*)p, kind, value, compare);
}
