// cast.cu: another type of floats, and bytes as floats.          compiled per use: -DFROM=float|bf16|half|u8 -DTO=float|bf16|half -DPACK=4|1
//   maths    y = x rounded to nearest, ties to even; a NaN stays one
//   traffic  x once, y once: 6 bytes an element between F32 and BF16
//   launch   a thread for each PACK elements (16 bytes of the wider type), block 256
//   see      engine/ops/Cast.cs · CastTests
// options  -DFROM=float|bf16|half|u8 -DTO=float|bf16|half -DPACK=4|1
#include "load.cuh"

extern "C" __global__ void __launch_bounds__(256) cast(TO* y, const FROM* x, i64 count) {
    const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (i + PACK <= count) store(y + i, load<PACK>(x + i));
    else
        for (i64 j = i; j < count; j++) y[j] = from_float<TO>(to_float(x[j]));
}
