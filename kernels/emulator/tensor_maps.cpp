// cuTensorMapEncode…: what the driver demands of a map is demanded here, with words; what kernels here do not use is refused.
#include "tensor_maps.h"
#include "cuda_abi.h"
#include "errors.h"
#include <cstring>

namespace emu {

enum { FLOAT16 = 6, BFLOAT16 = 9, SWIZZLE_128B = 3 };

static CUresult bad(const std::string& what) { return refuse(CUDA_ERROR_INVALID_VALUE, "tensor map: " + what); }

/// What both kinds have alike. Extents and strides innermost first.
static CUresult begin(TensorMap& m, const void* to, int type, unsigned rank, unsigned wanted, uint64_t address, const uint64_t* extent, const uint64_t* stride,
                      const uint32_t* steps, int interleave, int swizzle, int fill) {
    if ((uintptr_t)to % 64) return bad("it must lie at a multiple of 64 bytes");
    if (rank != wanted || (type != FLOAT16 && type != BFLOAT16) || interleave || swizzle != SWIZZLE_128B || fill)
        return refuse(CUDA_ERROR_NOT_SUPPORTED, "tensor map: the emulator knows matrices, and pictures by im2col, of two-byte numbers with the 128-byte swizzle");
    if (address % 16) return bad("the tensor's address must be a multiple of 16");
    m.magic = TensorMap::Written;
    m.element = 2;
    m.address = address;
    for (unsigned i = 0; i < rank; i++) {
        if (extent[i] == 0 || extent[i] > 1ull << 32) return bad("an extent must be 1 to 2^32");
        if (steps[i] < 1 || steps[i] > 8) return bad("an element stride must be 1 to 8");
        m.extent[i] = (uint32_t)extent[i];
        if (i + 1 == rank) break;
        if (stride[i] % 16 || stride[i] >= 1ull << 40) return bad("strides must be multiples of 16 below 2^40");
        m.stride[i] = stride[i];
    }
    return CUDA_SUCCESS;
}

static CUresult end(void* to, const TensorMap& m) {
    if (m.box[0] * m.element % 16 || m.box[0] * m.element > 128) return bad("the inside of a box must be a multiple of 16 bytes, and 128 at most with this swizzle");
    memcpy(to, &m, sizeof m);
    return CUDA_SUCCESS;
}

} // namespace emu

using namespace emu;

API CUresult cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* address, const uint64_t* extent, const uint64_t* stride, const uint32_t* box,
                                    const uint32_t* steps, int interleave, int swizzle, int, int fill) {
    TensorMap m{};
    if (CUresult e = begin(m, map, type, rank, 2, (uint64_t)address, extent, stride, steps, interleave, swizzle, fill)) return e;
    for (int i = 0; i < 2; i++) {
        if (box[i] < 1 || box[i] > 256) return bad("a box is 1 to 256 elements along an axis");
        if (steps[i] != 1) return refuse(CUDA_ERROR_NOT_SUPPORTED, "tensor map: the emulator's matrices have no element strides");
        m.box[i] = box[i];
    }
    return end(map, m);
}

API CUresult cuTensorMapEncodeIm2col(void* map, int type, unsigned rank, void* address, const uint64_t* extent, const uint64_t* stride, const int* lower,
                                     const int* upper, unsigned channels, unsigned pixels, const uint32_t* steps, int interleave, int swizzle, int, int fill) {
    TensorMap m{};
    if (CUresult e = begin(m, map, type, rank, 4, (uint64_t)address, extent, stride, steps, interleave, swizzle, fill)) return e;
    if (channels < 1 || channels > 256 || pixels < 1 || pixels > 1024) return bad("a box has 1 to 256 channels of 1 to 1024 pixels");
    if (steps[0] != 1 || steps[3] != 1) return refuse(CUDA_ERROR_NOT_SUPPORTED, "tensor map: the emulator strides along w and h alone");
    m.im2col = 1;
    m.box[0] = channels;
    m.box[1] = pixels;
    for (int i = 0; i < 2; i++) {
        if (lower[i] < -128 || lower[i] > 127 || upper[i] < -128 || upper[i] > 127) return bad("corners of a picture's box are -128 to 127");
        m.lower[i] = (int16_t)lower[i];
        m.upper[i] = (int16_t)upper[i];
        m.step[i] = (uint8_t)steps[i + 1];
        if ((int64_t)extent[i + 1] + upper[i] - lower[i] <= 0) return bad("the corners leave no pixel between them");
    }
    return end(map, m);
}
