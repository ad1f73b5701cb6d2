// numbers.cu: conversions of every 16-bit pattern, vector loads, random numbers.
// instances  scale<float, 1>; scale<float, 2>; scale<float, 4>; scale<bf16, 2>; scale<bf16, 4>; scale<bf16, 8>; scale<half, 8>
#include "load.cuh"
#include "philox.cuh"

extern "C" __global__ void widen(float* as_bf16, float* as_half, u16* bf16_again, u16* half_again) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    as_bf16[i] = to_float(bf16{(u16)i});
    as_half[i] = to_float(half{(u16)i});
    bf16_again[i] = to_bf16(as_bf16[i]).bits;
    half_again[i] = to_half(as_half[i]).bits;
}

extern "C" __global__ void narrow(u16* b, u16* h, u32* pair, const float* x, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    b[i] = to_bf16(x[i]).bits;
    h[i] = to_half(x[i]).bits;
    pair[i] = pack2<bf16>(x[i], unpack_low<half>(pack2<half>(1.5f, -2.f)));
}

// y = 3x, N elements a thread, by each kind of access in turn
template <class T, int N> __global__ void scale(T* y, const T* x, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (i >= n) return;
    Vec<float, N> v = blockIdx.x % 3 == 0 ? load<N>(x + i) : blockIdx.x % 3 == 1 ? load_stream<N>(x + i) : load_once<N>(x + i);
    for (int j = 0; j < N; j++) v[j] *= 3.f;
    if (blockIdx.x % 2) store<N>(y + i, v);
    else store_stream<N>(y + i, v);
}

extern "C" __global__ void random_numbers(u32* bits, float* uniform, float* normal, int* below, u64 seed, u32 stream, u32 step) {
    Philox r{seed, stream, step};
    u32 i = threadIdx.x;
    bits[i] = r.bits(i);
    uniform[i] = i % 4 == 0 ? r.uniform4(i / 4).at[0] : r.uniform(i);
    normal[i] = r.normal(i);
    below[i] = r.next(i, 10);
}

struct Affine { float a, b; char pad[3]; };
extern "C" __global__ void mixed_arguments(double* to, char c, Affine f, short s, const float* x, u64 big, bool flag) {
    to[threadIdx.x] = c + f.a * x[threadIdx.x] + f.b + s + (double)big + (flag ? 0.5 : 0.0) + f.pad[2];
}
