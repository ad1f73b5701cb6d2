// The driver's calls: handles, limits, streams, events, capture, deferred mode.
#include "harness.h"
#include <cmath>
#include <thread>

static CUstream new_stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    CUstream s;
    OK(cuStreamCreate(&s, flags));
    return s;
}
static CUevent new_event(unsigned flags = 0) {
    CUevent e;
    OK(cuEventCreate(&e, flags));
    return e;
}
static int add(const Loaded& m, CUstream s, CUdeviceptr x, float by) { return launch_code(m("add"), {1}, {32}, 0, s, x, by, 32); }
static int multiply(const Loaded& m, CUstream s, CUdeviceptr x, float by) { return launch_code(m("multiply"), {1}, {32}, 0, s, x, by, 32); }
static bool all(const Buffer<float>& x, float value) {
    for (float v : x.host())
        if (v != value) return false;
    return true;
}

TEST(device_describes_itself) {
    int value;
    size_t bytes, free_bytes;
    char name[64];
    CUuuid plain, check;
    OK(cuDeviceGetCount(&value));
    EXPECT(value == 1);
    EXPECT_CODE(cuDeviceGet(&value, 1), CUDA_ERROR_INVALID_DEVICE);
    OK(cuDeviceGetName(name, 64, 0));
    EXPECT(std::string(name) == "CUDA emulator");
    OK(cuDeviceGetUuid_v2(&plain, 0));
    OK(cuDeviceGetAttribute(&value, 97, 0));
    EXPECT(value == 227 << 10);
    OK(cuDeviceGetAttribute(&value, 75, 0));
    EXPECT(value == 8);
    EXPECT_CODE(cuDeviceGetAttribute(&value, 1000, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuDriverGetVersion(&value));
    EXPECT(value >= 12000);
    OK(cuEmulatorConfigure("check,memory=64"));
    OK(cuDeviceGetUuid_v2(&check, 0));
    EXPECT(memcmp(&plain, &check, 16) != 0);
    OK(cuDeviceTotalMem_v2(&bytes, 0));
    EXPECT(bytes == 64 << 20);
    CUdeviceptr p;
    EXPECT_CODE(cuMemAlloc_v2(&p, 65 << 20), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemAlloc_v2(&p, 1 << 20));
    EXPECT(p % 256 == 0);
    OK(cuMemGetInfo_v2(&free_bytes, &bytes));
    EXPECT(free_bytes == 63 << 20);
    EXPECT_CODE(cuEmulatorConfigure("chekc"), CUDA_ERROR_INVALID_VALUE);
    EXPECT(std::string(cuEmulatorLastReport()).find("'chekc' is not one of check") != std::string::npos);
}

TEST(a_thread_needs_the_context) {
    int code = -1;
    std::thread([&] { CUdeviceptr p; code = cuMemAlloc_v2(&p, 4); }).join();
    EXPECT(code == CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_CODE(cuCtxSetCurrent((void*)0x1234), CUDA_ERROR_INVALID_CONTEXT);
}

TEST(bad_handles_are_errors) {
    CUdeviceptr p;
    OK(cuMemAlloc_v2(&p, 100));
    EXPECT_CODE(cuMemFree_v2(p + 4), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree_v2(p));
    EXPECT_CODE(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree_v2(0));
    EXPECT_CODE(cuMemAlloc_v2(&p, 0), CUDA_ERROR_INVALID_VALUE);
    void* h;
    OK(cuMemHostAlloc(&h, 100, 0));
    OK(cuMemFreeHost(h));
    EXPECT_CODE(cuMemFreeHost(h), CUDA_ERROR_INVALID_VALUE);
    CUstream s = new_stream();
    OK(cuStreamDestroy_v2(s));
    EXPECT_CODE(cuStreamDestroy_v2(s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuStreamSynchronize(s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuStreamCreate(&s, 8), CUDA_ERROR_INVALID_VALUE);
    CUevent e = new_event();
    OK(cuEventDestroy_v2(e));
    EXPECT_CODE(cuEventDestroy_v2(e), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuEventRecord(e, nullptr), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuLaunchKernel((CUfunction)0x10, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuGraphExecDestroy((CUgraphExec)0x10), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_CODE(cuModuleUnload((CUmodule)0x10), CUDA_ERROR_INVALID_HANDLE);
    CUmodule m;
    EXPECT_CODE(cuModuleLoadDataEx(&m, "\x7f" "ELF and no more", 0, nullptr, nullptr), CUDA_ERROR_INVALID_IMAGE);
    float x[4];
    EXPECT_CODE(cuMemcpyHtoDAsync_v2((CUdeviceptr)x, x, 16, nullptr), CUDA_ERROR_INVALID_VALUE);
    Buffer<float> small(4);
    EXPECT_CODE(cuMemcpyDtoHAsync_v2(x, small.p, 20, nullptr), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(cuMemsetD8Async(small.p + 8, 0, 9, nullptr), CUDA_ERROR_INVALID_VALUE);
    const char* text;
    OK(cuGetErrorName(700, &text));
    EXPECT(std::string(text) == "CUDA_ERROR_ILLEGAL_ADDRESS");
    OK(cuGetErrorString(700, &text));
    EXPECT(std::string(text) == "an illegal memory access was encountered");
    EXPECT_CODE(cuGetErrorString(12345, &text), CUDA_ERROR_INVALID_VALUE);
}

TEST(static_shared_memory_is_a_kernels_own) {
    const std::string text =
        "__device__ int first(int i) { __shared__ int a[1000]; a[i] = i; __syncthreads(); return a[31 - i]; }\n"
        "__device__ __attribute__((noinline)) int second(int i) { __shared__ int b[2000]; b[i] = i; __syncthreads(); return b[31 - i] + first(i); }\n"
        "extern \"C\" __global__ void none(int* y) { y[threadIdx.x] = 1; }\n"
        "extern \"C\" __global__ void one(int* y) { y[threadIdx.x] = first(threadIdx.x); }\n"
        "extern \"C\" __global__ void same_as_one(int* y) { y[threadIdx.x] = first(threadIdx.x); }\n"
        "extern \"C\" __global__ void both(int* y) { __shared__ int own[10]; own[0] = 1; y[threadIdx.x] = second(threadIdx.x) + own[0]; }\n";
    const std::pair<const char*, int> wanted[] = {{"none", 0}, {"one", 4000}, {"same_as_one", 4000}, {"both", 12040}};
    for (auto* mode : {"", "check"}) {
        void* context;
        while (cuDevicePrimaryCtxRelease_v2(0) == 0) {}
        OK(cuEmulatorConfigure(mode));
        OK(cuDevicePrimaryCtxRetain(&context, 0));
        OK(cuCtxSetCurrent(context));
        Loaded m("own.cu", {}, {}, text);
        for (auto& w : wanted) {
            int value;
            OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, m(w.first)));
            EXPECT(value == w.second);
        }
    }
}

TEST(launch_limits) {
    Loaded m("steps.cu");
    CUfunction f = m("empty"), missing;
    OK(launch_code(f, {1, 2, 3}, {1024}, 0, nullptr));
    OK(launch_code(f, {1}, {16, 1, 64}, 48 << 10, nullptr));
    for (Dim block : {Dim{1025}, Dim{0}, Dim{32, 33}, Dim{1, 1, 65}}) EXPECT_CODE(launch_code(f, {1}, block, 0, nullptr), CUDA_ERROR_INVALID_VALUE);
    for (Dim grid : {Dim{0}, Dim{1, 65536}, Dim{1, 1, 65536}, Dim{2147483648u}}) EXPECT_CODE(launch_code(f, grid, {1}, 0, nullptr), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(launch_code(f, {1}, {1}, (48 << 10) + 1, nullptr), CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 227 << 10));
    OK(launch_code(f, {1}, {1}, 227 << 10, nullptr));
    EXPECT_CODE(launch_code(f, {1}, {1}, (227 << 10) + 1, nullptr), CUDA_ERROR_INVALID_VALUE);
    EXPECT_CODE(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (227 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    int value;
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, m("much_shared")));
    EXPECT(value == 16384);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, m("add")));
    EXPECT(value == 0);
    EXPECT_CODE(cuFuncSetAttribute(m("much_shared"), CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 220 << 10), CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, m("bounded")));
    EXPECT(value == 64);
    Buffer<float> x(128);
    EXPECT_CODE(launch_code(m("bounded"), {1}, {65}, 0, nullptr, x.p), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, m("much_shared"), 256, 0));
    EXPECT(value == 8);
    OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, m("much_shared"), 64, 16384));
    EXPECT(value == 6);
    EXPECT_CODE(cuModuleGetFunction(&missing, m.module, "nothing"), CUDA_ERROR_NOT_FOUND);
    void* none[] = {nullptr, nullptr, nullptr};
    EXPECT_CODE(cuLaunchKernel(m("add"), 1, 1, 1, 1, 1, 1, 0, nullptr, none, nullptr), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSynchronize());   // none of these is an error of the device
}

TEST(errors_stick_until_the_context_goes) {
    Loaded bugs("bugs.cu");
    Buffer<float> y(128);
    CUfunction another = bugs("null_pointer");
    launch(bugs("outside_far"), {1}, {32}, 0, y.p);   // the launch itself succeeds
    EXPECT_CODE(cuStreamSynchronize(nullptr), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_CODE(launch_code(another, {1}, {32}, 0, nullptr, y.p), CUDA_ERROR_ILLEGAL_ADDRESS);
    CUdeviceptr p;
    float x;
    EXPECT(cuMemcpyDtoHAsync_v2(&x, y.p, 4, nullptr) == CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_CODE(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    OK(cuDevicePrimaryCtxRelease_v2(0));
    EXPECT_CODE(cuMemAlloc_v2(&p, 4), CUDA_ERROR_INVALID_CONTEXT);
    void* context;
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxSynchronize());
    EXPECT(std::string(cuEmulatorLastReport()).empty());
}

TEST(events_and_their_times) {
    for (const char* mode : {"", "deferred"}) {
        OK(cuEmulatorConfigure(mode));
        Loaded m("steps.cu");
        CUstream s = new_stream();
        CUevent a = new_event(), b = new_event(), untimed = new_event(CU_EVENT_DISABLE_TIMING);
        float ms = -1;
        OK(cuEventQuery(a));
        EXPECT_CODE(cuEventElapsedTime(&ms, a, b), CUDA_ERROR_INVALID_HANDLE);
        OK(cuEventRecord(a, s));
        OK(launch_code(m("empty"), {100}, {256}, 0, s));
        OK(cuEventRecord(b, s));
        OK(cuEventRecord(untimed, s));
        if (*mode) {
            EXPECT_CODE(cuEventQuery(b), CUDA_ERROR_NOT_READY);
            EXPECT_CODE(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
            EXPECT_CODE(cuEventElapsedTime(&ms, a, b), CUDA_ERROR_NOT_READY);
        }
        OK(cuEventSynchronize(b));
        OK(cuEventQuery(b));
        OK(cuEventElapsedTime(&ms, a, b));
        EXPECT(ms > 0 && ms < 10000);
        EXPECT_CODE(cuEventElapsedTime(&ms, a, untimed), CUDA_ERROR_INVALID_HANDLE);
        OK(cuStreamSynchronize(s));
        OK(cuStreamQuery(s));
        for (CUevent e : {a, b, untimed}) OK(cuEventDestroy_v2(e));
        OK(cuStreamDestroy_v2(s));
    }
}

TEST(deferred_mode_shows_missing_synchronisation) {
    OK(cuEmulatorConfigure("deferred"));
    Loaded m("steps.cu");
    Buffer<float> x(32);
    OK(cuMemsetD32Async(x, 0, 32, nullptr));
    OK(cuCtxSynchronize());
    CUstream s = new_stream(), t = new_stream();
    float* pinned;
    OK(cuMemHostAlloc((void**)&pinned, 128, 0));
    pinned[0] = 5;
    OK(add(m, s, x, 1));
    OK(cuMemcpyDtoHAsync_v2(pinned, x, 128, s));
    EXPECT(std::isnan(pinned[0]));   // not there before it is waited for
    OK(cuStreamSynchronize(s));
    EXPECT(pinned[0] == 1);

    for (int i = 0; i < 32; i++) pinned[i] = 7;
    OK(cuMemcpyHtoDAsync_v2(x, pinned, 128, s));
    for (int i = 0; i < 32; i++) pinned[i] = 8;   // too early: the copy has not been made
    OK(cuStreamSynchronize(s));
    EXPECT(all(x, 8));

    OK(add(m, s, x, 1));        // an edge is missing between the streams: the younger runs first
    OK(multiply(m, t, x, 10));
    OK(cuCtxSynchronize());
    EXPECT(all(x, 81));
    CUevent e = new_event();
    OK(add(m, s, x, 1));
    OK(cuEventRecord(e, s));
    OK(cuStreamWaitEvent(t, e, 0));
    OK(multiply(m, t, x, 10));
    OK(cuStreamSynchronize(t));
    EXPECT(all(x, 820));

    OK(add(m, s, x, 1));        // the legacy stream follows blocking streams without an event
    CUstream blocking = new_stream(0);
    OK(add(m, blocking, x, 10));
    OK(multiply(m, nullptr, x, 2));
    OK(cuStreamSynchronize(nullptr));
    EXPECT(all(x, 1660));
    OK(cuCtxSynchronize());
    EXPECT(all(x, 1661));

    CUdeviceptr early;
    OK(cuMemAlloc_v2(&early, 128));
    OK(cuMemsetD32Async(early, 0, 32, s));
    OK(add(m, s, early, 1));
    OK(cuMemFree_v2(early));    // too early
    EXPECT_CODE(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(std::string(cuEmulatorLastReport()).find("freed before the stream got to it") != std::string::npos);
}

TEST(an_early_free_under_a_kernel_is_caught) {
    OK(cuEmulatorConfigure("deferred"));
    Loaded m("steps.cu");
    CUdeviceptr early;
    OK(cuMemAlloc_v2(&early, 128));
    OK(add(m, nullptr, early, 1));
    OK(cuMemFree_v2(early));
    EXPECT_CODE(cuStreamSynchronize(nullptr), CUDA_ERROR_ILLEGAL_ADDRESS);
    std::string report = cuEmulatorLastReport();
    EXPECT(report.find("kernel add") != std::string::npos && report.find("was freed") != std::string::npos);
}

TEST(capture_and_replay) {
    for (const char* mode : {"", "deferred", "random=1", "random=2", "check,random=3,deferred"}) {
        OK(cuEmulatorConfigure(mode));
        Loaded m("steps.cu");
        CUstream s = new_stream(), t = new_stream();
        CUevent fork = new_event(), join = new_event();
        Buffer<float> x(32), y(32);
        int status;
        OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
        OK(cuStreamIsCapturing(s, &status));
        EXPECT(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
        OK(cuMemsetD32Async(x, 0, 32, s));
        OK(add(m, s, x, 3));
        OK(cuEventRecord(fork, s));
        OK(cuStreamWaitEvent(t, fork, 0));
        OK(cuMemcpyDtoDAsync_v2(y, x, 128, t));
        OK(add(m, t, y, 1));
        OK(cuEventRecord(join, t));
        OK(cuStreamWaitEvent(s, join, 0));
        OK(multiply(m, s, x, 2));
        CUgraph graph;
        CUgraphExec exec;
        OK(cuStreamEndCapture(s, &graph));
        OK(cuStreamIsCapturing(t, &status));
        EXPECT(status == CU_STREAM_CAPTURE_STATUS_NONE);
        OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
        OK(cuGraphDestroy(graph));
        EXPECT_CODE(cuGraphDestroy(graph), CUDA_ERROR_INVALID_HANDLE);
        float* nan = nullptr;
        OK(cuMemHostAlloc((void**)&nan, 4, 0));
        OK(cuMemcpyDtoHAsync_v2(nan, x, 4, s));
        OK(cuStreamSynchronize(s));
        EXPECT(std::isnan(*nan));   // capture ran nothing
        for (int i = 0; i < 3; i++) {
            OK(cuGraphLaunch(exec, s));
            OK(cuStreamSynchronize(s));
            EXPECT(all(x, 6) && all(y, 4));
        }
        OK(cuGraphLaunch(exec, s));
        OK(cuGraphExecDestroy(exec));   // what is queued keeps what it needs
        OK(cuStreamSynchronize(s));
        EXPECT_CODE(cuGraphLaunch(exec, s), CUDA_ERROR_INVALID_HANDLE);
        for (CUevent e : {fork, join}) OK(cuEventDestroy_v2(e));
        for (CUstream q : {s, t}) OK(cuStreamDestroy_v2(q));
    }
}

TEST(a_captured_graph_lacking_an_edge_shows_in_random_mode) {
    Loaded m("steps.cu");
    CUstream s = new_stream(), t = new_stream();
    CUevent fork = new_event(), join = new_event();
    Buffer<float> x(32);
    OK(cuMemsetD32Async(x, 0, 32, nullptr));
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuEventRecord(fork, s));
    OK(cuStreamWaitEvent(t, fork, 0));
    OK(add(m, s, x, 1));        // these two race
    OK(multiply(m, t, x, 2));
    OK(cuEventRecord(join, t));
    OK(cuStreamWaitEvent(s, join, 0));
    CUgraph graph;
    CUgraphExec exec;
    OK(cuStreamEndCapture(s, &graph));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuEmulatorConfigure("random=1"));
    bool seen[2] = {};
    for (int i = 0; i < 32; i++) {
        OK(cuMemsetD32Async(x, 0, 32, nullptr));
        OK(cuGraphLaunch(exec, s));
        float v = x.host()[0];
        EXPECT(v == 2 || v == 1);
        seen[v == 2] = true;
    }
    EXPECT(seen[0] && seen[1]);
}

TEST(what_a_capture_forbids) {
    Loaded m("steps.cu");
    CUstream s = new_stream(), t = new_stream();
    CUevent e = new_event();
    CUgraph graph;
    CUdeviceptr p;
    int status;
    EXPECT_CODE(cuStreamBeginCapture_v2(nullptr, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    EXPECT_CODE(cuStreamEndCapture(s, &graph), CUDA_ERROR_INVALID_VALUE);
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    EXPECT_CODE(cuStreamSynchronize(s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    OK(cuStreamIsCapturing(s, &status));
    EXPECT(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT_CODE(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    EXPECT_CODE(cuMemAlloc_v2(&p, 16), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    EXPECT_CODE(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuMemAlloc_v2(&p, 128));
    OK(cuEventRecord(e, s));
    EXPECT_CODE(cuEventSynchronize(e), CUDA_ERROR_CAPTURED_EVENT);
    OK(cuStreamWaitEvent(t, e, 0));
    OK(add(m, t, p, 1));
    EXPECT_CODE(cuStreamEndCapture(t, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    EXPECT_CODE(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    OK(cuEventRecord(e, t));
    OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    EXPECT_CODE(cuStreamWaitEvent(s, e, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    EXPECT_CODE(cuStreamEndCapture(s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    OK(cuCtxSynchronize());
}
