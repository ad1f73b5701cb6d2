// Tensor maps, mbarriers and bulk copies, against loops over the tensor.
#include "harness.h"

namespace {

struct alignas(64) Maps { uint64_t words[64] = {}; };

constexpr int BF16 = 9, Swizzle = 3;

std::vector<uint16_t> counted(size_t n) {
    std::vector<uint16_t> x(n);
    for (size_t i = 0; i < n; i++) x[i] = (uint16_t)(i * 7 + 1);
    return x;
}

Maps matrix(CUdeviceptr at, uint64_t rows, uint64_t columns) {
    Maps m;
    uint64_t extent[] = {columns, rows}, stride[] = {columns * 2};
    uint32_t box[] = {64, 64}, steps[] = {1, 1};
    OK(cuTensorMapEncodeTiled(&m, BF16, 2, (void*)at, extent, stride, box, steps, 0, Swizzle, 3, 0));
    return m;
}

} // namespace

TEST(boxes_of_a_matrix) {
    for (const char* mode : {"", "check,strict,random=3"}) {
        cuEmulatorConfigure(mode);
        Loaded loaded("boxes.cu");
        const int rows = 100, columns = 72;
        auto x = counted(rows * columns);
        Buffer<uint16_t> dx(x), dy(64 * 64);
        Maps m = matrix(dx.p, rows, columns);
        for (auto [column, row] : {std::pair{0, 0}, {64, 0}, {0, 60}, {64, 90}, {-8, -3}, {0, 200}}) {
            launch(loaded("box_of_matrix"), {1}, {32}, 64 * 128 + 1024, dy.p, m, column, row);
            auto y = dy.host();
            for (int i = 0; i < 64; i++)
                for (int j = 0; j < 64; j++) {
                    int r = row + i, c = column + j;
                    EXPECT(y[(size_t)(i * 64 + j)] == (r >= 0 && r < rows && c >= 0 && c < columns ? x[(size_t)(r * columns + c)] : 0));
                }
        }
    }
    cuEmulatorConfigure(nullptr);
}

TEST(boxes_of_pixels) {
    for (int t = 1; t <= 2; t++) {
        Loaded loaded("boxes.cu");
        const int n = 3, h = 5, w = 7, c = 72, taps = 3, pad = 1, ho = (h + 2 * pad - taps) / t + 1, wo = (w + 2 * pad - taps) / t + 1;
        auto x = counted((size_t)n * h * w * c);
        Buffer<uint16_t> dx(x), dy(64 * 64);
        Maps m;
        uint64_t extent[] = {c, w, h, n}, stride[] = {c * 2, c * w * 2, c * w * h * 2};
        int lower[] = {-pad, -pad}, upper[] = {-pad + (wo - 1) * t + 1 - w, -pad + (ho - 1) * t + 1 - h};
        uint32_t steps[] = {1, (uint32_t)t, (uint32_t)t, 1};
        OK(cuTensorMapEncodeIm2col(&m, BF16, 4, (void*)dx.p, extent, stride, lower, upper, 64, 64, steps, 0, Swizzle, 3, 0));
        for (int first : {0, 3, wo * ho * n - 5})
            for (int tap = 0; tap < taps * taps; tap++) {
                int s = tap % taps, r = tap / taps, channel = tap % 2 * 64;
                launch(loaded("box_of_pixels"), {1}, {32}, 64 * 128 + 1024, dy.p, m, channel, first % wo * t - pad, first / wo % ho * t - pad, first / wo / ho, s, r);
                auto y = dy.host();
                for (int i = 0; i < 64; i++)
                    for (int j = 0; j < 64; j++) {
                        int p = first + i, row = p / wo % ho * t - pad + r, column = p % wo * t - pad + s, k = channel + j;
                        bool inside = p < n * ho * wo && row >= 0 && row < h && column >= 0 && column < w && k < c;
                        EXPECT(y[(size_t)(i * 64 + j)] == (inside ? x[(size_t)((((p / wo / ho) * h + row) * w + column) * c + k)] : 0));
                    }
            }
    }
}

TEST(mistakes_with_boxes) {
    const struct { int mistake; const char *mode, *says; } mistakes[] = {
        {1, "check", "a copy in the background is still writing"},
        {2, "", ": 0 arrivals and 2 bytes are missing"},
        {3, "", "an mbarrier that was not initialised"},
        {4, "", "has ended before a bulk copy"},
    };
    for (auto& m : mistakes) {
        cuEmulatorConfigure(m.mode);
        Loaded loaded("boxes.cu");
        Buffer<uint16_t> dx(counted(64 * 64)), dy(64 * 64);
        launch(loaded("box_mistake"), {1}, {32}, 64 * 128 + 1024, dy.p, matrix(dx.p, 64, 64), m.mistake);
        EXPECT(cuCtxSynchronize() != 0);
        std::string report = cuEmulatorLastReport();
        if (report.find(m.says) == std::string::npos) throw Failure("mistake " + std::to_string(m.mistake) + ": " + report);
    }
    cuEmulatorConfigure(nullptr);
}

TEST(tensor_maps_that_the_driver_refuses) {
    Maps m;
    Buffer<uint16_t> x(64 * 64);
    uint64_t extent[] = {64, 64}, stride[] = {128}, odd[] = {130};
    uint32_t box[] = {64, 64}, wide[] = {72, 64}, steps[] = {1, 1};
    EXPECT_CODE(cuTensorMapEncodeTiled((char*)&m + 8, BF16, 2, (void*)x.p, extent, stride, box, steps, 0, Swizzle, 3, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(cuTensorMapEncodeTiled(&m, BF16, 2, (void*)(x.p + 2), extent, stride, box, steps, 0, Swizzle, 3, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(cuTensorMapEncodeTiled(&m, BF16, 2, (void*)x.p, extent, odd, box, steps, 0, Swizzle, 3, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(cuTensorMapEncodeTiled(&m, BF16, 2, (void*)x.p, extent, stride, wide, steps, 0, Swizzle, 3, 0), CUDA_ERROR_INVALID_VALUE);
}
