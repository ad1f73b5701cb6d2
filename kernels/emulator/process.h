// Running a program without a shell.
#pragma once
#include <string>
#include <vector>

namespace emu {

/// Runs a program of the path in `folder` ("" for this one), adding what it prints (both streams) to `output`.
/// Its exit status, 128 + signal, or -1 where it could not be started.
int run_process(const std::vector<std::string>& command, const std::string& folder, std::string& output);

} // namespace emu
