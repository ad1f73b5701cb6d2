// Stacks of CUDA threads, and what a thread does from its first instruction to its last.
// A thread that never waits hands its stack to the next one, so kernels without barriers never switch and touch one stack.
#include "block.h"
#include "device.h"
#include <cstring>
#include <sys/mman.h>

namespace emu {

__thread Worker* current_worker = nullptr;

static uint8_t* take_stack(Worker& w) {
    if (!w.stacks) {
        size_t bytes = stack_bytes * (max_block + 1);
        auto p = (uintptr_t)mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        w.stacks = (uint8_t*)((p + stack_bytes - 1) & ~(uintptr_t)(stack_bytes - 1));
    }
    if (w.free_stacks.empty()) {
        // All but the lowest page, which stays a guard; opened when first needed, as each costs the kernel two map entries.
        uint8_t* stack = w.stacks + stack_bytes * w.opened++;
        mprotect(stack + 4096, stack_bytes - 4096, PROT_READ | PROT_WRITE);
        return stack;
    }
    uint8_t* stack = w.free_stacks.back();
    w.free_stacks.pop_back();
    return stack;
}

static void set_context(Worker& w, uint8_t* stack, unsigned index) {
    auto* c = (ThreadContext*)(stack + stack_bytes - sizeof(ThreadContext));
    Index3 dim = w.launch->block;
    c->index = index;
    c->thread = {index % dim.x, index / dim.x % dim.y, index / dim.x / dim.y};
    c->block = w.block;
    c->block_dim = dim;
    c->grid_dim = w.launch->grid;
    c->lane = index % warp_lanes;
    c->warp = index / warp_lanes;
    c->stack = stack;
}

static int next_thread(Worker& w, unsigned warp, unsigned lane);
static void thread_left(Worker& w, unsigned index);

/// Runs the kernel for one thread after another; never returns.
static void fiber_main() {
    for (;;) {
        Worker& w = *this_worker();
        ThreadContext* c = this_thread();
        unsigned index = c->index;
        auto* stack = (uint8_t*)c->stack;
        w.thread[index].state = State::Ready;
        w.launch->run(w.launch->arguments);
        thread_left(w, index);
        int next = w.failed || !w.alive ? -1 : next_thread(w, index / warp_lanes, index % warp_lanes);
        if (next < 0) {
            w.free_stacks.push_back(stack);
            emu_switch(&w.thread[index].stack_pointer, w.scheduler);
        }
        w.warp[(unsigned)next / warp_lanes].ready &= ~(1u << (unsigned)next % warp_lanes);
        if (w.thread[next].state == State::Fresh) {
            set_context(w, stack, (unsigned)next);
            continue;
        }
        w.free_stacks.push_back(stack);   // nothing runs on it before the switch below
        emu_switch(&w.thread[index].stack_pointer, w.thread[next].stack_pointer);
    }
}

void* start_fiber(Worker& w, unsigned index) {
    uint8_t* stack = take_stack(w);
    set_context(w, stack, index);
    uintptr_t top = (uintptr_t)(stack + stack_bytes - sizeof(ThreadContext)) & ~(uintptr_t)63;
    top -= 64 * 5 * (index % 32);         // stacks start at different cache sets: all tops alike would share eight ways
    auto** sp = (void**)top;
    *--sp = nullptr;                      // the return address a function expects above it
    *--sp = (void*)fiber_main;
    sp -= 6;
    memset(sp, 0, 6 * sizeof(void*));
    return sp;
}

static void thread_left(Worker& w, unsigned index) {
    Thread& t = w.thread[index];
    unsigned warp = index / warp_lanes;
    t.state = State::Left;
    w.alive--;
    w.warp[warp].live &= ~(1u << index % warp_lanes);
    w.copies[index].forget();
    if (w.failed || !w.alive) return;
    w.left_early = true;
    if (w.at_barrier == w.alive) open_barrier(w);
    if (w.warp[warp].live && w.warp[warp].open) lanes_have_left(w, warp);
}

static uint32_t next_random(Worker& w) {
    w.random ^= w.random << 13;
    w.random ^= w.random >> 17;
    w.random ^= w.random << 5;
    return w.random;
}

/// The next thread that can run: the following lane, then the following warp; in random mode any. -1 if all wait.
static int next_thread(Worker& w, unsigned warp, unsigned lane) {
    if (w.launch->random) {
        unsigned start = next_random(w) % w.warps;
        for (unsigned i = 0; i < w.warps; i++) {
            unsigned q = (start + i) % w.warps, ready = w.warp[q].ready;
            if (!ready) continue;
            for (unsigned skip = next_random(w) % (unsigned)__builtin_popcount(ready); skip > 0; skip--) ready &= ready - 1;
            return (int)(q * warp_lanes + (unsigned)__builtin_ctz(ready));
        }
        return -1;
    }
    if (unsigned ready = w.warp[warp].ready) {
        unsigned after = lane < 31 ? ready & (~0u << (lane + 1)) : 0;
        return (int)(warp * warp_lanes + (unsigned)__builtin_ctz(after ? after : ready));
    }
    for (unsigned i = 1; i <= w.warps; i++) {
        unsigned q = (warp + i) % w.warps;
        if (w.warp[q].ready) return (int)(q * warp_lanes + (unsigned)__builtin_ctz(w.warp[q].ready));
    }
    return -1;
}

void make_ready(Worker& w, unsigned index) {
    w.thread[index].state = State::Ready;
    w.warp[index / warp_lanes].ready |= 1u << index % warp_lanes;
}

static void nobody_can_run(Worker& w) {
    unsigned barrier = 0, meeting = 0, left = 0;
    int barrier_line = 0, meeting_line = 0;
    unsigned first = 0;
    for (unsigned i = w.threads; i-- > 0;) {
        Thread& t = w.thread[i];
        if (t.state == State::AtBarrier) barrier++, barrier_line = t.line, first = i;
        if (t.state == State::AtWarpOp) meeting++, meeting_line = t.line, first = i;
        if (t.state == State::Left) left++;
    }
    std::string other = ": " + std::to_string(barrier) + " threads at __syncthreads (line " + std::to_string(barrier_line) + "), " +
                        std::to_string(meeting) + " at a warp operation (line " + std::to_string(meeting_line) + "), " + std::to_string(left) + " have left";
    note_for(w, first, CUDA_ERROR_LAUNCH_TIMEOUT, "deadlock: threads wait for one another", w.thread[first].address, other, false);
    w.failed = true;
}

void wait_turn(Worker& w, unsigned index) {
    Thread& t = w.thread[index];
    if (w.failed) emu_switch(&t.stack_pointer, w.scheduler);
    int next = next_thread(w, index / warp_lanes, index % warp_lanes);
    if (next < 0) {
        nobody_can_run(w);
        emu_switch(&t.stack_pointer, w.scheduler);
    }
    w.warp[(unsigned)next / warp_lanes].ready &= ~(1u << (unsigned)next % warp_lanes);
    if ((unsigned)next == index) return;
    Thread& n = w.thread[next];
    if (n.state == State::Fresh) n.stack_pointer = start_fiber(w, (unsigned)next);
    emu_switch(&t.stack_pointer, n.stack_pointer);
}

/// Sets a worker's block up and runs it to its end, or to its first fatal error.
void run_block(Worker& w, uint64_t number) {
    Launch& launch = *w.launch;
    w.block_number = number;
    w.block = {(unsigned)(number % launch.grid.x), (unsigned)(number / launch.grid.x % launch.grid.y), (unsigned)(number / launch.grid.x / launch.grid.y)};
    w.threads = launch.block.x * launch.block.y * launch.block.z;
    w.warps = (w.threads + warp_lanes - 1) / warp_lanes;
    w.alive = w.threads;
    w.at_barrier = 0;
    w.epoch = 1;
    w.left_early = w.failed = false;
    w.bulk.clear();
    w.random = (uint32_t)(number * 2654435761u) ^ (launch.seed * 40503u + 12345u) ^ launch.id;
    if (!w.random) w.random = 1;
    for (unsigned q = 0; q < w.warps; q++) {
        unsigned lanes = w.threads - q * warp_lanes;
        Warp& warp = w.warp[q];
        warp.ready = warp.live = lanes >= warp_lanes ? ~0u : (1u << lanes) - 1;
        warp.open = 0;
        warp.clock = 1;
    }
    for (unsigned i = 0; i < w.threads; i++) w.thread[i].state = State::Fresh;
    // Shared memory holds nothing at first: as NaN, use of it shows.
    for (auto& r : launch.shared) memset(w.shared + r.offset, 0xFF, r.bytes);
    if (launch.dynamic_shared) memset(w.dynamic, 0xFF, (size_t)(w.dynamic_end - w.dynamic));
    int first = next_thread(w, 0, 31);
    w.warp[(unsigned)first / warp_lanes].ready &= ~(1u << (unsigned)first % warp_lanes);
    w.running = true;
    emu_switch(&w.scheduler, start_fiber(w, (unsigned)first));
    w.running = false;
    if (!w.failed && !w.bulk.empty())
        note_for(w, 0, CUDA_ERROR_LAUNCH_FAILED, "the block has ended before a bulk copy that nothing waited for", w.bulk[0].address, "", false);
    if (!w.failed) return;
    w.free_stacks.clear();                // abandoned threads keep theirs otherwise
    for (unsigned i = 0; i < w.opened; i++) w.free_stacks.push_back(w.stacks + stack_bytes * i);
    for (unsigned q = 0; q < w.warps; q++)
        for (Meeting& m : w.warp[q].meetings) m = Meeting();
    for (unsigned i = 0; i < w.threads; i++) w.copies[i].forget();
}

} // namespace emu
