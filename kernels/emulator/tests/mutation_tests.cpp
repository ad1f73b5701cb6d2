// Good kernels with one line of synchronisation taken out: check mode must notice every one.
#include "harness.h"

/// The text without its n-th occurrence of a line's statement; empty where there are fewer.
static std::string without(const std::string& text, const std::string& statement, int n) {
    size_t at = 0;
    for (int i = 0; i <= n; i++) {
        at = text.find(statement, i == 0 ? 0 : at + 1);
        if (at == std::string::npos) return "";
    }
    return text.substr(0, at) + ";" + text.substr(at + statement.size());
}

static int mutants(const std::string& file, const std::vector<std::string>& expressions, const std::vector<std::string>& statements,
                   const std::function<void(const Loaded&)>& run) {
    int found = 0;
    const std::string text = read_file(kernel_folder + "/" + file);
    for (auto& statement : statements)
        for (int n = 0;; n++) {
            std::string mutant = without(text, statement, n);
            if (mutant.empty()) break;
            void* context;
            while (cuDevicePrimaryCtxRelease_v2(0) == 0) {}
            OK(cuEmulatorConfigure("check"));
            OK(cuDevicePrimaryCtxRetain(&context, 0));
            OK(cuCtxSetCurrent(context));
            Loaded m(file, expressions, {}, mutant);
            run(m);
            int code = cuCtxSynchronize();
            if (code != CUDA_ERROR_LAUNCH_FAILED)
                throw Failure(file + " without its " + statement + " number " + std::to_string(n + 1) + " passes: " + std::to_string(code) + "\n" + cuEmulatorLastReport());
            found++;
        }
    return found;
}

TEST(synchronisation_that_is_missing_is_noticed) {
    const std::vector<std::string> barriers = {"__syncthreads();", "__syncwarp();", "cp_async_wait<0>();", "cp_async_wait<1>();", "cp_async_wait<2>();"};
    int found = mutants("product.cu", {}, barriers, [](const Loaded& m) {
        Buffer<float> a(numbers(48 * 48, 1)), c(48 * 48);
        launch(m("product"), {3, 3}, {16, 16}, 2 * 16 * 17 * 4, c.p, a.p, a.p, 48, 48, 48);
    });
    found += mutants("mma_product.cu", {"mma_product<bf16>"}, barriers, [](const Loaded& m) {
        Buffer<uint16_t> a(std::vector<uint16_t>(64 * 128, 0x3f80)), from(std::vector<uint16_t>(256, 1));
        Buffer<float> c(64 * 64);
        Buffer<uint32_t> to(32 * 14);
        CUfunction product = m(m.lowered[0]), forms = m("ldmatrix_forms");
        int first = launch_code(product, {1, 1}, {128}, 0, nullptr, c.p, a.p, a.p, 64, 128);
        if (cuCtxSynchronize() == 0) launch(forms, {1}, {32}, 0, to.p, from.p);   // the mutation may be in either
        OK(first);
    });
    found += mutants("pipeline.cu", {}, barriers, [](const Loaded& m) {
        Buffer<float> x(numbers(128 * 6, 1)), y(128 * 6);
        launch(m("pipeline"), {1}, {32}, 0, y.p, x.p, 128 * 6);
    });
    found += mutants("reduce.cu", {}, {"__syncthreads();"}, [](const Loaded& m) {
        Buffer<uint32_t> keys(std::vector<uint32_t>(500, 3)), bins(std::vector<uint32_t>(16));
        Buffer<int> low(std::vector<int>{0});
        Buffer<float> total(std::vector<float>{0});
        launch(m("histogram"), {2}, {64}, 0, bins.p, low.p, total.p, keys.p, 500);
    });
    EXPECT(found == 12);
}
