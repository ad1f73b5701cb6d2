// A tensor map as this emulator encodes it: the 128 bytes that a kernel gets as a parameter and hands on unread.
#pragma once
#include <cstdint>

namespace emu {

struct TensorMap {
    static constexpr uint32_t Written = 0x504d4150;
    uint32_t magic;
    uint8_t im2col, element;       // element: its bytes
    uint8_t step[2];               // of pixels along w and h
    uint64_t address;
    uint32_t extent[4];            // innermost first: columns, rows; or channels, width, height, pictures
    uint64_t stride[3];            // bytes, of all but the innermost
    uint32_t box[2];               // columns and rows; channels and pixels
    int16_t lower[2], upper[2];    // corners of the box that pixels run through: w, h
    uint64_t unused[7];
};
static_assert(sizeof(TensorMap) == 128, "as CUtensorMap");

} // namespace emu
