// The matrix product behind cublasLtMatmul.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emu {

/// Element (r, c) of batch b is data[b · batch + r · row + c · column], of cudaDataType `type`.
struct View {
    void* data = nullptr;
    int type = 0;
    int64_t row = 0, column = 0, batch = 0;
};

/// D = f(alpha · A·B + beta · C + bias), A m×k, B k×n; aux keeps what f was given.
struct Product {
    size_t m = 0, n = 0, k = 0, batches = 1;
    View a, b, c, d, bias, aux;   // bias: by row of D; bias and aux absent where their data is null
    float alpha = 1, beta = 0;
    bool relu = false, gelu = false;
    bool tf32 = false;            // operands rounded to ten bits of fraction
};

/// Bytes of an element of a cudaDataType; 0 for one that is not supported.
size_t element_bytes(int type);

float load_element(const void* data, int64_t index, int type);
void store_element(void* data, int64_t index, int type, float value);

/// In parallel on the workers; the same bits for any number of them.
void multiply(const Product& p);

} // namespace emu
