// A driver that fails when it is told to: it lies over the emulator, which does all that is not listed here.
//   PLIP_FAULT       what fails
//   PLIP_FAULT_WHEN  a file: from the moment that it exists (none: from the start); once failed, always failed, as a context is
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <unistd.h>

static bool is(const char* fault) {
    const char* set = getenv("PLIP_FAULT");
    return set && strcmp(set, fault) == 0;
}

static bool due() {
    static bool was = false;
    const char* when = getenv("PLIP_FAULT_WHEN");
    return was = was || !when || access(when, F_OK) == 0;
}

template <class F> static F real(F, const char* name) { return (F)dlsym(RTLD_NEXT, name); }
#define REAL(f) real(f, #f)

extern "C" {

int cuInit(unsigned flags) { return is("no-gpu") ? 100 : REAL(cuInit)(flags); }

int cuDeviceGetCount(int* count) {
    int result = REAL(cuDeviceGetCount)(count);
    if (is("hidden-gpu")) *count = 0;
    return result;
}

int cuDriverGetVersion(int* version) {
    int result = REAL(cuDriverGetVersion)(version);
    if (is("old-driver")) *version = 11020;
    return result;
}

// A compiler that has never heard of this GPU.
int nvrtcGetNumSupportedArchs(int* count) {
    int result = REAL(nvrtcGetNumSupportedArchs)(count);
    if (is("old-compiler")) *count = 1;
    return result;
}

int nvrtcGetSupportedArchs(int* known) {
    if (!is("old-compiler")) return REAL(nvrtcGetSupportedArchs)(known);
    *known = 52;
    return 0;
}

// A compiler newer than the driver: what it makes is not taken.
int cuModuleLoadDataEx(void** module, const void* image, unsigned count, int* options, void** values) {
    return is("new-compiler") ? 222 : REAL(cuModuleLoadDataEx)(module, image, count, options, values);
}

int cublasLtCreate(void** handle) { return is("broken-cublas") ? 1 : REAL(cublasLtCreate)(handle); }

// Full from the start, whoever asks: blocks of more than 64 KB.
int cuMemAlloc_v2(uint64_t* pointer, size_t bytes) { return is("memory") && bytes > 64 << 10 ? 2 : REAL(cuMemAlloc_v2)(pointer, bytes); }

// A kernel that ran off its memory, or a GPU that fell off the bus, shows where the program waits.
int cuStreamSynchronize(void* stream) {
    int result = REAL(cuStreamSynchronize)(stream);
    if (is("kernel") && due()) return 700;
    if (is("lost") && due()) return 214;
    return result;
}

}
