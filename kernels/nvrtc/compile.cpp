// compile LIBNVRTC COMMON ARCH[,ARCH...] FILE.cu...: compiles kernels with the real NVRTC, no GPU needed, and prints what each
// costs: registers, shared memory, spills, as ptxas reports. A line `// instances  f<float>; f<bf16>` in the file names the
// template instances to compile; `// options  -DTYPE=float|bf16 -DCOLS=768` the options (a line each: compiled for every combination).
// Exit status: 1 if anything does not compile or a kernel spills.
#include <cstdio>
#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using Program = void*;
static int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
static int (*destroy)(Program*);
static int (*add_name)(Program, const char*);
static int (*compile)(Program, int, const char* const*);
static int (*log_size)(Program, size_t*);
static int (*get_log)(Program, char*);
static int (*cubin_size)(Program, size_t*);

static std::string read_file(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    std::ostringstream s;
    s << f.rdbuf();
    return s.str();
}

static std::vector<std::string> split(const std::string& s, char by) {
    std::vector<std::string> parts;
    std::istringstream in(s);
    for (std::string part; std::getline(in, part, by);) {
        size_t begin = part.find_first_not_of(' '), end = part.find_last_not_of(' ');
        if (begin != std::string::npos) parts.push_back(part.substr(begin, end - begin + 1));
    }
    return parts;
}

static std::vector<std::string> marked(const std::string& text, const std::string& mark) {
    std::vector<std::string> found;
    for (auto& line : split(text, '\n'))
        if (line.rfind("// " + mark + "  ", 0) == 0) found.push_back(line.substr(mark.size() + 5));
    return found;
}

/// "-DA=1|2 -DB=3|4" as its four combinations.
static std::vector<std::string> combinations(const std::string& line) {
    std::vector<std::string> all = {""};
    for (auto& word : split(line, ' ')) {
        size_t equals = word.find('=');
        std::string name = equals == std::string::npos ? "" : word.substr(0, equals + 1);
        std::vector<std::string> longer;
        for (auto& one : all)
            for (auto& value : split(word.substr(name.size()), '|')) longer.push_back(one + (one.empty() ? "" : " ") + name + value);
        all = longer;
    }
    return all;
}

static std::string plain(const std::string& mangled) {
    int status;
    char* name = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
    std::string text = status == 0 ? name : mangled;
    free(name);
    text = text.substr(0, text.find('('));
    return text.rfind("void ", 0) == 0 ? text.substr(5) : text;
}

/// "Compiling entry function 'f' ..." and the lines after it, as one line; true if a kernel spills.
static bool print_resources(const std::string& log, const std::string& arch) {
    bool spills = false;
    std::string name, memory;
    for (auto& line : split(log, '\n')) {
        size_t quote = line.find("entry function '");
        if (quote != std::string::npos) name = plain(line.substr(quote + 16, line.find('\'', quote + 16) - quote - 16));
        if (line.find("bytes stack frame") != std::string::npos) memory = line;
        size_t used = line.find("Used ");
        if (used == std::string::npos) continue;
        spills = spills || memory.find(" 0 bytes spill stores, 0 bytes spill loads") == std::string::npos;
        size_t frame = memory.find(" bytes stack frame"), digits = memory.rfind(' ', frame - 1) + 1;
        std::string stack = memory.substr(digits, frame - digits), cost = line.substr(used + 5);
        for (size_t cmem; (cmem = cost.find(" bytes cmem")) != std::string::npos;) cost.erase(cost.rfind(',', cmem));   // constants and parameters
        printf("  %-7s %-34s %s%s\n", arch.c_str(), name.c_str(), cost.c_str(), stack == "0" ? "" : (", " + stack + " bytes stack").c_str());
    }
    return spills;
}

int main(int count, char** words) {
    if (count < 5) return fprintf(stderr, "usage: compile LIBNVRTC COMMON ARCH[,ARCH...] FILE.cu...\n"), 2;
    // NVRTC opens its builtins by bare name, which is found outside the loader's path only if it is open already.
    for (auto& entry : std::filesystem::directory_iterator(std::filesystem::path(words[1]).parent_path()))
        if (entry.path().filename().string().rfind("libnvrtc-builtins.so", 0) == 0) dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL);
    void* library = dlopen(words[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
    auto find = [&](auto& to, const char* name) { to = (std::remove_reference_t<decltype(to)>)dlsym(library, name); };
    find(create, "nvrtcCreateProgram");
    find(destroy, "nvrtcDestroyProgram");
    find(add_name, "nvrtcAddNameExpression");
    find(compile, "nvrtcCompileProgram");
    find(log_size, "nvrtcGetProgramLogSize");
    find(get_log, "nvrtcGetProgramLog");
    find(cubin_size, "nvrtcGetCUBINSize");
    std::vector<std::string> names, texts;
    for (auto& entry : std::filesystem::directory_iterator(words[2]))
        if (entry.path().extension() == ".cuh") names.push_back(entry.path().filename().string()), texts.push_back(read_file(entry.path().string()));
    std::vector<const char*> header_names, header_texts;
    for (auto& n : names) header_names.push_back(n.c_str());
    for (auto& t : texts) header_texts.push_back(t.c_str());
    int failed = 0;
    for (int i = 4; i < count; i++) {
        std::string file = std::filesystem::path(words[i]).lexically_relative(std::filesystem::path(words[2]).parent_path()).string(), text = read_file(words[i]);
        auto instances = marked(text, "instances"), option_lines = marked(text, "options"), own = marked(text, "arch");
        const auto archs = split(own.empty() ? words[3] : own[0], own.empty() ? ',' : ' ');
        if (option_lines.empty()) option_lines.push_back("");
        std::vector<std::string> uses;
        for (auto& line : option_lines)
            for (auto& use : combinations(line)) uses.push_back(use);
        for (auto& line : uses)
            for (auto& arch : archs) {
                std::vector<std::string> options = split(line, ' ');
                options.insert(options.end(), {"--gpu-architecture=" + arch, "--std=c++17", "--ptxas-options=-v"});
                std::vector<const char*> list;
                for (auto& o : options) list.push_back(o.c_str());
                Program p;
                create(&p, text.c_str(), file.c_str(), (int)names.size(), header_texts.data(), header_names.data());
                for (auto& l : instances)
                    for (auto& e : split(l, ';')) add_name(p, e.c_str());
                int result = compile(p, (int)list.size(), list.data());
                size_t bytes = 0, cubin = 0;
                log_size(p, &bytes);
                std::string log(bytes, 0);
                get_log(p, log.data());
                cubin_size(p, &cubin);
                printf("%s %s %s %s\n", result ? "FAIL" : "ok", arch.c_str(), file.c_str(), line.c_str());
                if (result) printf("%s\n", log.c_str());
                bool spills = !result && print_resources(log, arch);
                if (spills) printf("FAIL %s %s spills registers\n", arch.c_str(), file.c_str());
                failed += result || spills || !cubin;
                destroy(&p);
            }
    }
    return failed != 0;
}
