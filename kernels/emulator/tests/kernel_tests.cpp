// Kernels give what the host computes, in every mode.
#include "harness.h"
#include <algorithm>
#include <cmath>

static const char* const all_modes[] = {"", "threads=1", "strict,random=1", "random=2,threads=3", "deferred", "check,strict", "check,random=5,deferred"};

template <class F> static void in_every_mode(F body) {
    for (const char* mode : all_modes) {
        OK(cuEmulatorConfigure(mode));
        try {
            body();
            OK(cuCtxSynchronize());
        } catch (const std::exception& e) { throw Failure(std::string("[") + mode + "] " + e.what() + "\n" + cuEmulatorLastReport()); }
    }
}

static std::vector<double> softmax_of(const std::vector<float>& x, int cols) {
    std::vector<double> y(x.size());
    for (size_t r = 0; r < x.size(); r += (size_t)cols) {
        double sum = 0, largest = *std::max_element(x.begin() + (long)r, x.begin() + (long)r + cols);
        for (size_t i = r; i < r + (size_t)cols; i++) sum += y[i] = std::exp(x[i] - largest);
        for (size_t i = r; i < r + (size_t)cols; i++) y[i] /= sum;
    }
    return y;
}

TEST(softmax_float_and_bf16) {
    in_every_mode([] {
        Loaded m("softmax.cu", {"softmax<float>", "softmax<bf16>"});
        const int rows = 13, cols = 77;
        auto x = numbers(rows * cols, 1);
        for (auto& v : x) v = from_bf16(to_bf16(v * 30));
        std::vector<uint16_t> narrow(x.size());
        std::transform(x.begin(), x.end(), narrow.begin(), to_bf16);
        Buffer<float> dx(x), dy(x.size());
        Buffer<uint16_t> nx(narrow), ny(x.size());
        for (auto& f : {m("softmax_f32"), m(m.lowered[0])}) {
            launch(f, {(rows + 3) / 4}, {32, 4}, 0, dy.p, dx.p, rows, cols);
            expect_close(dy.host(), softmax_of(x, cols), 1e-6, "softmax");
        }
        launch(m(m.lowered[1]), {(rows + 3) / 4}, {32, 4}, 0, ny.p, nx.p, rows, cols);
        auto y = ny.host();
        std::vector<float> wide(y.size());
        std::transform(y.begin(), y.end(), wide.begin(), from_bf16);
        expect_close(wide, softmax_of(x, cols), 1.0 / 256, "softmax bf16");   // 8 bits of mantissa
    });
}

TEST(tiled_product_with_dynamic_shared_memory) {
    in_every_mode([] {
        Loaded loaded("product.cu");
        const int m = 37, n = 29, k = 51;
        auto a = numbers(m * k, 1), b = numbers(k * n, 2);
        std::vector<double> want(m * n);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                for (int x = 0; x < k; x++) want[(size_t)(i * n + j)] += (double)a[(size_t)(i * k + x)] * b[(size_t)(x * n + j)];
        Buffer<float> da(a), db(b), dc(m * n);
        launch(loaded("product"), {(n + 15) / 16, (m + 15) / 16}, {16, 16}, 2 * 16 * 17 * 4, dc.p, da.p, db.p, m, n, k);
        expect_close(dc.host(), want, 1e-5, "product");
    });
}

TEST(mma_product_bf16_and_half) {
    in_every_mode([] {
        Loaded loaded("mma_product.cu", {"mma_product<bf16>", "mma_product<half>"});
        const int m = 64, n = 128, k = 96;
        auto a = numbers(m * k, 3), b = numbers(k * n, 4);
        std::vector<uint16_t> na(a.size()), nb(b.size());
        for (int type = 0; type < 2; type++) {
            auto narrow = [&](std::vector<float>& from, std::vector<uint16_t>& to) {
                for (size_t i = 0; i < from.size(); i++) {
                    if (type == 0) from[i] = from_bf16(to[i] = to_bf16(from[i]));
                    else {
                        auto h = (_Float16)from[i];
                        memcpy(&to[i], &h, 2);
                        from[i] = (float)h;
                    }
                }
            };
            narrow(a, na);
            narrow(b, nb);
            std::vector<double> want(m * n);
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++)
                    for (int x = 0; x < k; x++) want[(size_t)(i * n + j)] += (double)a[(size_t)(i * k + x)] * b[(size_t)(x * n + j)];
            Buffer<uint16_t> da(na), db(nb);
            Buffer<float> dc(m * n);
            launch(loaded(loaded.lowered[(size_t)type]), {n / 64, m / 64}, {128}, 0, dc.p, da.p, db.p, n, k);
            expect_close(dc.host(), want, 1e-5, "mma product");
        }
    });
}

TEST(ldmatrix_in_all_forms) {
    in_every_mode([] {
        Loaded loaded("mma_product.cu");
        std::vector<uint16_t> m(256);
        for (int i = 0; i < 256; i++) m[(size_t)i] = (uint16_t)i;
        Buffer<uint16_t> from(m);
        Buffer<uint32_t> to(32 * 14);
        launch(loaded("ldmatrix_forms"), {1}, {32}, 0, to.p, from.p);
        auto r = to.host();
        // Matrix q of x4 is rows 8(q%2).., columns 8(q/2)..; x2 and x1 take the first of these.
        auto element = [](int q, int row, int col) { return (uint32_t)((q % 2 * 8 + row) * 16 + q / 2 * 8 + col); };
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 14; i++) {
                int form = i % 7, q = form < 4 ? form : form < 6 ? form - 4 : 0, g = l / 4, t = l % 4 * 2;
                uint32_t want = i < 7 ? element(q, g, t) | element(q, g, t + 1) << 16 : element(q, t, g) | element(q, t + 1, g) << 16;
                EXPECT(r[(size_t)(l * 14 + i)] == want);
            }
    });
}

TEST(cp_async_pipeline_with_a_ragged_end) {
    in_every_mode([] {
        Loaded loaded("pipeline.cu");
        const int n = 128 * 5 + 60;
        auto x = numbers(n, 5);
        Buffer<float> dx(x), dy(128 * 6);
        launch(loaded("pipeline"), {1}, {32}, 0, dy.p, dx.p, n);
        std::vector<double> want(128 * 6);
        for (size_t i = 0; i < want.size(); i++) {
            size_t from = i / 128 * 128 + 127 - i % 128;
            want[i] = from < x.size() ? 2.0 * x[from] : 0;
        }
        expect_close(dy.host(), want, 0, "pipeline");
    });
}

TEST(block_reductions_and_votes) {
    in_every_mode([] {
        Loaded loaded("reduce.cu");
        const int rows = 7, cols = 300;
        auto x = numbers(rows * cols, 6);
        Buffer<float> dx(x), sums(rows), largest(rows);
        std::vector<double> want_sum(rows), want_max(rows);
        for (int r = 0; r < rows; r++) {
            want_max[(size_t)r] = -1e9;
            for (int i = 0; i < cols; i++) {
                want_sum[(size_t)r] += x[(size_t)(r * cols + i)];
                want_max[(size_t)r] = std::max(want_max[(size_t)r], (double)x[(size_t)(r * cols + i)]);
            }
        }
        for (Dim block : {Dim{32, 4}, Dim{96}, Dim{32}}) {
            launch(loaded("row_sum_max"), {rows}, block, 0, sums.p, largest.p, dx.p, cols);
            expect_close(sums.host(), want_sum, 1e-5, "row sum");
            expect_close(largest.host(), want_max, 0, "row max");
        }

        auto v = numbers(32, 7);
        Buffer<float> dv(v);
        Buffer<int> out(32 * 11);
        launch(loaded("votes"), {1}, {32}, 0, out.p, dv.p);
        auto o = out.host();
        unsigned ballot = 0;
        for (int l = 0; l < 32; l++) ballot |= (v[(size_t)l] > 0 ? 1u : 0u) << l;
        int best = (int)(std::max_element(v.begin(), v.end()) - v.begin());
        for (int l = 0; l < 32; l++) {
            int* r = &o[(size_t)l * 11];
            EXPECT((unsigned)r[0] == ballot && r[1] == 0 && r[2] == 1 && r[3] == 496 && r[4] == -7 && r[5] == 30);
            EXPECT(r[6] == (l % 8 == 7 ? l : l + 1) && r[7] == (l == 0 ? 0 : l - 1) && r[8] == best);
            EXPECT(r[9] == __builtin_popcount(ballot) && r[10] == 0);
        }
    });
}

TEST(atomics_count_exactly) {
    in_every_mode([] {
        Loaded loaded("reduce.cu");
        const int n = 5000;
        std::vector<uint32_t> keys(n), want(16);
        int lowest = 1 << 30;
        for (int i = 0; i < n; i++) {
            keys[(size_t)i] = (uint32_t)i * 2654435761u >> 7;
            want[keys[(size_t)i] % 16]++;
            lowest = std::min(lowest, (int)(keys[(size_t)i] % 1000) - 500);
        }
        Buffer<uint32_t> dk(keys), bins(16);
        Buffer<int> low(std::vector<int>{1 << 30});
        Buffer<float> total(std::vector<float>{0.f});
        OK(cuMemsetD32Async(bins, 0, 16, nullptr));
        launch(loaded("histogram"), {5}, {64}, 0, bins.p, low.p, total.p, dk.p, n);
        EXPECT(bins.host() == want);
        EXPECT(low.host()[0] == lowest);
        EXPECT(total.host()[0] == (float)n);
    });
}

TEST(conversions_of_every_pattern) {
    Loaded loaded("numbers.cu");
    Buffer<float> as_bf16(65536), as_half(65536);
    Buffer<uint16_t> b(65536), h(65536);
    launch(loaded("widen"), {256}, {256}, 0, as_bf16.p, as_half.p, b.p, h.p);
    auto wide = as_bf16.host(), halves = as_half.host();
    auto again = b.host(), half_again = h.host();
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i;
        _Float16 half;
        memcpy(&half, &bits, 2);
        if (std::isnan(from_bf16(bits))) EXPECT(std::isnan(wide[i]) && std::isnan(from_bf16(again[i])));
        else EXPECT(wide[i] == from_bf16(bits) && again[i] == i);
        if (std::isnan((float)half)) EXPECT(std::isnan(halves[i]));
        else EXPECT(halves[i] == (float)half && half_again[i] == i);
    }
    std::vector<float> x = {1.00390625f, 1.01171875f, 3.4e38f, INFINITY, -INFINITY, 65519.f, 65520.f, 6e-8f, -0.f, 1.0e-40f};
    Buffer<float> dx(x);
    Buffer<uint16_t> nb(x.size()), nh(x.size());
    Buffer<uint32_t> pair(x.size());
    launch(loaded("narrow"), {1}, {32}, 0, nb.p, nh.p, pair.p, dx.p, (int)x.size());
    auto got = nb.host(), got_half = nh.host();
    auto pairs = pair.host();
    EXPECT(got[0] == 0x3f80 && got[1] == 0x3f82);   // ties go to even
    EXPECT(got[2] == 0x7f80 && got[3] == 0x7f80 && got[4] == 0xff80 && got[8] == 0x8000);
    EXPECT(got_half[5] == 0x7bff && got_half[6] == 0x7c00 && got_half[7] == 1);
    for (size_t i = 0; i < x.size(); i++) EXPECT(pairs[i] == (got[i] | (uint32_t)to_bf16(1.5f) << 16));
}

TEST(vector_loads_and_stores) {
    in_every_mode([] {
        Loaded loaded("numbers.cu", {"scale<float, 1>", "scale<float, 2>", "scale<float, 4>", "scale<bf16, 2>", "scale<bf16, 4>", "scale<bf16, 8>", "scale<half, 8>"});
        const int n = 32 * 8 * 6;
        auto x = numbers(n, 8);
        for (auto& v : x) v = from_bf16(to_bf16(v));
        for (size_t e = 0; e < 3; e++) {
            int width = 1 << e;
            Buffer<float> dx(x), dy(n);
            launch(loaded(loaded.lowered[e]), {(unsigned)(n / width / 32)}, {32}, 0, dy.p, dx.p, n);
            auto y = dy.host();
            for (size_t i = 0; i < y.size(); i++) EXPECT(y[i] == 3 * x[i]);
        }
        std::vector<uint16_t> narrow(x.size());
        std::transform(x.begin(), x.end(), narrow.begin(), to_bf16);
        for (size_t e = 3; e < 6; e++) {
            int width = 1 << (e - 2);
            Buffer<uint16_t> dx(narrow), dy(n);
            launch(loaded(loaded.lowered[e]), {(unsigned)(n / width / 32)}, {32}, 0, dy.p, dx.p, n);
            auto y = dy.host();
            for (size_t i = 0; i < y.size(); i++) EXPECT(y[i] == to_bf16(3 * x[i]));
        }
    });
}

static void philox(uint64_t seed, uint32_t stream, uint32_t step, uint64_t block, uint32_t* out) {
    uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), step, stream}, k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t p = 0xD2511F53ull * c[0], q = 0xCD9E8D57ull * c[2];
        uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k[0], (uint32_t)q, (uint32_t)(p >> 32) ^ c[3] ^ k[1], (uint32_t)p};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9, k[1] += 0xBB67AE85;
    }
    memcpy(out, c, sizeof c);
}

TEST(random_numbers_of_the_published_vectors) {
    Loaded loaded("numbers.cu");
    Buffer<uint32_t> bits(64);
    Buffer<float> uniform(64), normal(64);
    Buffer<int> below(64);
    launch(loaded("random_numbers"), {1}, {64}, 0, bits.p, uniform.p, normal.p, below.p, 0ull, 0u, 0u);
    auto b = bits.host();
    EXPECT(b[0] == 0x6627e8d5 && b[1] == 0xe169c58d && b[2] == 0xbc57ac4c && b[3] == 0x9b00dbd8);   // Random123, kat_vectors
    uint64_t seed = 0x123456789abcdef0ull;
    launch(loaded("random_numbers"), {1}, {64}, 0, bits.p, uniform.p, normal.p, below.p, seed, 7u, 11u);
    b = bits.host();
    auto u = uniform.host(), g = normal.host();
    auto z = below.host();
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t want[4], own[4];
        philox(seed, 7, 11, i / 4, want);
        philox(seed, 7, 11, i, own);
        EXPECT(b[i] == want[i % 4]);
        EXPECT(u[i] == (float)(b[i] >> 8) / (1 << 24));
        EXPECT(z[i] == (int)((uint64_t)b[i] * 10 >> 32));
        double v = ((own[0] >> 8) + 1) / 16777216.0, w = (own[1] >> 8) / 16777216.0;
        EXPECT(g[i] == (float)(std::sqrt(-2 * std::log(v)) * std::cos(2 * M_PI * w)));
    }
}

TEST(arguments_of_all_sizes_are_copied_at_launch) {
    for (const char* mode : {"", "deferred"}) {
        OK(cuEmulatorConfigure(mode));
        Loaded loaded("numbers.cu");
        struct Affine { float a, b; char pad[3]; } f{2.f, 3.f, {1, 2, 4}};
        auto x = numbers(8, 9);
        Buffer<float> dx(x);
        Buffer<double> to(8);
        char c = 5;
        short s = -7;
        uint64_t big = 1ull << 40;
        bool flag = true;
        CUdeviceptr out = to, in = dx;
        void* list[] = {&out, &c, &f, &s, &in, &big, &flag};
        OK(cuLaunchKernel(loaded("mixed_arguments"), 1, 1, 1, 8, 1, 1, 0, nullptr, list, nullptr));
        c = 0, s = 0, big = 0, flag = false, out = 0, in = 0, f = {};   // the launch may not have begun
        auto got = to.host();
        for (size_t i = 0; i < 8; i++) EXPECT(std::fabs(got[i] - (5 + 2 * (double)x[i] + 3 - 7 + (double)(1ull << 40) + 0.5 + 4)) < 1e-3);
    }
}
