// What the ELF file of a kernel library knows: its shared variables, and the source line of an instruction.
#pragma once
#include "modules.h"
#include <string>

namespace emu {

/// Fills in the image's shared variables (its thread-local symbols) from the library's bytes. False: not such a file.
bool read_symbols(Image& image, const uint8_t* bytes, size_t size);

/// "softmax.cu:12" or "warp.cuh:20, in softmax.cu:12"; "" where there is no line. Slow: asks addr2line.
std::string source_of(const Image& image, uint64_t address, bool after_call);

/// "s[+128]" for an address in shared memory of this thread; "" if none.
std::string shared_name(const Image& image, size_t offset);

} // namespace emu
