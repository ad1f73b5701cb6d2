// The OS threads that run blocks, and native code in parallel. They start at first use and never end.
#pragma once
#include "block.h"
#include <functional>

namespace emu {

/// Runs `job` on the first `count` workers at once, and waits for them. One job at a time: hold device_lock().
void run_on_workers(unsigned count, const std::function<void(Worker&)>& job);

/// task(0) … task(count - 1), each once, on as many workers as the options allow.
void run_parallel(size_t count, const std::function<void(size_t)>& task);

/// Makes faults of kernels errors of the device. The handlers of the host stay in force for its own faults.
void catch_faults();

/// A stack for signal handlers, for the calling thread.
void own_signal_stack();

} // namespace emu
