// Races. Two accesses to the same bytes, one of them a write, not both atomic, must be ordered:
//   by program order      (the same thread),
//   by __syncthreads      (the same block, another epoch),
//   by __syncwarp         (the same warp, another clock).
// Nothing orders two blocks of a launch. A cell keeps one write and one read; of readers it also knows whether there were
// several: 1 of one warp between two __syncwarps, 2 of several warps between two barriers, 3 of several blocks.
// Marks of earlier launches (and, in shared memory, of earlier blocks) are void by their number: nothing is ever cleared.
#include "check.h"
#include "memory.h"
#include "modules.h"
#include "symbols.h"
#include <cstring>
#include <sys/mman.h>

namespace emu {

static Shadow* shadow = nullptr;
static Cell* cells = nullptr;
static uint64_t arena = 0;

static void* reserve(size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    madvise(p, bytes, MADV_DONTDUMP);
    return p;
}

bool open_shadow(uint64_t base) {
    if (shadow) return true;
    shadow = (Shadow*)reserve(arena_bytes);
    cells = (Cell*)reserve(arena_bytes / 2 * sizeof(Cell));
    arena = base;
    return shadow && cells;
}

void set_shadow(CUdeviceptr p, size_t n, Shadow value) {
    if (shadow) memset((void*)(shadow + (p - arena)), (int)value, n);
}

bool is_written(CUdeviceptr p, size_t n) {
    for (size_t i = 0; shadow && i < n; i++)
        if (shadow[p - arena + i] != Shadow::Written) return false;
    return true;
}

void copy_shadow(CUdeviceptr to, CUdeviceptr from, size_t n) {
    if (shadow) memmove((void*)(shadow + (to - arena)), (void*)(shadow + (from - arena)), n);
}

void prepare_shadow(Worker& w) {
    if (!w.shadow) w.shadow = new SharedShadow;
    const Image& image = *w.launch->kernel->image;
    w.shadow->fixed.assign(w.shared_bytes, Shadow::Forbidden);
    if (w.shadow->fixed_cells.size() <= w.shared_bytes / 2) w.shadow->fixed_cells.resize(w.shared_bytes / 2 + 1);
    w.shadow->dynamic.assign(w.launch->dynamic_shared, Shadow::Unwritten);
    if (w.shadow->dynamic_cells.size() <= w.launch->dynamic_shared / 2) w.shadow->dynamic_cells.resize(w.launch->dynamic_shared / 2 + 1);
    for (auto& v : image.shared) memset((void*)(w.shadow->fixed.data() + v.offset), (int)Shadow::Unwritten, v.bytes);
}

void clear_shadow(Worker& w) {
    for (auto& r : w.launch->shared) memset((void*)(w.shadow->fixed.data() + r.offset), (int)Shadow::Unwritten, r.bytes);
    memset((void*)w.shadow->dynamic.data(), (int)Shadow::Unwritten, w.shadow->dynamic.size());
}

static bool same_warp(const Mark& a, const Mark& b) { return a.thread / warp_lanes == b.thread / warp_lanes; }

static bool stale(const Mark& m, const Mark& now, bool shared) { return m.launch != now.launch || (shared && m.block != now.block); }

/// Is an earlier access (neither stale nor to other bytes) unordered with `now`?
static bool unordered(const Mark& m, const Mark& now) {
    if (m.several == 3 || m.block != now.block) return true;
    if (m.epoch != now.epoch) return false;
    if (m.several == 2) return true;
    if (!same_warp(m, now)) return true;
    return m.clock == now.clock && (m.several == 1 || m.thread != now.thread);
}

/// The read mark after `now` has read: remembers several readers where they matter to a later writer.
static Mark with_reader(const Mark& m, Mark now, bool shared) {
    now.several = 0;
    if (stale(m, now, shared) || !(m.bytes & now.bytes)) return now;
    if (m.several == 3 || m.block != now.block) now.several = 3;
    else if (m.epoch != now.epoch) now.several = 0;
    else if (m.several == 2 || !same_warp(m, now)) now.several = 2;
    else if (m.clock == now.clock && (m.several == 1 || m.thread != now.thread)) now.several = 1;
    return now;
}

static std::string other_thread(const Mark& m, const Worker& w, const char* did) {
    std::string text = std::string("; ") + thread_name(w, m.thread);
    Index3 grid = w.launch->grid;
    if (m.block != (uint32_t)w.block_number)
        text += " of block (" + std::to_string(m.block % grid.x) + "," + std::to_string(m.block / grid.x % grid.y) + "," + std::to_string(m.block / grid.x / grid.y) + ")";
    return text + " " + did + " it, and nothing orders the two";
}

/// Where an access went; put into words only when there is something to report.
struct Target { enum Space { Global, Fixed, Dynamic } space; uint64_t address, offset; unsigned bytes; };

static std::string in_words(const Worker& w, const Target& t) {
    char place[160];
    if (t.space == Target::Global) return "; " + std::to_string(t.bytes) + " bytes, " + describe_address(t.address, place, sizeof place);
    if (t.space == Target::Dynamic) return "; dynamic shared memory + " + std::to_string((int64_t)t.offset) + " bytes of " + std::to_string(w.launch->dynamic_shared);
    std::string name = shared_name(*w.launch->kernel->image, t.offset);
    return name.empty() ? "; outside every __shared__ variable" : "; " + name;
}

static void check_race(Worker& w, Cell* first, const Target& t, Access access, uint64_t instruction) {
    bool shared = t.space != Target::Global;
    uint64_t offset = t.offset;
    unsigned n = t.bytes;
    ThreadContext* c = this_thread();
    Mark now{};
    now.launch = w.launch->id;
    now.atomic = access == Access::Atomic;
    now.block = (uint32_t)w.block_number;
    now.thread = c->index;
    now.epoch = w.epoch;
    now.clock = w.warp[c->warp].clock;
    const char* space = shared ? "shared-memory race" : "global-memory race";
    for (uint64_t at = offset & ~1ull; at < offset + n; at += 2) {
        Cell& cell = first[at / 2];
        now.bytes = (at >= offset ? 1u : 0u) | (at + 1 < offset + n ? 2u : 0u);
        const Mark &wrote = cell.write, &read = cell.read;
        if (!stale(wrote, now, shared) && wrote.bytes & now.bytes && !(wrote.atomic && now.atomic) && unordered(wrote, now)) {
            note(w, CUDA_ERROR_LAUNCH_FAILED, std::string(space) + (access == Access::Read ? " (read after write)" : " (write after write)"), instruction,
                 in_words(w, t) + other_thread(wrote, w, "wrote"));
            return;
        }
        if (access != Access::Read && !stale(read, now, shared) && read.bytes & now.bytes && unordered(read, now)) {
            note(w, CUDA_ERROR_LAUNCH_FAILED, std::string(space) + " (write after read)", instruction, in_words(w, t) + other_thread(read, w, "read"));
            return;
        }
        if (access == Access::Read) cell.read = with_reader(read, now, shared);
        else cell.write = now;
    }
}

/// Bounds and initialisation; true if the access may go on to be checked for races.
static bool check_bytes(Worker& w, Shadow* s, const Target& t, Access access, uint64_t instruction) {
    const char* space = t.space == Target::Global ? "global memory" : "shared memory";
    for (unsigned i = 0; i < t.bytes; i++) {
        if (s[i] == Shadow::Forbidden || s[i] == Shadow::Freed)
            note(w, CUDA_ERROR_ILLEGAL_ADDRESS, std::string(space) + (access == Access::Read ? ": read out of bounds" : ": write out of bounds"), instruction,
                 in_words(w, t), true);
        if (access == Access::Write) s[i] = Shadow::Written;
        else if (s[i] != Shadow::Written) {
            note(w, CUDA_ERROR_LAUNCH_FAILED,
                 std::string(space) + (s[i] == Shadow::Pending ? ": read of bytes that a copy in the background is still writing (no wait)" : ": read of uninitialised bytes"),
                 instruction, in_words(w, t));
            return false;
        }
    }
    return true;
}

static void check_target(Worker& w, Shadow* s, Cell* first, const Target& t, Access access, uint64_t instruction) {
    if (check_bytes(w, s + t.offset, t, access, instruction)) check_race(w, first, t, access, instruction);
}

void check_access(Worker& w, uint64_t address, unsigned n, Access access, uint64_t instruction) {
    if (address - (uint64_t)w.stacks < stack_bytes * max_block) return;
    if (in_arena(address)) return check_target(w, shadow, cells, {Target::Global, address, address - arena, n}, access, instruction);
    if (address - (uint64_t)w.shared < w.shared_bytes) {
        Target t{Target::Fixed, address, address - (uint64_t)w.shared, n};
        if (t.offset + n > w.shared_bytes) t.bytes = (unsigned)(w.shared_bytes - t.offset);
        return check_target(w, w.shadow->fixed.data(), w.shadow->fixed_cells.data(), t, access, instruction);
    }
    if (address >= w.dynamic_begin && address < (uint64_t)w.dynamic_end + page) {
        Target t{Target::Dynamic, address, address - (uint64_t)w.dynamic, n};
        if (address < (uint64_t)w.dynamic || t.offset + n > w.launch->dynamic_shared)
            note(w, CUDA_ERROR_ILLEGAL_ADDRESS, access == Access::Read ? "shared memory: read out of bounds" : "shared memory: write out of bounds", instruction, in_words(w, t), true);
        return check_target(w, w.shadow->dynamic.data(), w.shadow->dynamic_cells.data(), t, access, instruction);
    }
    const Image& image = *w.launch->kernel->image;
    if ((address >= image.begin && address < image.end) || is_pinned((void*)address, n)) return;
    if (address < page) return;   // a null pointer faults on its own, with the same report
    note(w, CUDA_ERROR_ILLEGAL_ADDRESS, "access to memory of the host", instruction, "", true);
}

static void mark_shared(Worker& w, uint64_t address, unsigned n, Shadow value) {
    if (address - (uint64_t)w.shared < w.shared_bytes) memset((void*)(w.shadow->fixed.data() + (address - (uint64_t)w.shared)), (int)value, n);
    else if (address - (uint64_t)w.dynamic < w.launch->dynamic_shared) memset((void*)(w.shadow->dynamic.data() + (address - (uint64_t)w.dynamic)), (int)value, n);
}

void mark_pending(Worker& w, uint64_t address, unsigned n) { mark_shared(w, address, n, Shadow::Pending); }

void mark_landed(Worker& w, uint64_t address, unsigned n) { mark_shared(w, address, n, Shadow::Written); }

} // namespace emu
