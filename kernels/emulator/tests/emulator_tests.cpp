// emulator_tests LIBRARY KERNELS COMMON [WORD]: runs all tests, or those whose name holds WORD. Prints `ok NAME` or
// `FAIL NAME why` for each, then a summary; the exit status is 1 if any failed.
#include "harness.h"
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <sstream>

#define DEFINE(name, result, parameters) result(*name) parameters;
CUDA_FUNCTIONS(DEFINE)
#undef DEFINE

std::string kernel_folder, common_folder;

std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

std::string read_file(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    if (!f) throw Failure("cannot read " + path);
    std::ostringstream s;
    s << f.rdbuf();
    return s.str();
}

static int compile_program(Program* p, const std::vector<const char*>& options, std::string& log) {
    int result = nvrtcCompileProgram(p, (int)options.size(), options.data());
    size_t n = 0;
    OK(nvrtcGetProgramLogSize(p, &n));
    log.resize(n);
    OK(nvrtcGetProgramLog(p, log.data()));
    log.resize(n - 1);
    return result;
}

static std::string image_of(Program* p) {
    size_t n = 0;
    OK(nvrtcGetCUBINSize(p, &n));
    std::string image(n, 0);
    OK(nvrtcGetCUBIN(p, image.data()));
    return image;
}

int compile_text(const std::string& text, const std::vector<const char*>& options, std::string& log, std::string* image,
                 const std::vector<std::pair<std::string, std::string>>& headers) {
    std::vector<const char*> names, texts;
    for (auto& h : headers) names.push_back(h.first.c_str()), texts.push_back(h.second.c_str());
    Program* p;
    OK(nvrtcCreateProgram(&p, text.c_str(), "given.cu", (int)headers.size(), texts.data(), names.data()));
    int result = compile_program(p, options, log);
    if (result == 0 && image) *image = image_of(p);
    OK(nvrtcDestroyProgram(&p));
    return result;
}

Loaded::Loaded(const std::string& file, const std::vector<std::string>& expressions, const std::vector<std::string>& more, const std::string& instead) {
    std::vector<std::string> names, texts;
    for (auto& entry : std::filesystem::directory_iterator(common_folder))
        if (entry.path().extension() == ".cuh") names.push_back(entry.path().filename().string()), texts.push_back(read_file(entry.path().string()));
    std::vector<const char*> name_list, text_list, options = {"--gpu-architecture=sm_80", "--std=c++17"};
    for (auto& n : names) name_list.push_back(n.c_str());
    for (auto& t : texts) text_list.push_back(t.c_str());
    for (auto& o : more) options.push_back(o.c_str());
    Program* p;
    std::string text = instead.empty() ? read_file(kernel_folder + "/" + file) : instead, log;
    OK(nvrtcCreateProgram(&p, text.c_str(), file.c_str(), (int)names.size(), text_list.data(), name_list.data()));
    for (auto& e : expressions) OK(nvrtcAddNameExpression(p, e.c_str()));
    if (compile_program(p, options, log)) throw Failure(file + " does not compile:\n" + log);
    for (auto& e : expressions) {
        const char* name;
        OK(nvrtcGetLoweredName(p, e.c_str(), &name));
        lowered.push_back(name);
    }
    std::string image = image_of(p);
    OK(nvrtcDestroyProgram(&p));
    OK(cuModuleLoadDataEx(&module, image.data(), 0, nullptr, nullptr));
}

CUfunction Loaded::operator()(const std::string& name) const {
    CUfunction f;
    OK(cuModuleGetFunction(&f, module, name.c_str()));
    return f;
}

Loaded::~Loaded() { cuModuleUnload(module); }

std::vector<float> numbers(size_t n, unsigned seed) {
    std::vector<float> v(n);
    uint64_t s = seed * 0x9E3779B97F4A7C15ull + 1;
    for (auto& x : v) {
        s = s * 6364136223846793005ull + 1442695040888963407ull;
        x = (float)(s >> 40) / (1 << 23) - 1.f;
    }
    return v;
}

uint16_t to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float from_bf16(uint16_t x) {
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

void expect_close(const std::vector<float>& got, const std::vector<double>& want, double tolerance, const char* what) {
    if (got.size() < want.size()) throw Failure(std::string(what) + ": too few results");
    for (size_t i = 0; i < want.size(); i++)
        if (!(std::fabs(got[i] - want[i]) <= tolerance * (1 + std::fabs(want[i]))))
            throw Failure(std::string(what) + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", not " + std::to_string(want[i]));
}

double milliseconds() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static sigjmp_buf host_recovery;
static volatile bool host_expects_fault = false;

// As .NET does: installed before the library is loaded, with its own stack.
static void host_handler(int signal, siginfo_t*, void*) {
    if (host_expects_fault) siglongjmp(host_recovery, 1);
    fprintf(stderr, "the host faulted: signal %d\n", signal);
    _Exit(3);
}

static void install_host_handler() {
    static char stack[65536];
    stack_t s{};
    s.ss_sp = stack;
    s.ss_size = sizeof stack;
    sigaltstack(&s, nullptr);
    struct sigaction action{};
    action.sa_sigaction = host_handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
}

bool host_fault_is_handled() {
    if (sigsetjmp(host_recovery, 1)) {
        host_expects_fault = false;
        return true;
    }
    host_expects_fault = true;
    volatile int* volatile nowhere = (volatile int*)8;
    return *nowhere == 12345;
}

int main(int count, char** words) {
    if (count < 4) return fprintf(stderr, "usage: emulator_tests LIBRARY KERNELS COMMON [WORD]\n"), 2;
    kernel_folder = words[2];
    common_folder = words[3];
    install_host_handler();
    void* library = dlopen(words[1], RTLD_LAZY | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
#define FIND(name, result, parameters)                                             \
    name = (result(*) parameters)dlsym(library, #name);                            \
    if (!name) return fprintf(stderr, "%s does not export %s\n", words[1], #name), 1;
    CUDA_FUNCTIONS(FIND)
    if (count > 4 && std::string(words[4]) == "measure") return measure(), 0;
    int passed = 0, failed = 0;
    for (auto& test : tests()) {
        if (count > 4 && test.name.find(words[4]) == std::string::npos) continue;
        std::string why;
        void* context = nullptr;
        try {
            OK(cuEmulatorConfigure(""));
            OK(cuInit(0));
            OK(cuDevicePrimaryCtxRetain(&context, 0));
            OK(cuCtxSetCurrent(context));
            test.body();
        } catch (const std::exception& e) { why = e.what(); }
        while (cuDevicePrimaryCtxRelease_v2(0) == 0) {}   // a fresh context for the next, without this one's errors
        if (why.empty()) passed++, printf("ok %s\n", test.name.c_str());
        else failed++, printf("FAIL %s %s\n", test.name.c_str(), why.c_str());
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;   // the workers still wait: leaving must not hang
}
