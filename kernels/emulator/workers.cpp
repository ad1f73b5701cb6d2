// Kernels run here and never on the host's threads, whose stacks and signal masks belong to the host. Everything is leaked on
// purpose: a mutex or condition variable destroyed at exit would wait for the workers that wait on it.
#include "workers.h"
#include "options.h"
#include <climits>
#include <csignal>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace emu {

struct Pool {
    std::vector<Worker*> workers;
    std::atomic<uint32_t>* tickets[256] = {};   // a worker's turn has come when its ticket changes
    const std::function<void(Worker&)>* job = nullptr;
    std::atomic<uint32_t> remaining{0};
};
static Pool& pool = *new Pool;

// Some 5 µs of waiting awake: the next launch of a step often comes sooner. Longer would take the core from another worker.
static constexpr int spins = 200;

static void wait_change(std::atomic<uint32_t>& word, uint32_t old) {
    for (int i = 0; i < spins; i++) {
        if (word.load(std::memory_order_acquire) != old) return;
        __builtin_ia32_pause();
    }
    while (word.load(std::memory_order_acquire) == old) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
}

static void wake(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }

static void worker_main(Worker* w, std::atomic<uint32_t>* ticket) {
    // Signals of the process are the host's affair; faults of this thread are ours.
    sigset_t blocked;
    sigfillset(&blocked);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&blocked, s);
    pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
    pthread_setname_np(pthread_self(), "cuda-emulator");
    own_signal_stack();
    current_worker = w;
    for (uint32_t seen = 0;; seen++) {
        wait_change(*ticket, seen);
        (*pool.job)(*w);
        if (pool.remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) wake(pool.remaining);
    }
}

void run_on_workers(unsigned count, const std::function<void(Worker&)>& job) {
    if (pool.workers.empty()) catch_faults();
    while (pool.workers.size() < count) {
        auto* w = new Worker;
        w->index = (unsigned)pool.workers.size();
        w->landing.reset(new uint8_t[stack_bytes]);
        auto* ticket = new std::atomic<uint32_t>(0);
        pool.tickets[w->index] = ticket;
        pool.workers.push_back(w);
        std::thread(worker_main, w, ticket).detach();
    }
    pool.job = &job;
    pool.remaining.store(count, std::memory_order_release);
    for (unsigned i = 0; i < count; i++) {
        pool.tickets[i]->fetch_add(1, std::memory_order_release);
        wake(*pool.tickets[i]);
    }
    for (int i = 0; count == 1 && i < spins && pool.remaining.load(std::memory_order_acquire); i++) __builtin_ia32_pause();
    while (uint32_t left = pool.remaining.load(std::memory_order_acquire))
        syscall(SYS_futex, &pool.remaining, FUTEX_WAIT_PRIVATE, left, nullptr, nullptr, 0);
}

void run_parallel(size_t count, const std::function<void(size_t)>& task) {
    std::atomic<size_t> next{0};
    unsigned workers = count < options().threads ? (unsigned)count : options().threads;
    if (workers == 0) return;
    run_on_workers(workers, [&](Worker&) {
        for (size_t i; (i = next.fetch_add(1)) < count;) task(i);
    });
}

} // namespace emu
