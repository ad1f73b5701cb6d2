// Which __shared__ variables each kernel of a module can touch: a module's library holds those of all its kernels and helpers, and the
// hardware counts a kernel's own.
#pragma once
#include <string>

namespace emu {

/// The assembly text with, for each kernel, emu_shared_NAME: the symbols of the shared variables that it, or what it calls, mentions, a
/// line each.
std::string add_shared_use(const std::string& assembly);

} // namespace emu
