// What PLIP_EMULATOR (or cuEmulatorConfigure) asks for.
#pragma once
#include <cstddef>
#include <string>

namespace emu {

struct Options {
    bool check = false;       // compile with access checks; races, bounds, uninitialised memory
    bool strict = false;      // leaving before a barrier at which others wait is an error
    bool random = false;      // shuffle blocks and warps by the seed
    bool deferred = false;    // streams queue, and run when something waits for them
    bool keep = false;        // keep sources and libraries of kernels in the temporary folder, for gdb
    unsigned seed = 0;
    unsigned threads = 0;     // OS threads that run blocks
    unsigned capability = 80; // compute capability the device reports
    size_t memory = 0;        // bytes of device memory
};

/// The options in force; read from the environment at the first call.
Options& options();

/// Parses "check,strict,random=7"; false, leaving `to` alone, where a word is unknown (named in `error`).
bool parse_options(const char* text, Options& to, std::string& error);

} // namespace emu
