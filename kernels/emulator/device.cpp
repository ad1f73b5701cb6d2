// The device played: Ampere's instructions (capability 8.0: mma, ldmatrix, cp.async, so that what is chosen is what most GPUs run) with
// Hopper's 227 KB of shared memory. Hopper's wgmma, mbarriers and TMA are there for who asks for them.
#include "device.h"
#include "errors.h"
#include "memory.h"
#include "options.h"
#include "streams.h"
#include <atomic>
#include <cstdlib>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>

namespace emu {

static std::atomic<bool> initialised{false};
static std::mutex& context_lock = *new std::mutex;
static int retained = 0;
static char context_tag;
static thread_local void* current = nullptr;

CUresult context_error() {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    return current && retained > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult device_error() {
    CUresult e = context_error();
    return e ? e : sticky_error();
}

static CUresult device_check(CUdevice device) {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

} // namespace emu

using namespace emu;

API CUresult cuInit(unsigned flags) {
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    std::lock_guard<std::mutex> hold(context_lock);
    if (!open_memory()) return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the emulator cannot reserve its range of addresses (ulimit -v?)");
    initialised = true;
    return CUDA_SUCCESS;
}

API CUresult cuDriverGetVersion(int* version) {
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = 12040;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetCount(int* count) {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (!count) return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    if (CUresult e = device_check(ordinal)) return e;
    if (!device) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
}

// Name and identity tell modes apart, so that a cache of compiled kernels keyed by them never mixes checked and plain ones.
API CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    if (!name || size < 1) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)size, "CUDA emulator%s", options().check ? " (check)" : "");
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetUuid_v2(CUuuid* to, CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    if (!to) return CUDA_ERROR_INVALID_VALUE;
    memcpy(to->bytes, options().check ? "plip-emu-check\0" : "plip-emu-plain\0", 16);
    return CUDA_SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    if (!bytes) return CUDA_ERROR_INVALID_VALUE;
    *bytes = options().memory;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case 1: *value = 1024; break;                              // MAX_THREADS_PER_BLOCK
    case 2: case 3: *value = 1024; break;                      // MAX_BLOCK_DIM_X, _Y
    case 4: *value = 64; break;                                // MAX_BLOCK_DIM_Z
    case 5: *value = 2147483647; break;                        // MAX_GRID_DIM_X
    case 6: case 7: *value = 65535; break;                     // MAX_GRID_DIM_Y, _Z
    case 8: *value = (int)static_shared_limit; break;          // MAX_SHARED_MEMORY_PER_BLOCK
    case 9: *value = 65536; break;                             // TOTAL_CONSTANT_MEMORY
    case 10: *value = 32; break;                               // WARP_SIZE
    case 12: *value = 65536; break;                            // MAX_REGISTERS_PER_BLOCK
    case 13: case 36: *value = 1000000; break;                 // CLOCK_RATE, MEMORY_CLOCK_RATE (kHz)
    case 14: *value = 256; break;                              // TEXTURE_ALIGNMENT
    case 16: *value = multiprocessors; break;                  // MULTIPROCESSOR_COUNT
    case 31: case 41: case 19: *value = 1; break;              // CONCURRENT_KERNELS, UNIFIED_ADDRESSING, CAN_MAP_HOST_MEMORY
    case 37: *value = 64; break;                               // GLOBAL_MEMORY_BUS_WIDTH
    case 38: *value = 4 << 20; break;                          // L2_CACHE_SIZE
    case 39: *value = 2048; break;                             // MAX_THREADS_PER_MULTIPROCESSOR
    case 40: *value = 2; break;                                // ASYNC_ENGINE_COUNT
    case 75: *value = (int)options().capability / 10; break;   // COMPUTE_CAPABILITY_MAJOR
    case 76: *value = (int)options().capability % 10; break;   // COMPUTE_CAPABILITY_MINOR
    case 81: *value = (int)shared_per_multiprocessor; break;   // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    case 82: *value = 65536; break;                            // MAX_REGISTERS_PER_MULTIPROCESSOR
    case 97: *value = (int)shared_limit; break;                // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    case 106: *value = 32; break;                              // MAX_BLOCKS_PER_MULTIPROCESSOR
    case 111: *value = 1024; break;                            // RESERVED_SHARED_MEMORY_PER_BLOCK
    default:
        if (attribute < 1 || attribute > 140) return CUDA_ERROR_INVALID_VALUE;
        *value = 0;                                            // a feature the emulator does not have
    }
    return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    std::lock_guard<std::mutex> hold(context_lock);
    retained++;
    *context = &context_tag;
    return CUDA_SUCCESS;
}

// The last release destroys the context, and with it all memory, all work, and the error that stuck to it.
API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    if (CUresult e = device_check(device)) return e;
    std::lock_guard<std::mutex> hold(context_lock);
    if (retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--retained > 0) return CUDA_SUCCESS;
    reset_streams();
    reset_memory();
    clear_errors();
    return CUDA_SUCCESS;
}

API CUresult cuCtxSetCurrent(CUcontext context) {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (context && context != &context_tag) return CUDA_ERROR_INVALID_CONTEXT;
    current = context;
    return CUDA_SUCCESS;
}

/// Replaces the options (null: those of PLIP_EMULATOR again) and forgets errors and the report; for tests that change modes.
/// Work in flight is finished first. Kernels compiled before keep the checks they were compiled with.
API CUresult cuEmulatorConfigure(const char* text) {
    Options o;
    std::string error;
    if (!parse_options(text ? text : getenv("PLIP_EMULATOR"), o, error)) return refuse(CUDA_ERROR_INVALID_VALUE, error);
    std::lock_guard<std::mutex> hold(context_lock);
    finish_streams();
    emu::options() = o;
    if (initialised && !open_memory()) return CUDA_ERROR_OUT_OF_MEMORY;
    clear_errors();
    return CUDA_SUCCESS;
}
