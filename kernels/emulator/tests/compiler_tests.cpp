// NVRTC's calls: logs, options, headers, names.
#include "harness.h"

static bool has(const std::string& s, const std::string& what) { return s.find(what) != std::string::npos; }

TEST(compile_errors_name_the_kernels_own_line) {
    std::string log;
    EXPECT(compile_text("// one\nextern \"C\" __global__ void k(float* x) {\n    x[0] = undefined_name;\n}\n", {}, log) == NVRTC_ERROR_COMPILATION);
    EXPECT(has(log, "given.cu:3:") && has(log, "undefined_name") && !has(log, "/tmp/"));
    EXPECT(compile_text("#include \"part.cuh\"\n", {}, log, nullptr, {{"part.cuh", "\n\nint f() { return wrong; }\n"}}) == NVRTC_ERROR_COMPILATION);
    EXPECT(has(log, "part.cuh:3:"));
    EXPECT(compile_text("#include <cuda_bf16.h>\n", {}, log) == NVRTC_ERROR_COMPILATION);   // NVRTC has none either
    EXPECT(has(log, "given.cu:1:"));
    EXPECT(compile_text("extern \"C\" __global__ void k(float* x) {\n    extern __shared__ float s[];\n    x[0] = s[0];\n}\n", {}, log) == NVRTC_ERROR_COMPILATION);
    EXPECT(has(log, "given.cu:2: error: extern __shared__ is written DYN_SMEM"));
    EXPECT(compile_text("extern \"C\" __global__ void k(unsigned* x) { x[0] = __activemask(); }\n", {}, log) == NVRTC_ERROR_COMPILATION);
    EXPECT(has(log, "pass an explicit mask"));
    EXPECT(compile_text("__device__ int f(int x) { if (x) return 1; }\nextern \"C\" __global__ void k(int* x) { x[0] = f(x[1]); }\n", {}, log) == NVRTC_ERROR_COMPILATION);
    EXPECT(has(log, "given.cu:1:"));
}

TEST(options_are_taken_or_refused) {
    std::string log, image;
    const std::string text = "#ifndef A\n#error A is missing\n#endif\nextern \"C\" __global__ void k(float* x) { x[0] = A + B; }\n";
    EXPECT(compile_text(text, {"-DA=2", "-D", "B=3", "--gpu-architecture=sm_90a", "--std=c++17", "--use_fast_math", "-lineinfo", "--ptxas-options=-v"}, log, &image) == 0);
    EXPECT(compile_text(text, {"--define-macro=A=1", "-DB=1", "-arch=compute_80", "--fmad=false"}, log) == 0);
    EXPECT(compile_text(text, {"-DB=3"}, log) == NVRTC_ERROR_COMPILATION && has(log, "A is missing"));
    EXPECT(compile_text(text, {"-DA=1", "-DB=1", "--fast-maths"}, log) == NVRTC_ERROR_INVALID_OPTION && has(log, "--fast-maths"));
    EXPECT(compile_text(text, {"--gpu-architecture=sm_81"}, log) == NVRTC_ERROR_INVALID_OPTION);
    CUmodule m;
    OK(cuModuleLoadDataEx(&m, image.data(), 0, nullptr, nullptr));
    OK(cuModuleUnload(m));
    OK(cuEmulatorConfigure("check"));
    EXPECT_CODE(cuModuleLoadDataEx(&m, image.data(), 0, nullptr, nullptr), CUDA_ERROR_NO_BINARY_FOR_GPU);   // without checks
    image[17] ^= 1;
    EXPECT_CODE(cuModuleLoadDataEx(&m, image.data(), 0, nullptr, nullptr), CUDA_ERROR_NO_BINARY_FOR_GPU);   // another build
}

TEST(macros_of_one_letter_do_not_reach_the_headers) {
    // Kernels are compiled with -DT=bf16 -DCOLS=768: no header may use such names for itself.
    std::vector<std::string> options;
    for (char c = 'A'; c <= 'Z'; c++) options.push_back(std::string("-D") + c + "=7");
    for (const char* name : {"COLS", "ROWS", "WARPS", "THREADS", "TILE", "VEC", "BYTES", "COUNT", "WIDTH", "ACC", "TRANS", "SIZE", "NAME"}) options.push_back(std::string("-D") + name + "=7");
    for (const char* mode : {"", "check"}) {
        OK(cuEmulatorConfigure(mode));
        Loaded m("headers.cu", {}, options);
        Buffer<float> x(32);
        launch(m("use_all_headers"), {1}, {32}, 128, x.p);
        OK(cuCtxSynchronize());
        EXPECT(x.host()[0] == 32.f);
    }
}

TEST(kernels_are_found_by_name_and_by_expression) {
    Program* p;
    OK(nvrtcCreateProgram(&p,
        "namespace n { template <class T, int N> __global__ void fill(T* x) { x[threadIdx.x] = (T)N; } }\n"
        "extern \"C\" { __global__ void\n__launch_bounds__(32 * 2, 1)\nfirst(int* x) { x[threadIdx.x] = '\"' + 1; } __device__ int f() { return 2; } }\n"
        "#define NAME second\n"
        "extern \"C\" __launch_bounds__(128) __global__ void NAME(int* x, const char* s = \"} __global__ void no(\") { x[threadIdx.x] = f(); }\n"
        "__global__ void mangled(int* x) { x[0] = 3; }\n", "names.cu", 0, nullptr, nullptr));
    const char* expressions[] = {"n::fill<int, 4>", "&n::fill<unsigned, 2 + 3>", "mangled", "first"};
    const char* name;
    for (auto* e : expressions) OK(nvrtcAddNameExpression(p, e));
    EXPECT_CODE(nvrtcGetLoweredName(p, expressions[0], &name), NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION);
    OK(nvrtcCompileProgram(p, 0, nullptr));
    EXPECT_CODE(nvrtcAddNameExpression(p, "x"), NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION);
    EXPECT_CODE(nvrtcGetLoweredName(p, "n::fill<int, 5>", &name), NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID);
    size_t bytes;
    OK(nvrtcGetCUBINSize(p, &bytes));
    std::string image(bytes, 0);
    OK(nvrtcGetCUBIN(p, image.data()));
    CUmodule m;
    CUfunction f;
    OK(cuModuleLoadDataEx(&m, image.data(), 0, nullptr, nullptr));
    Buffer<int> x(4);
    int want[] = {4, 5, 3, '"' + 1};
    for (int i = 0; i < 4; i++) {
        OK(nvrtcGetLoweredName(p, expressions[i], &name));
        OK(cuModuleGetFunction(&f, m, name));
        launch(f, {1}, {1}, 0, x.p);
        EXPECT(x.host()[0] == want[i]);
    }
    OK(cuModuleGetFunction(&f, m, "second"));
    launch(f, {1}, {1}, 0, x.p, (CUdeviceptr)0);
    EXPECT(x.host()[0] == 2);
    OK(cuModuleGetFunction(&f, m, "first"));
    int bound;
    OK(cuFuncGetAttribute(&bound, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
    EXPECT(bound == 64);
    EXPECT_CODE(cuModuleGetFunction(&f, m, "mangled"), CUDA_ERROR_NOT_FOUND);
    EXPECT_CODE(cuModuleGetFunction(&f, m, "no"), CUDA_ERROR_NOT_FOUND);
    OK(cuModuleUnload(m));
    OK(nvrtcDestroyProgram(&p));
    EXPECT_CODE(nvrtcDestroyProgram(&p), NVRTC_ERROR_INVALID_PROGRAM);
    int major, minor, count;
    OK(nvrtcVersion(&major, &minor));
    OK(nvrtcGetNumSupportedArchs(&count));
    std::vector<int> archs((size_t)count);
    OK(nvrtcGetSupportedArchs(archs.data()));
    EXPECT(major == 12 && archs.back() == 90 && std::string(nvrtcGetErrorString(6)) == "NVRTC_ERROR_COMPILATION");
}
