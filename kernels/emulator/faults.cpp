// Faults. A wrong address in a kernel is an error of the device (700), not the end of the program. The handler runs on a stack
// of its own (the fiber's may be the very thing that overflowed), notes the place, and returns into land_fault on a third
// stack, from where the block is abandoned. Faults of other threads go to the handler that was there before, .NET's, say.
#include "memory.h"
#include "workers.h"
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <ucontext.h>

namespace emu {

static struct sigaction previous[NSIG];

static void land_fault() {
    Worker& w = *this_worker();
    uint64_t at = w.fault_address;
    char place[160], what[256];
    CUresult code = CUDA_ERROR_ILLEGAL_ADDRESS;
    if (w.fault_signal == SIGFPE) {
        code = CUDA_ERROR_LAUNCH_FAILED;
        snprintf(what, sizeof what, "integer division by zero (the device would give a meaningless number)");
    } else if (w.fault_signal == SIGILL) {
        code = CUDA_ERROR_ILLEGAL_INSTRUCTION;
        snprintf(what, sizeof what, "illegal instruction: a function without a return?");
    } else if (at - (uint64_t)w.stacks < stack_bytes * max_block) {
        code = CUDA_ERROR_LAUNCH_FAILED;
        snprintf(what, sizeof what, "stack overflow: local variables of a thread exceed 56 KB");
    } else if (at == 0) {
        code = CUDA_ERROR_MISALIGNED_ADDRESS;   // the CPU gives no address for a misaligned vector access
        snprintf(what, sizeof what, "misaligned vector access, or a null pointer");
    } else snprintf(what, sizeof what, "illegal address 0x%llx, %s", (unsigned long long)at, describe_address(at, place, sizeof place));
    note_for(w, w.fault_thread, code, what, w.fault_instruction + 1, "", false);
    w.failed = true;
    void* abandoned;
    emu_switch(&abandoned, w.scheduler);
}

static void on_fault(int signal, siginfo_t* info, void* ucontext) {
    Worker* w = this_worker();
    if (w && w->running) {
        auto* registers = ((ucontext_t*)ucontext)->uc_mcontext.gregs;
        auto sp = (uint64_t)registers[REG_RSP];
        w->fault_signal = signal;
        w->fault_address = (uint64_t)info->si_addr;
        w->fault_instruction = (uint64_t)registers[REG_RIP];
        // Large frames are probed page by page (-fstack-clash-protection), so an overflow stops in its own stack's guard page.
        bool own_stack = sp - (uint64_t)w->stacks < stack_bytes * w->opened;
        w->fault_thread = own_stack ? ((ThreadContext*)((sp | (stack_bytes - 1)) + 1 - sizeof(ThreadContext)))->index : 0;
        registers[REG_RSP] = (greg_t)((((uint64_t)w->landing.get() + stack_bytes) & ~63ull) - 8);
        registers[REG_RIP] = (greg_t)land_fault;
        return;
    }
    struct sigaction& old = previous[signal];
    if (old.sa_flags & SA_SIGINFO) old.sa_sigaction(signal, info, ucontext);
    else if (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN) sigaction(signal, &old, nullptr);   // faults again, for good
    else old.sa_handler(signal);
}

void catch_faults() {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;   // land_fault never returns to the kernel's mask
    sigemptyset(&action.sa_mask);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(s, &action, &previous[s]);
}

void own_signal_stack() {
    stack_t stack;
    stack.ss_size = 64 << 10;
    stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_flags = 0;
    sigaltstack(&stack, nullptr);
}

} // namespace emu
