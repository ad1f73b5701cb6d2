// One block at a time per OS thread: its CUDA threads as fibers, their barriers and warp operations.
#pragma once
#include "errors.h"
#include "launch.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

extern "C" void emu_switch(void** save, void* to);

namespace emu {

constexpr size_t stack_bytes = 1 << 16;   // size and alignment, with EMU_STACK in shim/builtins.h
constexpr unsigned max_block = 1024, warp_lanes = 32, max_warps = max_block / warp_lanes;

/// At the top of each stack; the same as EmuThread in shim/builtins.h.
struct ThreadContext { Index3 thread, block, block_dim, grid_dim; unsigned index, lane, warp, unused; void* stack; void* unused2; };

enum class State : uint8_t { Fresh, Ready, AtBarrier, AtWarpOp, Left };

struct AsyncCopy { void* to; const void* from; int bytes, valid; uint64_t address; };

/// A box of a tensor that has not landed; `barrier` counts its bytes.
struct BulkCopy { void* to; const void* map; int at[4], offset[2]; uint64_t* barrier; uint64_t address; };

struct Thread {
    void* stack_pointer = nullptr;
    State state = State::Fresh;
    uint8_t kind = 0;                 // of barrier: plain, count, and, or
    int line = 0, predicate = 0;
    uint64_t address = 0;             // of the instruction that waits
};                                    // 32 bytes: a switch touches two of these

/// cp.async of a thread that have not landed.
struct Copies {
    std::vector<AsyncCopy> all;
    std::vector<int> groups;          // committed, oldest first: copies in each
    void forget() { all.clear(), groups.clear(); }
};

using WarpOp = void (*)(void** lanes, unsigned mask);

/// Lanes that meet in one warp operation.
struct Meeting { unsigned mask = 0, arrived = 0; WarpOp op = nullptr; int line = 0; uint64_t address = 0; };

struct Warp {
    unsigned ready, live;
    unsigned open;                    // meetings that someone has come to
    uint32_t clock;                   // __syncwarps so far: what is before one is ordered before what is after
    Meeting meetings[warp_lanes];     // by the lowest lane of the mask
    void* arguments[warp_lanes];
};

struct SharedShadow;

/// An OS thread that runs blocks. Everything a block needs is here, so blocks share nothing but device memory.
struct Worker {
    unsigned index = 0;
    uint8_t* stacks = nullptr;        // max_block of them
    unsigned opened = 0;              // how many have been made accessible
    std::vector<uint8_t*> free_stacks;
    std::unique_ptr<uint8_t[]> landing;

    Launch* launch = nullptr;
    Index3 block{};
    uint64_t block_number = 0;
    unsigned threads = 0, warps = 0, alive = 0, at_barrier = 0;
    int barrier_result = 0;
    uint32_t epoch = 0;               // barriers passed
    bool left_early = false;          // a thread has left while others go on
    bool failed = false, running = false;
    uint32_t random = 1;
    void* scheduler = nullptr;        // where to go back to when the block is done
    Thread thread[max_block];
    Copies copies[max_block];
    std::vector<BulkCopy> bulk;       // of the block
    Warp warp[max_warps];

    uint8_t* shared = nullptr;        // this thread's copy of the module's __shared__ variables
    size_t shared_bytes = 0;
    uint8_t* dynamic = nullptr;       // dynamic shared memory, its end at a guard page
    uint8_t* dynamic_end = nullptr;
    uint64_t dynamic_begin = 0;       // of the pages it lies in
    SharedShadow* shadow = nullptr;   // check mode

    uint64_t fault_address = 0, fault_instruction = 0;
    int fault_signal = 0;
    unsigned fault_thread = 0;
};

/// The worker of this OS thread; null on the host's threads.
extern __thread __attribute__((tls_model("initial-exec"))) Worker* current_worker;   // 8 bytes: fits what dlopen keeps spare
inline Worker* this_worker() { return current_worker; }

/// The context of the running CUDA thread, found from the stack pointer.
inline ThreadContext* this_thread() {
    uintptr_t sp;
    asm volatile("mov %%rsp, %0" : "=r"(sp));
    return (ThreadContext*)((sp | (stack_bytes - 1)) + 1 - sizeof(ThreadContext));
}

/// Prepares a worker for the blocks of a launch, and runs them.
void begin_launch(Worker& w, Launch& launch);
void run_block(Worker& w, uint64_t number);

/// Notes what the running thread did wrong. `fatal` abandons the block: the call does not return.
void note(Worker& w, CUresult code, const std::string& what, uint64_t address, const std::string& other = "", bool fatal = false);
void note_for(Worker& w, unsigned thread, CUresult code, const std::string& what, uint64_t address, const std::string& other, bool fatal);

/// "thread (3,0,0)"
std::string thread_name(const Worker& w, unsigned thread);

/// Leaves the running thread, which is waiting, for another. Returns when it may go on.
void wait_turn(Worker& w, unsigned thread);
void make_ready(Worker& w, unsigned thread);
void open_barrier(Worker& w);
void lanes_have_left(Worker& w, unsigned warp);

/// A new stack for a thread, ready to be switched to.
void* start_fiber(Worker& w, unsigned thread);

} // namespace emu
