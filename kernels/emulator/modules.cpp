#include "modules.h"
#include "compiler.h"
#include "device.h"
#include "handles.h"
#include "memory.h"
#include "options.h"
#include "streams.h"
#include "symbols.h"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <iterator>
#include <link.h>
#include <set>
#include <sstream>
#include <sys/mman.h>
#include <unistd.h>

extern "C" const char emu_shim[], emu_shim_end[];

namespace emu {

static Handles<Module>& modules = *new Handles<Module>;
static Handles<Function>& functions = *new Handles<Function>;

Function* find_function(CUfunction handle) { return functions.has(handle) ? handle : nullptr; }

uint64_t shim_build() {
    uint64_t hash = 14695981039346656037ull;   // FNV-1a
    for (const char* p = emu_shim; p < emu_shim_end; p++) hash = (hash ^ (uint8_t)*p) * 1099511628211ull;
    for (const char* p = cpu_flag(); *p; p++) hash = (hash ^ (uint8_t)*p) * 1099511628211ull;   // a cache may travel between machines
    return hash;
}

Image::~Image() {
    if (library) dlclose(library);
    // A library the loader keeps is found again by its path, whatever lies there: its file number must not be used again.
    bool kept = library && dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (file >= 0 && !kept) close(file);
}

/// The addresses of the library that holds `anchor`.
static void find_extent(Image& image) {
    struct Search { Image* image; uint64_t inside; } search{&image, (uint64_t)image.anchor};
    dl_iterate_phdr([](dl_phdr_info* info, size_t, void* data) {
        auto& s = *(Search*)data;
        uint64_t begin = ~0ull, end = 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
            auto& h = info->dlpi_phdr[i];
            if (h.p_type != PT_LOAD) continue;
            if (info->dlpi_addr + h.p_vaddr < begin) begin = info->dlpi_addr + h.p_vaddr;
            if (info->dlpi_addr + h.p_vaddr + h.p_memsz > end) end = info->dlpi_addr + h.p_vaddr + h.p_memsz;
        }
        if (s.inside < begin || s.inside >= end) return 0;
        s.image->begin = info->dlpi_addr;   // what addr2line counts from
        s.image->end = end;
        return 1;
    }, &search);
}

static std::shared_ptr<Image> load(const ImageHeader& head, const uint8_t* bytes, std::string& error) {
    auto image = std::make_shared<Image>();
    image->file = memfd_create("cuda-emulator-kernel", MFD_CLOEXEC);
    for (size_t done = 0; done < head.bytes;) {
        ssize_t n = write(image->file, bytes + done, head.bytes - done);
        if (n <= 0) return error = "no memory for the image", nullptr;
        done += (size_t)n;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), image->file);   // good for addr2line and gdb too
    image->path = path;
    image->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!image->library) return error = dlerror(), nullptr;
    image->anchor = (char* (*)())dlsym(image->library, "emu_anchor_address");
    image->checked = head.checked;
    if (!image->anchor || !read_symbols(*image, bytes, head.bytes)) return error = "not a kernel library", nullptr;
    find_extent(*image);
    return image;
}

static std::shared_ptr<Kernel> make_kernel(const std::shared_ptr<Image>& image, const char* name) {
    auto* info = (const KernelInfo*)dlsym(image->library, (std::string("emu_kernel_") + name).c_str());
    if (!info) return nullptr;
    auto k = std::make_shared<Kernel>();
    k->image = image;
    k->info = info;
    auto* owner = (const char**)dlsym(image->library, (std::string("emu_base_") + name).c_str());
    k->name = owner ? *owner : name;
    auto* used = (const char*)dlsym(image->library, (std::string("emu_shared_") + name).c_str());
    std::istringstream symbols(used ? used : "");
    const std::set<std::string> own{std::istream_iterator<std::string>(symbols), {}};
    for (auto& v : image->shared) {
        if (!own.count(v.symbol)) continue;
        k->shared.push_back({v.offset, v.bytes});
        k->static_shared += v.bytes;
    }
    return k;
}

} // namespace emu

using namespace emu;

API CUresult cuModuleLoadDataEx(CUmodule* to, const void* data, unsigned, int*, void**) {
    if (CUresult e = device_error()) return e;
    if (!to || !data) return CUDA_ERROR_INVALID_VALUE;
    ImageHeader head;
    memcpy(&head, data, 4);
    if (memcmp(&head, image_magic, 4) != 0) return refuse(CUDA_ERROR_INVALID_IMAGE, "not an image of the emulator's nvrtcCompileProgram");
    memcpy(&head, data, sizeof head);
    if (memcmp(head.magic, image_magic, 8) != 0 || head.build != shim_build())
        return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, "the image was compiled by another build of the emulator, or for another CPU: compile it again");
    if (options().check && !head.checked) return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, "the image was compiled without checks: compile it again in check mode");
    std::string error;
    auto image = load(head, (const uint8_t*)data + sizeof head, error);
    if (!image) return refuse(CUDA_ERROR_INVALID_IMAGE, "the image cannot be loaded: " + error);
    *to = modules.add(new Module{image, {}});
    return CUDA_SUCCESS;
}

API CUresult cuModuleUnload(CUmodule module) {
    if (CUresult e = context_error()) return e;
    if (!modules.remove(module)) return CUDA_ERROR_INVALID_HANDLE;
    for (auto& f : module->functions) functions.remove(f.second.get());
    delete module;   // launches that are queued or captured keep the image
    return sticky_error();
}

API CUresult cuModuleGetFunction(CUfunction* to, CUmodule module, const char* name) {
    if (CUresult e = device_error()) return e;
    if (!to || !name) return CUDA_ERROR_INVALID_VALUE;
    if (!modules.has(module)) return CUDA_ERROR_INVALID_HANDLE;
    std::lock_guard<std::recursive_mutex> hold(device_lock());
    auto& f = module->functions[name];
    if (!f) {
        auto kernel = make_kernel(module->image, name);
        if (!kernel) {
            module->functions.erase(name);
            return refuse(CUDA_ERROR_NOT_FOUND, std::string("the module has no kernel ") + name + " (extern \"C\", or a lowered name)");
        }
        if (kernel->static_shared > static_shared_limit) {
            module->functions.erase(name);
            return refuse(CUDA_ERROR_INVALID_IMAGE, std::string(name) + ": more than 48 KB of static shared memory; take it dynamically");
        }
        f.reset(new Function{kernel, static_shared_limit - kernel->static_shared});
        functions.add(f.get());
    }
    *to = f.get();
    return CUDA_SUCCESS;
}

API CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction handle) {
    if (CUresult e = device_error()) return e;
    Function* f = find_function(handle);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (!value) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = f->kernel->info->max_threads > 0 ? f->kernel->info->max_threads : 1024; break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = (int)f->kernel->static_shared; break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;   // not known: nothing allocates registers here
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = (int)options().capability; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = (int)f->max_dynamic; break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = -1; break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: *value = 0; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API CUresult cuFuncSetAttribute(CUfunction handle, int attribute, int value) {
    if (CUresult e = device_error()) return e;
    Function* f = find_function(handle);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0) return CUDA_ERROR_INVALID_VALUE;
    if ((size_t)value + f->kernel->static_shared > shared_limit)
        return refuse(CUDA_ERROR_INVALID_VALUE, f->kernel->name + ": " + std::to_string(value) + " bytes of dynamic shared memory exceed the device's 227 KB");
    f->max_dynamic = (size_t)value;
    return CUDA_SUCCESS;
}

API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int threads, size_t dynamic_shared) {
    if (CUresult e = device_error()) return e;
    Function* f = find_function(handle);
    if (!f) return CUDA_ERROR_INVALID_HANDLE;
    if (!blocks || threads < 1) return CUDA_ERROR_INVALID_VALUE;
    size_t shared = f->kernel->static_shared + dynamic_shared + 1024;   // each block costs 1 KB more
    int by_threads = threads > 1024 ? 0 : 2048 / ((threads + 31) & ~31);
    int by_shared = (int)(shared_per_multiprocessor / shared);
    *blocks = by_threads < by_shared ? by_threads : by_shared;
    if (*blocks > 32) *blocks = 32;
    return CUDA_SUCCESS;
}
