// Compiling a program of kernels.
#pragma once
#include "cuda_abi.h"
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace emu {

constexpr int supported_archs[] = {50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90};

struct Source {
    std::string text, name;
    std::vector<std::pair<std::string, std::string>> headers;   // name as included, text
    std::vector<std::string> expressions;
};
struct CompileOptions {
    std::vector<std::string> folders;   // -I
    std::string macros;                 // -D and -U, as text
    std::string standard = "c++17";
    int arch = 52;              // NVRTC's default
    bool contract = true;
};
struct Compiled {
    std::string image, log;
    std::map<std::string, std::string> lowered;
};

/// False, with a line in the log, for an option NVRTC would refuse.
bool read_compile_options(const std::vector<std::string>& given, CompileOptions& to, std::string& log);

/// The instructions kernels may use on this machine, as g++ calls them.
const char* cpu_flag();

nvrtcResult compile(const Source& source, const CompileOptions& options, Compiled& to);

} // namespace emu
