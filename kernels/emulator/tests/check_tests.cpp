// Every seeded bug is named, with its kernel and its line; correct kernels are not accused.
#include "harness.h"
#include <map>

static int line_of(const std::string& bug) {
    std::string text = read_file(kernel_folder + "/bugs.cu");
    size_t at = text.find("// BUG " + bug);
    if (at == std::string::npos) throw Failure("bugs.cu does not mark " + bug);
    int line = 1;
    for (size_t i = 0; i < at; i++) line += text[i] == '\n';
    return line;
}

/// Runs a launch that must fail with `code`, and with a report that names the bug, its kernel and its line.
static void expect_bug(const std::string& bug, int code, const std::string& says, bool line = true) {
    std::string report = cuEmulatorLastReport();
    int got = cuCtxSynchronize();
    report = cuEmulatorLastReport();
    if (got != code) throw Failure(bug + " gave " + std::to_string(got) + ", not " + std::to_string(code) + "\n" + report);
    auto must = [&](const std::string& word) {
        if (report.find(word) == std::string::npos) throw Failure(bug + ": the report does not say \"" + word + "\":\n" + report);
    };
    must(says);
    must("kernel " + bug);
    if (line) must("bugs.cu:" + std::to_string(line_of(bug)));
    must("block (");
    must("thread (");
}

/// A fresh context with these options, the module in it, and 128 floats in and out.
struct Case {
    Loaded bugs;
    Buffer<float> x, y;
    static bool configure(const char* mode) {
        void* context;
        while (cuDevicePrimaryCtxRelease_v2(0) == 0) {}
        OK(cuEmulatorConfigure(mode));
        OK(cuDevicePrimaryCtxRetain(&context, 0));
        OK(cuCtxSetCurrent(context));
        return true;
    }
    explicit Case(const char* mode) : bugs((configure(mode), "bugs.cu")), x(numbers(1024, 1)), y(1024) { OK(cuMemsetD8Async(y, 0, 4096, nullptr)); }
};

TEST(shared_memory_races) {
    struct Seed { const char *name, *says; };
    for (auto s : {Seed{"race_raw", "shared-memory race (read after write)"}, Seed{"race_war", "shared-memory race (write after read)"},
                   Seed{"race_waw", "shared-memory race (write after write)"}, Seed{"race_warp", "shared-memory race (read after write)"},
                   Seed{"race_bf16", "shared-memory race (read after write)"}, Seed{"race_dynamic", "shared-memory race (read after write)"}})
        for (const char* mode : {"check", "check,random=3", "check,deferred"}) {
            Case c(mode);
            launch(c.bugs(s.name), {1}, {128}, 512, c.y.p, c.x.p);
            expect_bug(s.name, CUDA_ERROR_LAUNCH_FAILED, s.says);
        }
}

TEST(global_memory_races) {
    for (const char* mode : {"check", "check,threads=1", "check,random=9"}) {
        {
            Case c(mode);
            launch(c.bugs("race_global"), {4}, {32}, 0, c.y.p);
            expect_bug("race_global", CUDA_ERROR_LAUNCH_FAILED, "global-memory race");
        }
        {
            Case c(mode);
            launch(c.bugs("race_global_read"), {4}, {32}, 0, c.y.p);
            expect_bug("race_global_read", CUDA_ERROR_LAUNCH_FAILED, "global-memory race");
        }
        {
            Case c(mode);
            launch(c.bugs("race_atomic"), {1}, {64}, 0, c.y.p);
            expect_bug("race_atomic", CUDA_ERROR_LAUNCH_FAILED, "global-memory race", false);   // either of the two accesses
        }
    }
}

TEST(out_of_bounds) {
    {
        Case c("check");
        Buffer<float> y(100);
        launch(c.bugs("outside_global"), {1}, {128}, 0, y.p, c.x.p);
        expect_bug("outside_global", CUDA_ERROR_ILLEGAL_ADDRESS, "0 bytes past the end of an allocation of 400 bytes");
    }
    {
        Case c("check");
        launch(c.bugs("outside_shared"), {1}, {64}, 0, c.y.p);
        expect_bug("outside_shared", CUDA_ERROR_ILLEGAL_ADDRESS, "shared memory: write out of bounds");
    }
    {
        Case c("check");
        launch(c.bugs("outside_dynamic"), {1}, {128}, 256, c.y.p);
        expect_bug("outside_dynamic", CUDA_ERROR_ILLEGAL_ADDRESS, "bytes of 256");
    }
    {
        Case c("check");
        std::vector<float> host(128);
        launch(c.bugs("host_pointer"), {1}, {128}, 0, c.y.p, (CUdeviceptr)host.data());
        expect_bug("host_pointer", CUDA_ERROR_ILLEGAL_ADDRESS, "memory of the host");
    }
    for (const char* mode : {"", "check"}) {   // guard pages stand in every mode
        {
            Case c(mode);
            launch(c.bugs("outside_far"), {1}, {32}, 0, c.y.p);
            expect_bug("outside_far", CUDA_ERROR_ILLEGAL_ADDRESS, "past the end of an allocation of 4096 bytes");
        }
        {
            Case c(mode);
            launch(c.bugs("null_pointer"), {1}, {32}, 0, (CUdeviceptr)0);
            int code = cuCtxSynchronize();
            EXPECT(code == CUDA_ERROR_ILLEGAL_ADDRESS || code == CUDA_ERROR_MISALIGNED_ADDRESS);
            expect_bug("null_pointer", code, "null pointer");
        }
        {
            Case c(mode);
            Buffer<float> freed(64);
            CUdeviceptr p = freed;
            OK(cuMemFree_v2(p));
            launch(c.bugs("unwritten_global"), {1}, {64}, 0, c.y.p, p);
            expect_bug("unwritten_global", CUDA_ERROR_ILLEGAL_ADDRESS, "that was freed");
        }
    }
}

TEST(uninitialised_memory) {
    {
        Case c("check");
        Buffer<float> fresh(128);
        launch(c.bugs("unwritten_global"), {1}, {128}, 0, c.y.p, fresh.p);
        expect_bug("unwritten_global", CUDA_ERROR_LAUNCH_FAILED, "global memory: read of uninitialised bytes");
    }
    {
        Case c("check");
        launch(c.bugs("unwritten_shared"), {1}, {128}, 0, c.y.p);
        expect_bug("unwritten_shared", CUDA_ERROR_LAUNCH_FAILED, "shared memory: read of uninitialised bytes");
    }
    Case c("");   // in every mode it is NaN
    Buffer<float> fresh(128);
    launch(c.bugs("unwritten_global"), {1}, {128}, 0, c.y.p, fresh.p);
    EXPECT(c.y.host()[5] != c.y.host()[5]);
    launch(c.bugs("unwritten_shared"), {1}, {128}, 0, c.y.p);
    EXPECT(c.y.host()[99] == 1.f && c.y.host()[100] != c.y.host()[100]);
}

TEST(missing_waits_for_cp_async) {
    for (const char* bug : {"no_wait", "wait_one_short"}) {
        Case c("check");
        launch(c.bugs(bug), {1}, {32}, 0, c.y.p, c.x.p);
        expect_bug(bug, CUDA_ERROR_LAUNCH_FAILED, "a copy in the background is still writing");
    }
    Case c("");   // and NaN in every mode
    launch(c.bugs("no_wait"), {1}, {32}, 0, c.y.p, c.x.p);
    EXPECT(c.y.host()[3] != c.y.host()[3]);
}

TEST(divergence) {
    for (const char* mode : {"", "random=4", "check"}) {
        Case c(mode);
        launch(c.bugs("divergent_barrier"), {1}, {64}, 0, c.y.p);
        std::string report;
        int code = cuCtxSynchronize();
        report = cuEmulatorLastReport();
        EXPECT(code == CUDA_ERROR_LAUNCH_FAILED && report.find("divergent __syncthreads") != std::string::npos);
        EXPECT(report.find("line " + std::to_string(line_of("divergent_barrier"))) != std::string::npos ||
               report.find("bugs.cu:" + std::to_string(line_of("divergent_barrier"))) != std::string::npos);
    }
    {
        Case c("");
        launch(c.bugs("divergent_shuffle"), {1}, {32}, 0, c.y.p);
        expect_bug("divergent_shuffle", CUDA_ERROR_LAUNCH_FAILED, "divergent warp operation");
    }
    {
        Case c("");
        launch(c.bugs("partial_mask"), {1}, {32}, 0, c.y.p);
        expect_bug("partial_mask", CUDA_ERROR_LAUNCH_FAILED, "not in its mask", false);
    }
    {
        Case c("");
        launch(c.bugs("deadlock"), {1}, {32}, 0, c.y.p);
        expect_bug("deadlock", CUDA_ERROR_LAUNCH_TIMEOUT, "1 threads at __syncthreads", false);
    }
}

TEST(leaving_before_a_barrier_is_strict) {
    Case loose("");
    launch(loose.bugs("leave_before_barrier"), {1}, {64}, 0, loose.y.p, 40);
    EXPECT(loose.y.host()[39] == 2.f && loose.y.host()[40] == 0.f);
    Case strict("strict");
    launch(strict.bugs("leave_before_barrier"), {1}, {64}, 0, strict.y.p, 40);
    expect_bug("leave_before_barrier", CUDA_ERROR_LAUNCH_FAILED, "have left the kernel");
}

TEST(faults_become_errors) {
    for (const char* mode : {"", "check"}) {
        {
            Case c(mode);
            launch(c.bugs("misaligned"), {1}, {32}, 0, c.y.p, c.x.p);
            expect_bug("misaligned", CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned", false);
        }
        {
            Case c(mode);
            launch(c.bugs("stack_overflow"), {1}, {32}, 0, c.y.p);
            expect_bug("stack_overflow", CUDA_ERROR_LAUNCH_FAILED, "stack overflow", false);
        }
        {
            Case c(mode);
            launch(c.bugs("division"), {1}, {32}, 0, c.y.p, -7);
            expect_bug("division", CUDA_ERROR_LAUNCH_FAILED, "division by zero");
        }
        {
            Case c(mode);
            launch(c.bugs("failed_assert"), {1}, {96}, 0, c.y.p);
            expect_bug("failed_assert", CUDA_ERROR_ASSERT, "assertion failed: threadIdx.x < 64");
        }
    }
}

TEST(faults_of_the_host_stay_its_own) {
    Case c("");
    launch(c.bugs("outside_far"), {1}, {32}, 0, c.y.p);
    EXPECT_CODE(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(host_fault_is_handled());
    EXPECT_CODE(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST(correct_kernels_are_not_accused) {
    for (const char* mode : {"check,strict", "check,random=1", "check,random=2,threads=1"}) {
        Case c(mode);
        launch(c.bugs("fine_warp"), {1}, {128}, 0, c.y.p, c.x.p);
        launch(c.bugs("fine_barriers"), {1}, {128}, 0, c.y.p, c.x.p, 300);
        OK(cuCtxSynchronize());
        auto x = numbers(1024, 1), y = c.y.host();
        for (size_t i = 0; i < 128; i++) EXPECT(y[i] == x[(i + 300) % 128]);
        Buffer<uint16_t> nx(std::vector<uint16_t>(512, 3)), ny(512);
        Buffer<uint8_t> bytes(512);
        launch(c.bugs("fine_neighbours"), {4}, {128}, 0, ny.p, bytes.p, nx.p);
        OK(cuCtxSynchronize());
        EXPECT(bytes.host()[300] == 300 % 128 + 1);
        EXPECT(std::string(cuEmulatorLastReport()).empty());
    }
}

TEST(each_place_is_reported_once) {
    Case c("check");
    launch(c.bugs("race_raw"), {50}, {128}, 0, c.y.p, c.x.p);
    EXPECT_CODE(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
    std::string report = cuEmulatorLastReport();
    size_t races = 0;
    for (size_t at = 0; (at = report.find("read after write", at)) != std::string::npos; at++) races++;
    EXPECT(races == 1);
}

TEST(an_allocator_may_mark_what_it_hands_out) {
    Case c("check");
    Buffer<float> block(std::vector<float>(1024, 1.f));
    CUdeviceptr tensor = block.p + 1024;
    OK(cuEmulatorMark(tensor, 512, 0, nullptr));
    launch(c.bugs("outside_global"), {1}, {128}, 0, tensor, c.x.p);
    expect_bug("outside_global", CUDA_ERROR_ILLEGAL_ADDRESS, "write out of bounds");
    Case d("check");
    Buffer<float> other(std::vector<float>(1024, 1.f));
    OK(cuEmulatorMark(other.p + 1024, 512, 1, nullptr));
    launch(d.bugs("unwritten_global"), {1}, {128}, 0, d.y.p, other.p + 1024);
    expect_bug("unwritten_global", CUDA_ERROR_LAUNCH_FAILED, "uninitialised");
}
