// Errors of the device: a code that sticks to the context, and a text that says what happened, where.
#pragma once
#include "cuda_abi.h"
#include <cstdint>
#include <string>

namespace emu {

struct Index3 { unsigned x, y, z; };

/// Something a kernel did wrong, as noted on the spot; the source line is looked up after the launch.
struct Finding {
    CUresult code;
    std::string what;
    uint64_t address;      // of the instruction in the kernel's library; 0 if unknown
    Index3 block, thread;
    std::string other;     // "; thread (3,0,0) ..." or empty
};

/// Makes `code` the context's error (the first one stays) and adds a line to the report.
void fail(CUresult code, const std::string& text);

/// The error that sticks, or CUDA_SUCCESS.
CUresult sticky_error();

/// Forgets the error and the report: a new context.
void clear_errors();

/// Adds a line to the report without an error: why a call was refused.
CUresult refuse(CUresult code, const std::string& text);

} // namespace emu
