// The library by dlopen, as the engine loads it; a test is a function that throws.
#pragma once
#include "../cuda_abi.h"
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

struct Program;
struct LtContext;
struct MatmulDesc;
struct MatrixLayout;
struct MatmulPreference;

// name, result, parameters
#define CUDA_FUNCTIONS(F)                                                                                                          \
    F(cuInit, int, (unsigned)) F(cuDriverGetVersion, int, (int*)) F(cuDeviceGetCount, int, (int*)) F(cuDeviceGet, int, (int*, int)) \
    F(cuDeviceGetName, int, (char*, int, int)) F(cuDeviceGetUuid_v2, int, (CUuuid*, int))                                          \
    F(cuDeviceGetAttribute, int, (int*, int, int)) F(cuDeviceTotalMem_v2, int, (size_t*, int))                                     \
    F(cuDevicePrimaryCtxRetain, int, (void**, int)) F(cuDevicePrimaryCtxRelease_v2, int, (int)) F(cuCtxSetCurrent, int, (void*))   \
    F(cuCtxSynchronize, int, ()) F(cuMemGetInfo_v2, int, (size_t*, size_t*)) F(cuMemAlloc_v2, int, (CUdeviceptr*, size_t))         \
    F(cuMemFree_v2, int, (CUdeviceptr)) F(cuMemHostAlloc, int, (void**, size_t, unsigned)) F(cuMemFreeHost, int, (void*))          \
    F(cuMemcpyHtoDAsync_v2, int, (CUdeviceptr, const void*, size_t, CUstream))                                                     \
    F(cuMemcpyDtoHAsync_v2, int, (void*, CUdeviceptr, size_t, CUstream))                                                           \
    F(cuMemcpyDtoDAsync_v2, int, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                                     \
    F(cuMemsetD8Async, int, (CUdeviceptr, unsigned char, size_t, CUstream))                                                        \
    F(cuMemsetD32Async, int, (CUdeviceptr, unsigned, size_t, CUstream)) F(cuStreamCreate, int, (CUstream*, unsigned))              \
    F(cuStreamDestroy_v2, int, (CUstream)) F(cuStreamSynchronize, int, (CUstream)) F(cuStreamQuery, int, (CUstream))               \
    F(cuStreamWaitEvent, int, (CUstream, CUevent, unsigned)) F(cuEventCreate, int, (CUevent*, unsigned))                           \
    F(cuEventDestroy_v2, int, (CUevent)) F(cuEventRecord, int, (CUevent, CUstream)) F(cuEventQuery, int, (CUevent))                \
    F(cuEventSynchronize, int, (CUevent)) F(cuEventElapsedTime, int, (float*, CUevent, CUevent))                                   \
    F(cuModuleLoadDataEx, int, (CUmodule*, const void*, unsigned, int*, void**)) F(cuModuleUnload, int, (CUmodule))                \
    F(cuModuleGetFunction, int, (CUfunction*, CUmodule, const char*)) F(cuFuncGetAttribute, int, (int*, int, CUfunction))          \
    F(cuFuncSetAttribute, int, (CUfunction, int, int))                                                                             \
    F(cuOccupancyMaxActiveBlocksPerMultiprocessor, int, (int*, CUfunction, int, size_t))                                           \
    F(cuLaunchKernel, int, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**)) \
    F(cuStreamBeginCapture_v2, int, (CUstream, int)) F(cuStreamEndCapture, int, (CUstream, CUgraph*))                              \
    F(cuStreamIsCapturing, int, (CUstream, int*)) F(cuGraphInstantiateWithFlags, int, (CUgraphExec*, CUgraph, unsigned long long)) \
    F(cuGraphLaunch, int, (CUgraphExec, CUstream)) F(cuGraphExecDestroy, int, (CUgraphExec)) F(cuGraphDestroy, int, (CUgraph))     \
    F(cuTensorMapEncodeTiled, int, (void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const uint32_t*, const uint32_t*, int, int, int, int)) \
    F(cuTensorMapEncodeIm2col, int, (void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const int*, const int*, unsigned, unsigned, const uint32_t*, int, int, int, int)) \
    F(cuGetErrorName, int, (int, const char**)) F(cuGetErrorString, int, (int, const char**))                                      \
    F(cuEmulatorLastReport, const char*, ()) F(cuEmulatorConfigure, int, (const char*))                                            \
    F(cuEmulatorMark, int, (CUdeviceptr, size_t, int, CUstream))                                                                   \
    F(nvrtcVersion, int, (int*, int*)) F(nvrtcGetNumSupportedArchs, int, (int*)) F(nvrtcGetSupportedArchs, int, (int*))            \
    F(nvrtcGetErrorString, const char*, (int))                                                                                     \
    F(nvrtcCreateProgram, int, (Program**, const char*, const char*, int, const char* const*, const char* const*))                 \
    F(nvrtcDestroyProgram, int, (Program**)) F(nvrtcAddNameExpression, int, (Program*, const char*))                               \
    F(nvrtcCompileProgram, int, (Program*, int, const char* const*)) F(nvrtcGetProgramLogSize, int, (Program*, size_t*))           \
    F(nvrtcGetProgramLog, int, (Program*, char*)) F(nvrtcGetCUBINSize, int, (Program*, size_t*)) F(nvrtcGetCUBIN, int, (Program*, char*)) \
    F(nvrtcGetLoweredName, int, (Program*, const char*, const char**))                                                             \
    F(cublasLtCreate, int, (LtContext**)) F(cublasLtDestroy, int, (LtContext*)) F(cublasLtGetVersion, size_t, ())                  \
    F(cublasLtGetStatusString, const char*, (int)) F(cublasLtMatmulDescCreate, int, (MatmulDesc**, int, int))                      \
    F(cublasLtMatmulDescDestroy, int, (MatmulDesc*)) F(cublasLtMatmulDescSetAttribute, int, (MatmulDesc*, int, const void*, size_t)) \
    F(cublasLtMatrixLayoutCreate, int, (MatrixLayout**, int, uint64_t, uint64_t, int64_t))                                         \
    F(cublasLtMatrixLayoutDestroy, int, (MatrixLayout*))                                                                           \
    F(cublasLtMatrixLayoutSetAttribute, int, (MatrixLayout*, int, const void*, size_t))                                            \
    F(cublasLtMatmulPreferenceCreate, int, (MatmulPreference**)) F(cublasLtMatmulPreferenceDestroy, int, (MatmulPreference*))      \
    F(cublasLtMatmulPreferenceSetAttribute, int, (MatmulPreference*, int, const void*, size_t))                                    \
    F(cublasLtMatmulAlgoGetHeuristic, int, (LtContext*, MatmulDesc*, MatrixLayout*, MatrixLayout*, MatrixLayout*, MatrixLayout*,   \
                                            MatmulPreference*, int, cublasLtMatmulHeuristicResult_t*, int*))                       \
    F(cublasLtMatmul, int, (LtContext*, MatmulDesc*, const void*, const void*, MatrixLayout*, const void*, MatrixLayout*, const void*, \
                            const void*, MatrixLayout*, void*, MatrixLayout*, const cublasLtMatmulAlgo_t*, void*, size_t, CUstream))

#define DECLARE(name, result, parameters) extern result(*name) parameters;
CUDA_FUNCTIONS(DECLARE)
#undef DECLARE

struct Failure : std::runtime_error { using runtime_error::runtime_error; };

#define EXPECT(condition) ((condition) ? (void)0 : throw Failure(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #condition))
#define EXPECT_CODE(call, code)                                                                                             \
    do {                                                                                                                    \
        int got_ = (call);                                                                                                  \
        if (got_ != (code)) throw Failure(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #call " gave " +     \
                                          std::to_string(got_) + ", not " + std::to_string(code) + "\n" + cuEmulatorLastReport()); \
    } while (0)
#define OK(call) EXPECT_CODE(call, 0)

struct Test { std::string name; std::function<void()> body; };
std::vector<Test>& tests();
struct Register { Register(const char* name, std::function<void()> body) { tests().push_back({name, std::move(body)}); } };
#define TEST(name)                                         \
    static void test_##name();                             \
    static Register register_##name(#name, test_##name);   \
    static void test_##name()

std::string read_file(const std::string& path);
extern std::string kernel_folder, common_folder;

/// Compiles a file of tests/kernels (or a text instead) with the headers of kernels/common; throws the log.
struct Loaded {
    CUmodule module = nullptr;
    std::vector<std::string> lowered;
    Loaded(const std::string& file, const std::vector<std::string>& expressions = {}, const std::vector<std::string>& options = {}, const std::string& instead = "");
    CUfunction operator()(const std::string& name) const;
    ~Loaded();
};
/// The result code and the log of compiling a text.
int compile_text(const std::string& text, const std::vector<const char*>& options, std::string& log, std::string* image = nullptr,
                 const std::vector<std::pair<std::string, std::string>>& headers = {});

struct Dim { unsigned x = 1, y = 1, z = 1; };

/// Launches with typed arguments.
template <class... A> int launch_code(CUfunction f, Dim grid, Dim block, unsigned shared, CUstream stream, A... arguments) {
    void* list[] = {(void*)&arguments..., nullptr};
    return cuLaunchKernel(f, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, list, nullptr);
}
template <class... A> void launch(CUfunction f, Dim grid, Dim block, unsigned shared, A... arguments) {
    OK(launch_code(f, grid, block, shared, nullptr, arguments...));
}

/// Device memory of n elements.
template <class T> struct Buffer {
    CUdeviceptr p = 0;
    size_t n;
    explicit Buffer(size_t count) : n(count) { OK(cuMemAlloc_v2(&p, n * sizeof(T))); }
    explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) { OK(cuMemcpyHtoDAsync_v2(p, from.data(), n * sizeof(T), nullptr)); }
    Buffer(const Buffer&) = delete;
    ~Buffer() { cuMemFree_v2(p); }
    operator CUdeviceptr() const { return p; }
    std::vector<T> host() const {
        std::vector<T> to(n);
        OK(cuMemcpyDtoHAsync_v2(to.data(), p, n * sizeof(T), nullptr));
        OK(cuStreamSynchronize(nullptr));
        return to;
    }
};

/// Numbers in [-1, 1), the same every time.
std::vector<float> numbers(size_t n, unsigned seed);
uint16_t to_bf16(float x);
float from_bf16(uint16_t x);
void expect_close(const std::vector<float>& got, const std::vector<double>& want, double tolerance, const char* what);
double milliseconds();

/// Prints what things cost.
void measure();
/// Reads address 8 under the host's own handler of SIGSEGV; true if that handler was asked.
bool host_fault_is_handled();
