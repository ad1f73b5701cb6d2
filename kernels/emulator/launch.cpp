// cuLaunchKernel: limits, arguments, and the blocks on the workers.
#include "launch.h"
#include "block.h"
#include "check.h"
#include "device.h"
#include "memory.h"
#include "modules.h"
#include "options.h"
#include "streams.h"
#include "symbols.h"
#include "workers.h"
#include <cstring>
#include <sys/mman.h>

namespace emu {

static std::string in_brackets(Index3 i) { return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")"; }

static Index3 thread_place(const Worker& w, unsigned i) {
    Index3 dim = w.launch->block;
    return {i % dim.x, i / dim.x % dim.y, i / dim.x / dim.y};
}

std::string thread_name(const Worker& w, unsigned thread) { return "thread " + in_brackets(thread_place(w, thread)); }

void note_for(Worker& w, unsigned thread, CUresult code, const std::string& what, uint64_t address, const std::string& other, bool fatal) {
    Launch& launch = *w.launch;
    {
        std::lock_guard<std::mutex> hold(launch.lock);
        bool known = launch.findings.size() >= max_findings;
        for (auto& f : launch.findings) known = known || (f.address == address && f.what == what);
        if (!known) launch.findings.push_back({code, what, address, w.block, thread_place(w, thread), other});
    }
    launch.failed = true;
    if (!fatal) return;
    w.failed = true;
    void* abandoned;
    emu_switch(&abandoned, w.scheduler);
}

void note(Worker& w, CUresult code, const std::string& what, uint64_t address, const std::string& other, bool fatal) {
    note_for(w, this_thread()->index, code, what, address, other, fatal);
}

static constexpr size_t dynamic_room = (shared_limit + page - 1) & ~(page - 1);

void begin_launch(Worker& w, Launch& launch) {
    w.launch = &launch;
    const Image& image = *launch.kernel->image;
    w.shared = (uint8_t*)image.anchor() - image.anchor_offset;
    w.shared_bytes = image.shared_bytes;
    if (!w.dynamic_begin) {
        auto* p = (uint8_t*)mmap(nullptr, dynamic_room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(p + dynamic_room, page, PROT_NONE);
        w.dynamic_begin = (uint64_t)p;
        w.dynamic_end = p + dynamic_room;
    }
    w.dynamic = w.dynamic_end - ((launch.dynamic_shared + 127) & ~(size_t)127);   // as aligned as DYN_SMEM promises
    if (launch.checked) prepare_shadow(w);
}

static void run_blocks(Worker& w, Launch& launch) {
    begin_launch(w, launch);
    while (!launch.failed) {
        uint64_t i = launch.next.fetch_add(1, std::memory_order_relaxed);
        if (i >= launch.blocks) break;
        if (launch.checked) clear_shadow(w);
        run_block(w, launch.order.empty() ? i : launch.order[i]);
    }
}

static std::vector<uint32_t> shuffled(uint64_t count, uint32_t seed) {
    std::vector<uint32_t> order(count);
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    uint64_t random = seed * 0x9E3779B97F4A7C15ull + 1;
    for (uint64_t i = count; i-- > 1;) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(order[i], order[(random >> 33) % (i + 1)]);
    }
    return order;
}

static void report(const Launch& launch) {
    for (const Finding& f : launch.findings) {
        bool after_call = true;   // the address noted is the one a call returns to; a fault's was moved to look alike
        std::string source = source_of(*launch.kernel->image, f.address, after_call);
        fail(f.code, f.what + ": kernel " + launch.kernel->name + ", " + (source.empty() ? "line unknown" : source) + ", block " + in_brackets(f.block) + ", thread " +
                         in_brackets(f.thread) + f.other);
    }
}

/// What a launch needs when its turn comes; its arguments were copied when it was made.
struct Request {
    std::shared_ptr<const Kernel> kernel;
    Index3 grid, block;
    size_t dynamic_shared;
    std::vector<max_align_t> bytes;
    std::vector<size_t> offsets;
};

static void run(const Request& r) {
    static uint32_t launches = 0;
    const Options& o = options();
    std::vector<max_align_t> bytes = r.bytes;   // a kernel may write to its parameters
    std::vector<void*> arguments;
    for (size_t offset : r.offsets) arguments.push_back((char*)bytes.data() + offset);
    Launch launch;
    launch.run = r.kernel->info->run;
    launch.arguments = arguments.data();
    launch.grid = r.grid;
    launch.block = r.block;
    launch.dynamic_shared = r.dynamic_shared;
    launch.kernel = r.kernel.get();
    launch.shared = r.kernel->shared;
    launch.id = ++launches & 0x7ffffff;
    launch.checked = o.check && r.kernel->image->checked;
    launch.strict = o.strict;
    launch.random = o.random;
    launch.seed = o.seed;
    launch.blocks = (uint64_t)r.grid.x * r.grid.y * r.grid.z;
    if (o.random && launch.blocks < 1u << 24) launch.order = shuffled(launch.blocks, o.seed + launch.id);
    unsigned workers = launch.blocks < o.threads ? (unsigned)launch.blocks : o.threads;
    run_on_workers(workers, [&](Worker& w) { run_blocks(w, launch); });
    if (launch.failed) report(launch);
}

} // namespace emu

using namespace emu;

API CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                            unsigned shared, CUstream stream, void** arguments, void** extra) {
    if (CUresult e = device_error()) return e;
    Function* f = find_function(handle);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    const Kernel& k = *f->kernel;
    uint64_t threads = (uint64_t)block_x * block_y * block_z;
    auto at = [&] { return "launch of " + k.name + ": "; };
    if (!grid_x || !grid_y || !grid_z || grid_x > 2147483647u || grid_y > 65535 || grid_z > 65535)
        return refuse(CUDA_ERROR_INVALID_VALUE, at() + "grid " + in_brackets({grid_x, grid_y, grid_z}) + " is outside 1..(2147483647,65535,65535)");
    if (threads == 0 || block_x > 1024 || block_y > 1024 || block_z > 64 || threads > max_block)
        return refuse(CUDA_ERROR_INVALID_VALUE, at() + "block " + in_brackets({block_x, block_y, block_z}) + " is outside 1..(1024,1024,64) or 1024 threads in all");
    if (k.info->max_threads > 0 && threads > (uint64_t)k.info->max_threads)
        return refuse(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, at() + std::to_string(threads) + " threads exceed __launch_bounds__(" + std::to_string(k.info->max_threads) + ")");
    if (shared > f->max_dynamic)
        return refuse(CUDA_ERROR_INVALID_VALUE, at() + std::to_string(shared) + " bytes of dynamic shared memory, " + std::to_string(f->max_dynamic) +
                                                    " allowed (raise CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)");
    if (extra || (k.info->arguments > 0 && !arguments)) return CUDA_ERROR_INVALID_VALUE;
    auto r = std::make_shared<Request>();
    r->kernel = f->kernel;
    r->grid = {grid_x, grid_y, grid_z};
    r->block = {block_x, block_y, block_z};
    r->dynamic_shared = shared;
    size_t bytes = 0;
    for (int i = 0; i < k.info->arguments; i++) {
        r->offsets.push_back(bytes);
        bytes += ((size_t)k.info->sizes[i] + 15) & ~(size_t)15;
    }
    r->bytes.resize(bytes / sizeof(max_align_t) + 1);
    for (size_t i = 0; i < r->offsets.size(); i++) {
        if (!arguments[i]) return CUDA_ERROR_INVALID_VALUE;
        memcpy((char*)r->bytes.data() + r->offsets[i], arguments[i], (size_t)k.info->sizes[i]);
    }
    return enqueue(stream, [r] { run(*r); });
}
