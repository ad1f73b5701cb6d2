// Copies and fills. As CUDA documents it: pageable host memory is read before the call returns, and written before it
// returns; pinned memory is read and written when the stream gets there.
#include "check.h"
#include "device.h"
#include "errors.h"
#include "memory.h"
#include "options.h"
#include "streams.h"
#include <cstring>

namespace emu {

static bool capturing(CUstream handle) {
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* stream = find_stream(handle);
    return stream && stream->capture;
}

/// Still there when the stream gets to it? If not, an error of the device, as the hardware would have it.
static bool still_device(CUdeviceptr p, size_t n, const char* what) {
    if (is_device(p, n)) return true;
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, std::string(what) + ": device memory was freed before the stream got to it");
    return false;
}

static bool still_pinned(bool was, const void* p, size_t n, const char* what) {
    if (!was || is_pinned(p, n)) return true;
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, std::string(what) + ": pinned host memory was freed before the stream got to it");
    return false;
}

static CUresult fill(CUdeviceptr to, size_t bytes, CUstream stream, Work work) {
    if (CUresult e = device_error()) return e;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_device(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    return enqueue(stream, [=] {
        if (!still_device(to, bytes, "memset")) return;
        work();
        if (options().check) set_shadow(to, bytes, Shadow::Written);
    });
}

} // namespace emu

using namespace emu;

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    if (CUresult e = device_error()) return e;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!from || !is_device(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    bool pinned = is_pinned(from, bytes);
    std::shared_ptr<std::vector<char>> staged;
    if (!pinned && options().deferred && !capturing(stream)) staged = std::make_shared<std::vector<char>>((const char*)from, (const char*)from + bytes);
    return enqueue(stream, [=] {
        if (!still_device(to, bytes, "copy to the device") || !still_pinned(pinned, from, bytes, "copy to the device")) return;
        memcpy((void*)to, staged ? staged->data() : from, bytes);
        if (options().check) set_shadow(to, bytes, Shadow::Written);
    });
}

API CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    if (CUresult e = device_error()) return e;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!to || !is_device(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    bool pinned = is_pinned(to, bytes), captured = capturing(stream);
    if (pinned && options().deferred && !captured) memset(to, 0xFF, bytes);   // read too early, it is NaN
    CUresult result = enqueue(stream, [=] {
        if (still_device(from, bytes, "copy to the host") && still_pinned(pinned, to, bytes, "copy to the host")) memcpy(to, (void*)from, bytes);
    });
    if (result || pinned || captured || !options().deferred) return result;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    Stream* s = find_stream(stream);
    run_until(s->queue, s->queue->submitted);
    return sticky_error();
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    if (CUresult e = device_error()) return e;
    if (bytes == 0) return CUDA_SUCCESS;
    if (!is_device(to, bytes) || !is_device(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    return enqueue(stream, [=] {
        if (!still_device(to, bytes, "copy on the device") || !still_device(from, bytes, "copy on the device")) return;
        memmove((void*)to, (void*)from, bytes);
        if (options().check) copy_shadow(to, from, bytes);
    });
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    return fill(to, count, stream, [=] { memset((void*)to, value, count); });
}

API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    if (to & 3) return CUDA_ERROR_INVALID_VALUE;
    return fill(to, count * 4, stream, [=] {
        for (size_t i = 0; i < count; i++) ((unsigned*)to)[i] = value;
    });
}
