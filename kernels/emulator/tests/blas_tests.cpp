// cublasLt against a product in double.
#include "harness.h"
#include <cmath>

struct Shape { int m, n, k, batches; };
struct Form { bool ta, tb, row_major; int type, out; int epilogue; float alpha, beta; int bias_type; };

static size_t bytes_of(int type) { return type == CUDA_R_32F ? 4 : 2; }

static std::vector<uint8_t> pack(const std::vector<float>& x, int type) {
    std::vector<uint8_t> to(x.size() * bytes_of(type));
    for (size_t i = 0; i < x.size(); i++) {
        if (type == CUDA_R_32F) memcpy(&to[i * 4], &x[i], 4);
        else if (type == CUDA_R_16BF) { uint16_t h = to_bf16(x[i]); memcpy(&to[i * 2], &h, 2); }
        else { auto h = (_Float16)x[i]; memcpy(&to[i * 2], &h, 2); }
    }
    return to;
}
static std::vector<float> unpack(const std::vector<uint8_t>& x, int type) {
    std::vector<float> to(x.size() / bytes_of(type));
    for (size_t i = 0; i < to.size(); i++) {
        if (type == CUDA_R_32F) memcpy(&to[i], &x[i * 4], 4);
        else if (type == CUDA_R_16BF) { uint16_t h; memcpy(&h, &x[i * 2], 2); to[i] = from_bf16(h); }
        else { _Float16 h; memcpy(&h, &x[i * 2], 2); to[i] = (float)h; }
    }
    return to;
}

/// A matrix with a leading dimension larger than it needs, and batches apart.
struct Matrix {
    int rows, cols, type;
    bool row_major;
    int64_t ld, stride;
    std::vector<float> host;   // as rounded to its type
    Buffer<uint8_t> device;
    MatrixLayout* layout = nullptr;
    Matrix(int r, int c, int t, bool by_rows, int batches, unsigned seed)
        : rows(r), cols(c), type(t), row_major(by_rows), ld((by_rows ? c : r) + 8 - (by_rows ? c : r) % 8 + 8), stride(ld * (by_rows ? r : c) + 16),
          host(unpack(pack(numbers((size_t)(stride * batches), seed), t), t)), device(pack(host, t)) {
        OK(cublasLtMatrixLayoutCreate(&layout, type, (uint64_t)rows, (uint64_t)cols, ld));
        int order = row_major ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
        OK(cublasLtMatrixLayoutSetAttribute(layout, 1, &order, 4));
        OK(cublasLtMatrixLayoutSetAttribute(layout, 5, &batches, 4));
        OK(cublasLtMatrixLayoutSetAttribute(layout, 6, &stride, 8));
    }
    ~Matrix() { cublasLtMatrixLayoutDestroy(layout); }
    size_t at(int b, int r, int c) const { return (size_t)(b * stride + (row_major ? r * ld + c : c * ld + r)); }
};

struct Blas {
    LtContext* context;
    MatmulDesc* desc;
    MatmulPreference* preference;
    Blas() {
        OK(cublasLtCreate(&context));
        OK(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        OK(cublasLtMatmulPreferenceCreate(&preference));
    }
    ~Blas() {
        cublasLtMatmulPreferenceDestroy(preference);
        cublasLtMatmulDescDestroy(desc);
        cublasLtDestroy(context);
    }
    template <class T> void set(int attribute, T value) { OK(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value)); }
    int heuristic(Matrix& a, Matrix& b, Matrix& d, cublasLtMatmulHeuristicResult_t& result, int& found) {
        return cublasLtMatmulAlgoGetHeuristic(context, desc, a.layout, b.layout, d.layout, d.layout, preference, 1, &result, &found);
    }
};

static double gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

static std::vector<uint8_t> check(Shape s, Form f) {
    Blas blas;
    Matrix a(f.ta ? s.k : s.m, f.ta ? s.m : s.k, f.type, f.row_major, s.batches, 1), b(f.tb ? s.n : s.k, f.tb ? s.k : s.n, f.type, f.row_major, s.batches, 2);
    Matrix d(s.m, s.n, f.out, f.row_major, s.batches, 3), aux(s.m, s.n, f.out, f.row_major, s.batches, 4);
    auto bias = unpack(pack(numbers((size_t)s.m, 5), f.bias_type), f.bias_type);
    Buffer<uint8_t> dbias(pack(bias, f.bias_type));
    uint64_t workspace = 1 << 20;
    OK(cublasLtMatmulPreferenceSetAttribute(blas.preference, 1, &workspace, 8));
    blas.set(3, (int)f.ta);
    blas.set(4, (int)f.tb);
    blas.set(7, f.epilogue);
    if (f.epilogue & EPILOGUE_BIAS) blas.set(8, dbias.p), blas.set(26, f.bias_type);
    if (f.epilogue & EPILOGUE_AUX) blas.set(11, aux.device.p), blas.set(12, aux.ld), blas.set(13, aux.stride);
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    OK(blas.heuristic(a, b, d, result, found));
    EXPECT(found == 1 && result.state == CUBLAS_STATUS_SUCCESS && result.workspace_size <= workspace);
    OK(cublasLtMatmul(blas.context, blas.desc, &f.alpha, (void*)a.device.p, a.layout, (void*)b.device.p, b.layout, &f.beta, (void*)d.device.p, d.layout,
                      (void*)d.device.p, d.layout, &result.algo, nullptr, 0, nullptr));
    auto bits = d.device.host();
    auto got = unpack(bits, f.out), got_aux = unpack(aux.device.host(), f.out);
    std::vector<double> want(d.host.begin(), d.host.end()), want_aux(aux.host.begin(), aux.host.end());   // gaps stay as they were
    for (int q = 0; q < s.batches; q++)
        for (int i = 0; i < s.m; i++)
            for (int j = 0; j < s.n; j++) {
                double sum = 0;
                for (int x = 0; x < s.k; x++) sum += (double)a.host[f.ta ? a.at(q, x, i) : a.at(q, i, x)] * b.host[f.tb ? b.at(q, j, x) : b.at(q, x, j)];
                double v = f.alpha * sum + (double)f.beta * d.host[d.at(q, i, j)];
                if (f.epilogue & EPILOGUE_BIAS) v += bias[(size_t)i];
                if (f.epilogue & EPILOGUE_AUX) want_aux[aux.at(q, i, j)] = v;
                if (f.epilogue & EPILOGUE_RELU) v = std::fmax(v, 0);
                if (f.epilogue & EPILOGUE_GELU) v = gelu(v);
                want[d.at(q, i, j)] = v;
            }
    double tolerance = f.out == CUDA_R_32F ? 3e-6 * std::sqrt(s.k) : f.out == CUDA_R_16F ? 1e-3 : 1.0 / 256;   // the output's own rounding
    expect_close(got, want, tolerance, "D");
    expect_close(got_aux, want_aux, tolerance, "aux");
    return bits;
}

TEST(cublas_orders_transposes_batches_and_types) {
    for (bool ta : {false, true})
        for (bool tb : {false, true})
            for (bool rows : {false, true}) check({37, 21, 45, 2}, {ta, tb, rows, CUDA_R_32F, CUDA_R_32F, EPILOGUE_DEFAULT, 1, 0, CUDA_R_32F});
    for (int type : {CUDA_R_16BF, CUDA_R_16F})
        for (int out : {type, (int)CUDA_R_32F}) check({130, 140, 300, 1}, {true, false, false, type, out, EPILOGUE_DEFAULT, 0.5f, 2, CUDA_R_32F});
    check({1, 1, 1, 3}, {false, false, false, CUDA_R_32F, CUDA_R_32F, EPILOGUE_DEFAULT, 1, 1, CUDA_R_32F});
}

TEST(cublas_epilogues) {
    for (int epilogue : {(int)EPILOGUE_BIAS, (int)EPILOGUE_RELU, EPILOGUE_RELU | EPILOGUE_BIAS, (int)EPILOGUE_GELU, EPILOGUE_GELU | EPILOGUE_BIAS, EPILOGUE_GELU | EPILOGUE_AUX,
                         EPILOGUE_GELU | EPILOGUE_AUX | EPILOGUE_BIAS})
        for (bool rows : {false, true}) {
            check({24, 17, 33, 1}, {false, true, rows, CUDA_R_32F, CUDA_R_32F, epilogue, 1, 0, CUDA_R_32F});
            check({24, 17, 33, 2}, {false, false, rows, CUDA_R_16BF, CUDA_R_16BF, epilogue, 1, 1, CUDA_R_32F});
        }
}

TEST(cublas_gives_the_same_bits_for_any_number_of_threads) {
    std::vector<std::vector<uint8_t>> results;
    for (const char* mode : {"threads=1", "threads=2", "threads=5", "deferred,threads=3"}) {
        OK(cuEmulatorConfigure(mode));
        results.push_back(check({200, 300, 600, 1}, {false, false, false, CUDA_R_32F, CUDA_R_32F, EPILOGUE_DEFAULT, 1, 0, CUDA_R_32F}));
    }
    for (auto& r : results) EXPECT(r == results[0]);
}

TEST(cublas_refuses_what_does_not_fit) {
    Blas blas;
    Matrix a(8, 4, CUDA_R_32F, false, 1, 1), b(5, 6, CUDA_R_32F, false, 1, 2), d(8, 6, CUDA_R_32F, false, 1, 3), fits(4, 6, CUDA_R_32F, false, 1, 4);
    Matrix mixed(4, 6, CUDA_R_16BF, false, 1, 4), two(4, 6, CUDA_R_32F, false, 2, 4);
    cublasLtMatmulHeuristicResult_t result;
    int found;
    EXPECT_CODE(blas.heuristic(a, b, d, result, found), CUBLAS_STATUS_INVALID_VALUE);   // inner sizes 4 and 5
    EXPECT_CODE(blas.heuristic(a, two, d, result, found), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_CODE(blas.heuristic(a, mixed, d, result, found), CUBLAS_STATUS_NOT_SUPPORTED);
    OK(blas.heuristic(a, fits, d, result, found));
    blas.set(7, 256);   // BGRADA
    EXPECT_CODE(blas.heuristic(a, fits, d, result, found), CUBLAS_STATUS_NOT_SUPPORTED);
    blas.set(7, (int)EPILOGUE_BIAS);
    EXPECT_CODE(blas.heuristic(a, fits, d, result, found), CUBLAS_STATUS_INVALID_VALUE);   // no bias given
    int64_t short_ld = 7;
    OK(cublasLtMatrixLayoutSetAttribute(d.layout, 4, &short_ld, 8));
    blas.set(7, (int)EPILOGUE_DEFAULT);
    EXPECT_CODE(blas.heuristic(a, fits, d, result, found), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_CODE(cublasLtMatmulDescDestroy((MatmulDesc*)blas.context), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT(cublasLtGetVersion() >= 120000 && std::string(cublasLtGetStatusString(15)) == "CUBLAS_STATUS_NOT_SUPPORTED");

    Matrix whole(8, 6, CUDA_R_32F, false, 1, 3);
    float one = 1, zero = 0;
    OK(cublasLtMatmul(blas.context, blas.desc, &one, (void*)a.device.p, a.layout, (void*)(fits.device.p + 4096), fits.layout, &zero, (void*)whole.device.p, whole.layout,
                      (void*)whole.device.p, whole.layout, nullptr, nullptr, 0, nullptr));
    EXPECT_CODE(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(std::string(cuEmulatorLastReport()).find("B reaches outside device memory") != std::string::npos);
}
