// From preprocessed CUDA to C++: finds the kernels, and adds what lets the driver call them.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace emu {

struct Translation {
    std::string text;                             // C++, preprocessed, with line markers
    std::map<std::string, std::string> lowered;   // name expression → name of its kernel
    std::string error;                            // what cannot be emulated, with file and line; else empty
};

Translation translate(const std::string& preprocessed, const std::vector<std::string>& expressions);

/// Puts room no variable owns behind every thread-local (that is, __shared__) variable of an assembly text, so that check mode
/// tells one variable's end from the next one's begin.
std::string pad_shared(const std::string& assembly);

} // namespace emu
