// Warp operations: the lanes of a mask meet, the last to come performs the operation for all. Mask, operation and line must
// agree, which is what the hardware silently assumes.
#include "block.h"

namespace emu {

/// If all living lanes of the mask have come: performs, and frees them (but for `self`, who is running).
static void hold_meeting(Worker& w, unsigned warp, Meeting& m, int self) {
    Warp& q = w.warp[warp];
    unsigned needed = m.mask & q.live;
    if (!m.arrived || (m.arrived & needed) != needed) return;
    if (m.mask & ~q.live && w.launch->strict)
        note_for(w, warp * warp_lanes + (unsigned)__builtin_ctz(m.arrived), CUDA_ERROR_LAUNCH_FAILED, "a warp operation names lanes that have left the kernel", m.address, "", false);
    WarpOp op = m.op;
    unsigned arrived = m.arrived;
    op(q.arguments, arrived);
    for (unsigned rest = self < 0 ? arrived : arrived & ~(1u << self); rest; rest &= rest - 1)
        make_ready(w, warp * warp_lanes + (unsigned)__builtin_ctz(rest));
    m.arrived = 0;
    m.op = nullptr;
    q.open--;
}

void lanes_have_left(Worker& w, unsigned warp) {
    for (Meeting& m : w.warp[warp].meetings)
        if (m.arrived) hold_meeting(w, warp, m, -1);
}

} // namespace emu

using namespace emu;

API void emu_no_operation(void**, unsigned) {}

API void emu_warp(unsigned mask, WarpOp op, void* argument, int line) {
    Worker& w = *this_worker();
    ThreadContext* c = this_thread();
    unsigned index = c->index, lane = c->lane;
    auto address = (uint64_t)__builtin_return_address(0);
    Warp& q = w.warp[c->warp];
    Thread& t = w.thread[index];
    if (!(mask >> lane & 1)) note(w, CUDA_ERROR_LAUNCH_FAILED, "a warp operation by a lane that is not in its own mask", address, "", true);
    Meeting& m = q.meetings[__builtin_ctz(mask)];
    if (!m.arrived) {
        if (q.open)
            for (Meeting& other : q.meetings)
                if (other.arrived && other.mask & mask)
                    note(w, CUDA_ERROR_LAUNCH_FAILED, "warp operations whose masks differ but overlap", address, "; others of the warp wait at line " + std::to_string(other.line), true);
        m.mask = mask;
        m.op = op;
        m.line = line;
        m.address = address;
        q.open++;
    } else if (m.mask != mask || m.op != op || m.line != line)
        note(w, CUDA_ERROR_LAUNCH_FAILED, "divergent warp operation: lanes of a mask stand at different ones", address, "; others of the warp wait at line " + std::to_string(m.line), true);
    m.arrived |= 1u << lane;
    q.arguments[lane] = argument;
    t.line = line;
    t.address = address;
    t.state = State::AtWarpOp;
    if ((m.mask & q.live & ~m.arrived) == 0) {
        if (op == emu_no_operation) q.clock++;   // only __syncwarp orders memory
        hold_meeting(w, c->warp, m, (int)lane);
        t.state = State::Ready;
        if (!w.launch->random) return;
        make_ready(w, index);
    }
    wait_turn(w, index);
}
