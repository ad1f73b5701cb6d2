// NVRTC by g++: preprocess with the shim in front, translate, compile, link. Options that mean something only to ptxas are
// taken and dropped; unknown ones are refused, as NVRTC does.
#include "compiler.h"
#include "handles.h"
#include "modules.h"
#include "options.h"
#include "process.h"
#include "shared_use.h"
#include "translate.h"
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <sstream>

extern "C" const char emu_shim[], emu_shim_end[];

namespace emu {

namespace fs = std::filesystem;

/// Where this library lies, asked when it is loaded: the host may change its folder later.
static std::string own_path() {
    Dl_info info;
    char full[PATH_MAX];
    if (!dladdr((void*)&own_path, &info) || !realpath(info.dli_fname, full)) return "libcuda_emulator.so";
    return full;
}
static const std::string& library_path = *new std::string(own_path());

static bool starts(const std::string& s, const char* with) { return s.rfind(with, 0) == 0; }

static std::string value_of(const std::string& option) { return option.substr(option.find('=') + 1); }

bool supported_arch(const std::string& name, int& number) {
    size_t digits = starts(name, "sm_") ? 3 : starts(name, "compute_") ? 8 : starts(name, "lto_") ? 4 : 0;
    char* end;
    number = digits ? (int)strtol(name.c_str() + digits, &end, 10) : 0;
    if (!digits || (*end && strcmp(end, "a") != 0)) return false;
    for (int known : supported_archs)
        if (known == number) return true;
    return false;
}

/// "NAME=text" or "NAME" as a line; macros are defined behind the shim, whose own names they would spoil (-DT=float).
static std::string define(const std::string& macro) {
    size_t equals = macro.find('=');
    return "#define " + macro.substr(0, equals) + (equals == std::string::npos ? " 1" : " " + macro.substr(equals + 1)) + "\n";
}

bool read_compile_options(const std::vector<std::string>& given, CompileOptions& to, std::string& log) {
    static const char* const ignored[] = {"--use_fast_math", "-use_fast_math", "--ftz=", "-ftz=", "--prec-div=", "-prec-div=", "--prec-sqrt=", "-prec-sqrt=",
        "--extra-device-vectorization", "-extra-device-vectorization", "--restrict", "-restrict", "--generate-line-info", "-lineinfo", "--device-debug", "-G",
        "--dopt", "-dopt", "--maxrregcount=", "-maxrregcount=", "--ptxas-options=", "--ptxas-options", "-Xptxas=", "--disable-warnings", "-w", "--display-error-number", "-err-no",
        "--no-display-error-number", "--relocatable-device-code=false", "-rdc=false", "-default-device", "--device-as-default-execution-space",
        "--diag-suppress=", "-diag-suppress=", "--diag-warn=", "--builtin-move-forward=", "--builtin-initializer-list=", "--minimal", "--split-compile="};
    for (size_t i = 0; i < given.size(); i++) {
        std::string o = given[i];
        bool two = (o == "-D" || o == "-I" || o == "-U" || o == "-arch" || o == "--gpu-architecture" || o == "--std" || o == "-std" || o == "--define-macro" ||
                    o == "--include-path" || o == "--undefine-macro" || o == "-Xptxas") && i + 1 < given.size();
        if (o == "-Xptxas" && two) { i++; continue; }
        if (two) o += (o.size() == 2 ? "" : "=") + given[++i];
        if (starts(o, "-D") && o.size() > 2) to.macros += define(o.substr(2));
        else if (starts(o, "--define-macro=")) to.macros += define(value_of(o));
        else if (starts(o, "-U") && o.size() > 2) to.macros += "#undef " + o.substr(2) + "\n";
        else if (starts(o, "--undefine-macro=")) to.macros += "#undef " + value_of(o) + "\n";
        else if (starts(o, "-I") && o.size() > 2) to.folders.push_back("-I" + fs::absolute(o.substr(2)).string());
        else if (starts(o, "--include-path=")) to.folders.push_back("-I" + fs::absolute(value_of(o)).string());
        else if (starts(o, "--gpu-architecture=") || starts(o, "-arch=")) {
            if (!supported_arch(value_of(o), to.arch)) {
                log += "nvrtc: error: invalid value for --gpu-architecture (-arch)\n";
                return false;
            }
        } else if (starts(o, "--std=") || starts(o, "-std=")) {
            std::string v = value_of(o);
            if (v != "c++11" && v != "c++14" && v != "c++17" && v != "c++20") {
                log += "nvrtc: error: invalid value for --std (-std)\n";
                return false;
            }
            to.standard = v == "c++20" ? v : "c++17";   // the shim needs 17
        } else if (o == "--fmad=false" || o == "-fmad=false") to.contract = false;
        else if (o == "--fmad=true" || o == "-fmad=true") to.contract = true;
        else {
            bool known = false;
            for (const char* k : ignored) known = known || (k[strlen(k) - 1] == '=' ? starts(o, k) : o == k);
            if (!known) {
                log += "nvrtc: error: unrecognized option " + o + " found\n";
                return false;
            }
        }
    }
    return true;
}

static std::string read_all(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    std::ostringstream s;
    s << f.rdbuf();
    return s.str();
}

/// A path inside the folder of the compilation: no name leads out of it.
static std::string inside(const std::string& name) {
    fs::path p = fs::path(name).lexically_normal().relative_path();
    if (p.empty() || *p.begin() == "..") p = p.filename();
    return p.empty() ? "default_program" : p.string();
}

static void write_file(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

static void remove_all_of(std::string& s, const std::string& what) {
    for (size_t at; (at = s.find(what)) != std::string::npos;) s.erase(at, what.size());
}

const char* cpu_flag() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "-march=x86-64-v3" : "-march=x86-64"; }

nvrtcResult compile(const Source& source, const CompileOptions& o, Compiled& to) {
    char pattern[PATH_MAX];
    const char* temporary = getenv("TMPDIR");
    snprintf(pattern, sizeof pattern, "%s/plip-kernel-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(pattern)) {
        to.log += "the emulator cannot make a temporary folder: set TMPDIR\n";
        return NVRTC_ERROR_INTERNAL_ERROR;
    }
    const std::string folder = pattern;
    const char* chosen = getenv("PLIP_EMULATOR_CXX");
    const std::string cxx = chosen && *chosen ? chosen : "g++", file = inside(source.name);
    const bool check = options().check;
    write_file(folder + "/emulator_shim.h", std::string(emu_shim, (size_t)(emu_shim_end - emu_shim)));
    write_file(folder + "/emulator_macros.h", o.macros);
    for (auto& h : source.headers) write_file(folder + "/" + inside(h.first), h.second);
    write_file(folder + "/" + file, source.text);

    auto finish = [&](nvrtcResult result) {
        remove_all_of(to.log, folder + "/");
        if (options().keep) fprintf(stderr, "CUDA emulator: %s is kept in %s\n", source.name.c_str(), folder.c_str());
        else {
            std::error_code ignored;
            fs::remove_all(folder, ignored);
        }
        return result;
    };

    std::vector<std::string> command = {cxx, "-x", "c++", "-std=" + o.standard, "-E", "-w", "-D__CUDACC__", "-D__CUDACC_RTC__",
                                        "-D__CUDA_ARCH__=" + std::to_string(o.arch * 10), "-include", "emulator_shim.h",
                                        "-include", "emulator_macros.h", "-I."};
    command.insert(command.end(), o.folders.begin(), o.folders.end());
    command.insert(command.end(), {file, "-o", "preprocessed"});
    int status = run_process(command, folder, to.log);
    if (status < 0 || status == 127) {
        to.log += "the CUDA emulator compiles kernels with " + cxx + ", which is not installed: apt-get install g++\n";
        return finish(NVRTC_ERROR_INTERNAL_ERROR);
    }
    if (status) return finish(NVRTC_ERROR_COMPILATION);
    Translation t = translate(read_all(folder + "/preprocessed"), source.expressions);
    to.log += t.error;
    if (!t.error.empty()) return finish(NVRTC_ERROR_COMPILATION);
    write_file(folder + "/kernel.ii", t.text);

    std::vector<std::string> flags = {cxx, "-std=" + o.standard, cpu_flag(), "-fPIC", "-fvisibility=hidden", "-mtls-dialect=gnu2", "-g1", "-Wreturn-type", "-Werror=return-type",
        "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fno-strict-aliasing", "-fno-gnu-unique", "-fno-stack-protector", "-fstack-clash-protection", "-fno-semantic-interposition", "-fcf-protection=none",
        o.contract ? "-ffp-contract=fast" : "-ffp-contract=off"};
    std::vector<std::string> link = {"-shared", "-nostdlib", "-o", "kernel.so", library_path, "-lm", "-lgcc", "-lc", "-Wl,-z,defs"};
    command = flags;
    if (check) command.insert(command.end(), {"-O1", "-g", "-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0"});
    else command.push_back("-O2");
    command.insert(command.end(), {"-S", "kernel.ii", "-o", "kernel.s"});
    if (run_process(command, folder, to.log)) return finish(NVRTC_ERROR_COMPILATION);
    std::string assembly = add_shared_use(read_all(folder + "/kernel.s"));
    write_file(folder + "/marked.s", check ? pad_shared(assembly) : assembly);
    command = {cxx, "marked.s"};
    command.insert(command.end(), link.begin(), link.end());
    status = run_process(command, folder, to.log);
    std::string library = read_all(folder + "/kernel.so");
    if (status || library.empty()) return finish(NVRTC_ERROR_COMPILATION);
    ImageHeader head{};
    memcpy(head.magic, image_magic, 8);
    head.bytes = library.size();
    head.build = shim_build();
    head.checked = check;
    to.image.assign((const char*)&head, sizeof head);
    to.image += library;
    to.lowered = t.lowered;
    return finish(NVRTC_SUCCESS);
}

} // namespace emu
