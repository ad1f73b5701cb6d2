// A kernel on its way: what cuLaunchKernel was told, and what went wrong.
#pragma once
#include "errors.h"
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace emu {

struct Kernel;
struct SharedRange { size_t offset, bytes; };

struct Launch {
    void (*run)(void**);
    void** arguments;
    Index3 grid, block;
    size_t dynamic_shared;
    const Kernel* kernel;
    std::vector<SharedRange> shared;   // of the module's variables, those this kernel may use
    uint32_t id;
    bool checked, strict, random;
    uint32_t seed;

    uint64_t blocks;
    std::vector<uint32_t> order;       // of blocks, in random mode
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};

    std::mutex lock;
    std::vector<Finding> findings;
};

constexpr size_t max_findings = 8;     // of one launch; each place is named once

} // namespace emu
