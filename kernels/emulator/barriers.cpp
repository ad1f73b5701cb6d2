// __syncthreads and its three relatives: all living threads of the block meet.
#include "block.h"

namespace emu {

/// Everyone is here: compares where they stand, and lets them go on.
void open_barrier(Worker& w) {
    int count = 0, line = 0;
    bool all = true, any = false;
    uint8_t kind = 0;
    unsigned first = max_block;
    for (unsigned i = 0; i < w.threads; i++) {
        Thread& t = w.thread[i];
        if (t.state != State::AtBarrier) continue;
        if (first == max_block) first = i, line = t.line, kind = t.kind;
        else if (t.line != line || t.kind != kind) {
            note_for(w, first, CUDA_ERROR_LAUNCH_FAILED, "divergent __syncthreads: the threads of a block wait at different ones", w.thread[first].address,
                     "; " + thread_name(w, i) + " waits at line " + std::to_string(t.line), false);
            w.failed = true;
            return;
        }
        count += t.predicate;
        all = all && t.predicate;
        any = any || t.predicate;
    }
    if (w.left_early && w.launch->strict) {
        note_for(w, first, CUDA_ERROR_LAUNCH_FAILED, "__syncthreads after some threads of the block have left the kernel", w.thread[first].address, "", false);
        w.failed = true;
        return;
    }
    w.barrier_result = kind == 1 ? count : kind == 2 ? all : any;
    for (unsigned q = 0; q < w.warps; q++) w.warp[q].ready = w.warp[q].live;   // all that live wait here
    w.at_barrier = 0;
    w.epoch++;
}

} // namespace emu

using namespace emu;

API int emu_barrier(int line, int kind, int predicate) {
    Worker& w = *this_worker();
    unsigned index = this_thread()->index;
    Thread& t = w.thread[index];
    t.state = State::AtBarrier;
    t.line = line;
    t.kind = (uint8_t)kind;
    t.predicate = predicate;
    t.address = (uint64_t)__builtin_return_address(0);
    if (++w.at_barrier == w.alive) {
        open_barrier(w);
        if (!w.failed && !w.launch->random) {   // the last to come goes on at once
            w.warp[index / warp_lanes].ready &= ~(1u << index % warp_lanes);
            t.state = State::Ready;
            return w.barrier_result;
        }
    }
    wait_turn(w, index);
    t.state = State::Ready;
    return w.barrier_result;   // none can pass another barrier before this thread has read it
}
