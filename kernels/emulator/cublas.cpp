// cublasLt: descriptors, and the products they describe. What is not supported is refused (15) and never approximated.
#include "cuda_abi.h"
#include "check.h"
#include "device.h"
#include "errors.h"
#include "handles.h"
#include "memory.h"
#include "options.h"
#include "product.h"
#include "streams.h"
#include <cstring>
#include <string>
#include <utility>

struct LtContext { int unused = 0; };
struct MatmulDesc {
    int compute, scale, pointer_mode = CUBLASLT_POINTER_MODE_HOST, transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
    int epilogue = EPILOGUE_DEFAULT, bias_type = -1, aux_type = -1;
    void *bias = nullptr, *aux = nullptr;
    int64_t bias_stride = 0, aux_ld = 0, aux_stride = 0;
};
struct MatrixLayout { int type, order = CUBLASLT_ORDER_COL; uint64_t rows, columns; int64_t ld; int batches = 1; int64_t stride = 0; };
struct MatmulPreference { uint64_t workspace = 0; };

namespace emu {

static Handles<LtContext>& contexts = *new Handles<LtContext>;
static Handles<MatmulDesc>& descs = *new Handles<MatmulDesc>;
static Handles<MatrixLayout>& layouts = *new Handles<MatrixLayout>;
static Handles<MatmulPreference>& preferences = *new Handles<MatmulPreference>;

template <class T> static cublasStatus set(T& to, const void* from, size_t bytes) {
    if (bytes < sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&to, from, sizeof(T));
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> static cublasStatus destroy(Handles<T>& handles, T* handle) {
    if (!handles.remove(handle)) return CUBLAS_STATUS_INVALID_VALUE;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

static View view_of(const MatrixLayout& l, void* data) {
    bool rows = l.order == CUBLASLT_ORDER_ROW;
    return {data, l.type, rows ? l.ld : 1, rows ? 1 : l.ld, l.stride};
}

static bool sound(const MatrixLayout& l) {
    int64_t least = (int64_t)(l.order == CUBLASLT_ORDER_ROW ? l.columns : l.rows);
    return (l.order == CUBLASLT_ORDER_COL || l.order == CUBLASLT_ORDER_ROW) && l.rows > 0 && l.columns > 0 && l.ld >= least && l.batches >= 1;
}

/// What the descriptors ask for, without data; or why not.
static cublasStatus plan(const MatmulDesc* desc, const MatrixLayout* a, const MatrixLayout* b, const MatrixLayout* c, const MatrixLayout* d, Product& p) {
    if (!descs.has(const_cast<MatmulDesc*>(desc))) return CUBLAS_STATUS_INVALID_VALUE;
    for (auto* l : {a, b, c, d})
        if (!layouts.has(const_cast<MatrixLayout*>(l)) || !sound(*l)) return CUBLAS_STATUS_INVALID_VALUE;
    bool ta = desc->transpose_a != CUBLAS_OP_N, tb = desc->transpose_b != CUBLAS_OP_N;
    p.m = ta ? a->columns : a->rows;
    p.k = ta ? a->rows : a->columns;
    p.n = tb ? b->rows : b->columns;
    p.batches = (size_t)d->batches;
    if ((tb ? b->columns : b->rows) != p.k || d->rows != p.m || d->columns != p.n || c->rows != p.m || c->columns != p.n) return CUBLAS_STATUS_INVALID_VALUE;
    for (auto* l : {a, b, c})
        if (l->batches != d->batches) return CUBLAS_STATUS_INVALID_VALUE;
    for (auto* l : {a, b, c, d})
        if (!element_bytes(l->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    bool computes = desc->compute == CUBLAS_COMPUTE_32F || desc->compute == CUBLAS_COMPUTE_32F_PEDANTIC || desc->compute == CUBLAS_COMPUTE_32F_FAST_16F ||
                    desc->compute == CUBLAS_COMPUTE_32F_FAST_16BF || desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    bool types = a->type == b->type && c->type == d->type && (d->type == a->type || d->type == CUDA_R_32F);
    int known = EPILOGUE_DEFAULT | EPILOGUE_RELU | EPILOGUE_BIAS | EPILOGUE_GELU | EPILOGUE_AUX;
    bool relu = desc->epilogue & EPILOGUE_RELU, gelu = desc->epilogue & EPILOGUE_GELU, aux = desc->epilogue & EPILOGUE_AUX;
    if (!computes || !types || desc->scale != CUDA_R_32F || desc->epilogue & ~known || (relu && gelu) || (aux && !gelu) ||
        (desc->epilogue & EPILOGUE_DEFAULT && desc->epilogue != EPILOGUE_DEFAULT) || desc->pointer_mode > CUBLASLT_POINTER_MODE_DEVICE) return CUBLAS_STATUS_NOT_SUPPORTED;
    p.a = view_of(*a, nullptr);
    p.b = view_of(*b, nullptr);
    p.c = view_of(*c, nullptr);
    p.d = view_of(*d, nullptr);
    if (ta) std::swap(p.a.row, p.a.column);
    if (tb) std::swap(p.b.row, p.b.column);
    p.relu = relu;
    p.gelu = gelu;
    p.tf32 = desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a->type == CUDA_R_32F;
    if (desc->epilogue & EPILOGUE_BIAS) {
        if (!desc->bias) return CUBLAS_STATUS_INVALID_VALUE;
        p.bias = {desc->bias, desc->bias_type < 0 ? d->type : desc->bias_type, 1, 0, desc->bias_stride};
        if (!element_bytes(p.bias.type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (aux) {
        bool rows = d->order == CUBLASLT_ORDER_ROW;
        if (!desc->aux || desc->aux_ld < (int64_t)(rows ? p.n : p.m) || desc->aux_ld % 8) return CUBLAS_STATUS_INVALID_VALUE;
        p.aux = {desc->aux, desc->aux_type < 0 ? d->type : desc->aux_type, rows ? desc->aux_ld : 1, rows ? 1 : desc->aux_ld, desc->aux_stride};
        if (!element_bytes(p.aux.type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/// Is all a product reads or writes device memory (and, in check mode, written before it is read)?
static bool touch(const View& v, size_t rows, size_t columns, size_t batches, bool write, const char* name) {
    if (!v.data || rows == 0) return true;
    size_t bytes = element_bytes(v.type), run = v.row == 1 ? rows : columns, runs = v.row == 1 ? columns : rows;
    auto stride = (size_t)(v.row == 1 ? v.column : v.row);
    for (size_t b = 0; b < batches; b++)
        for (size_t i = 0; i < runs; i++) {
            CUdeviceptr at = (CUdeviceptr)v.data + ((uint64_t)((int64_t)b * v.batch) + i * stride) * bytes;
            if (i == 0 || i + 1 == runs || options().check) {
                if (!is_device(at, run * bytes)) {
                    char place[160];
                    fail(CUDA_ERROR_ILLEGAL_ADDRESS, std::string("cublasLtMatmul: ") + name + " reaches outside device memory: " + describe_address(at + run * bytes - 1, place, sizeof place));
                    return false;
                }
                if (!options().check) continue;
                if (write) set_shadow(at, run * bytes, Shadow::Written);
                else if (!is_written(at, run * bytes)) {
                    fail(CUDA_ERROR_LAUNCH_FAILED, std::string("cublasLtMatmul: ") + name + " holds uninitialised elements");
                    return false;
                }
            }
        }
    return true;
}

static void run(Product p, const float* device_alpha, const float* device_beta) {
    if (device_alpha) p.alpha = *device_alpha;
    if (device_beta) p.beta = *device_beta;
    bool reads = touch(p.a, p.m, p.k, p.batches, false, "A") && touch(p.b, p.k, p.n, p.batches, false, "B") &&
                 (p.beta == 0 || touch(p.c, p.m, p.n, p.batches, false, "C")) && touch(p.bias, p.bias.data ? p.m : 0, 1, p.batches, false, "the bias");
    if (reads && touch(p.d, p.m, p.n, p.batches, true, "D") && touch(p.aux, p.m, p.n, p.batches, true, "the auxiliary output")) multiply(p);
}

} // namespace emu

using namespace emu;

API cublasStatus cublasLtCreate(LtContext** to) {
    if (!to) return CUBLAS_STATUS_INVALID_VALUE;
    if (context_error()) return CUBLAS_STATUS_NOT_INITIALIZED;
    *to = contexts.add(new LtContext);
    return CUBLAS_STATUS_SUCCESS;
}
API cublasStatus cublasLtDestroy(LtContext* context) { return destroy(contexts, context); }
API size_t cublasLtGetVersion(void) { return 120400; }

API const char* cublasLtGetStatusString(cublasStatus status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "CUBLAS_STATUS unknown";
}

API cublasStatus cublasLtMatmulDescCreate(MatmulDesc** to, int compute, int scale) {
    if (!to) return CUBLAS_STATUS_INVALID_VALUE;
    auto* desc = new MatmulDesc;
    desc->compute = compute;
    desc->scale = scale;
    *to = descs.add(desc);
    return CUBLAS_STATUS_SUCCESS;
}
API cublasStatus cublasLtMatmulDescDestroy(MatmulDesc* desc) { return destroy(descs, desc); }

API cublasStatus cublasLtMatmulDescSetAttribute(MatmulDesc* d, int attribute, const void* from, size_t bytes) {
    if (!descs.has(d) || !from) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case 0: return set(d->compute, from, bytes);
    case 1: return set(d->scale, from, bytes);
    case 2: return set(d->pointer_mode, from, bytes);
    case 3: return set(d->transpose_a, from, bytes);
    case 4: return set(d->transpose_b, from, bytes);
    case 7: return set(d->epilogue, from, bytes);
    case 8: return set(d->bias, from, bytes);
    case 10: return set(d->bias_stride, from, bytes);
    case 11: return set(d->aux, from, bytes);
    case 12: return set(d->aux_ld, from, bytes);
    case 13: return set(d->aux_stride, from, bytes);
    case 15: return CUBLAS_STATUS_SUCCESS;   // SM_COUNT_TARGET
    case 22: return set(d->aux_type, from, bytes);
    case 26: return set(d->bias_type, from, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

API cublasStatus cublasLtMatrixLayoutCreate(MatrixLayout** to, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    if (!to) return CUBLAS_STATUS_INVALID_VALUE;
    *to = layouts.add(new MatrixLayout{type, CUBLASLT_ORDER_COL, rows, columns, ld});
    return CUBLAS_STATUS_SUCCESS;
}
API cublasStatus cublasLtMatrixLayoutDestroy(MatrixLayout* layout) { return destroy(layouts, layout); }

API cublasStatus cublasLtMatrixLayoutSetAttribute(MatrixLayout* l, int attribute, const void* from, size_t bytes) {
    if (!layouts.has(l) || !from) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case 0: return set(l->type, from, bytes);
    case 1: return set(l->order, from, bytes);
    case 2: return set(l->rows, from, bytes);
    case 3: return set(l->columns, from, bytes);
    case 4: return set(l->ld, from, bytes);
    case 5: return set(l->batches, from, bytes);
    case 6: return set(l->stride, from, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

API cublasStatus cublasLtMatmulPreferenceCreate(MatmulPreference** to) {
    if (!to) return CUBLAS_STATUS_INVALID_VALUE;
    *to = preferences.add(new MatmulPreference);
    return CUBLAS_STATUS_SUCCESS;
}
API cublasStatus cublasLtMatmulPreferenceDestroy(MatmulPreference* preference) { return destroy(preferences, preference); }

API cublasStatus cublasLtMatmulPreferenceSetAttribute(MatmulPreference* p, int attribute, const void* from, size_t bytes) {
    if (!preferences.has(p) || !from || attribute < 0 || attribute > 12) return CUBLAS_STATUS_INVALID_VALUE;
    return attribute == 1 ? set(p->workspace, from, bytes) : CUBLAS_STATUS_SUCCESS;   // the others choose among algorithms
}

API cublasStatus cublasLtMatmulAlgoGetHeuristic(LtContext* context, const MatmulDesc* desc, const MatrixLayout* a, const MatrixLayout* b, const MatrixLayout* c,
                                                const MatrixLayout* d, MatmulPreference* preference, int requested, cublasLtMatmulHeuristicResult_t* results, int* returned) {
    if (!contexts.has(context)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (requested < 1 || !results || !returned || !preferences.has(preference)) return CUBLAS_STATUS_INVALID_VALUE;
    *returned = 0;
    Product p;
    if (cublasStatus s = plan(desc, a, b, c, d, p)) return s;
    memset(results, 0, sizeof *results);
    results[0].algo.data[0] = 1;
    results[0].state = CUBLAS_STATUS_SUCCESS;
    results[0].waves_count = 1;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus cublasLtMatmul(LtContext* context, const MatmulDesc* desc, const void* alpha, const void* a, const MatrixLayout* a_layout, const void* b, const MatrixLayout* b_layout,
                                const void* beta, const void* c, const MatrixLayout* c_layout, void* d, const MatrixLayout* d_layout, const cublasLtMatmulAlgo_t*, void*, size_t,
                                CUstream stream) {
    if (!contexts.has(context)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!alpha || !beta || !a || !b || !d) return CUBLAS_STATUS_INVALID_VALUE;
    Product p;
    if (cublasStatus s = plan(desc, a_layout, b_layout, c_layout, d_layout, p)) return s;
    p.a.data = const_cast<void*>(a);
    p.b.data = const_cast<void*>(b);
    p.c.data = const_cast<void*>(c);
    p.d.data = d;
    bool device = desc->pointer_mode == CUBLASLT_POINTER_MODE_DEVICE;   // then read when the stream gets there
    if (!device) memcpy(&p.alpha, alpha, 4), memcpy(&p.beta, beta, 4);
    if (!device && p.beta != 0 && !c) return CUBLAS_STATUS_INVALID_VALUE;
    auto* device_alpha = device ? (const float*)alpha : nullptr;
    auto* device_beta = device ? (const float*)beta : nullptr;
    return enqueue(stream, [=] { run(p, device_alpha, device_beta); }) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
