// Loaded kernels: a "cubin" is a shared library with a header in front.
#pragma once
#include "cuda_abi.h"
#include "launch.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace emu {

/// In front of the library's bytes. Images of another build of the emulator, or without checks in check mode, are refused.
struct ImageHeader {
    char magic[8];
    uint64_t bytes;
    uint64_t build;      // of the shim, and the CPU compiled for
    uint64_t checked;
};
constexpr char image_magic[9] = "PLIPEMU1";
uint64_t shim_build();

/// As EmuKernel in shim/entry.h.
struct KernelInfo { void (*run)(void**); int arguments; const int* sizes; int max_threads; };

struct SharedVariable { std::string symbol; size_t offset, bytes; };

/// A library in memory; unloaded when the last launch that needs it is gone.
struct Image {
    void* library = nullptr;
    int file = -1;
    std::string path;                       // that a debugger or addr2line may open
    uint64_t begin = 0, end = 0;            // addresses of its code and data
    char* (*anchor)() = nullptr;            // address of a thread-local variable, for this thread
    size_t anchor_offset = 0, shared_bytes = 0;
    std::vector<SharedVariable> shared;
    bool checked = false;
    ~Image();
};

struct Kernel {
    std::shared_ptr<Image> image;
    std::string name;
    const KernelInfo* info;
    std::vector<SharedRange> shared;
    size_t static_shared = 0;
};

} // namespace emu

struct Function {
    std::shared_ptr<const emu::Kernel> kernel;
    size_t max_dynamic;
};
struct Module {
    std::shared_ptr<emu::Image> image;
    std::map<std::string, std::unique_ptr<Function>> functions;
};

namespace emu {
Function* find_function(CUfunction handle);
}
