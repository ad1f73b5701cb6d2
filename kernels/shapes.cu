// shapes.cu: runs of bytes moved: joining tensors, cutting pieces, and the gradients of both.
//                                                 compiled per use: -DTYPE=any element type -DWORD=16|8|4|2|1
//   maths    copy_runs: y[o, to + i] = x[o, from + i] for i < run;  place_runs: dx = 0 with dy in runs of its own
//   traffic  what moves, read once and written once; place_runs writes the zeros too
//   launch   a thread for each word, block 256. A word is as wide as all lengths and addresses allow
//   care     lengths and strides are in words. A 64-bit division costs more than the copy, so 32 bits where they do
//   see      engine/ops/Shapes.cs · ShapesTests
// options  -DTYPE=u8 -DWORD=1|2|4|8|16
#include "load.cuh"

typedef TYPE T;

template <int Bytes> struct WordOf { typedef u8 type; };
template <> struct WordOf<2> { typedef u16 type; };
template <> struct WordOf<4> { typedef u32 type; };
template <> struct WordOf<8> { typedef u64 type; };
template <> struct WordOf<16> { typedef Vec<u32, 4> type; };
typedef WordOf<WORD>::type Word;

struct Where { i64 outer, within; };

__device__ __forceinline__ Where where(i64 i, i64 count, i64 extent) {
    if (count <= 0xffffffffll) return Where{(i64)((u32)i / (u32)extent), (i64)((u32)i % (u32)extent)};
    return Where{i / extent, i % extent};
}

extern "C" __global__ void __launch_bounds__(256) copy_runs(
    T* y, const T* x, i64 count, i64 run, i64 stride_y, i64 stride_x, i64 to, i64 from) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Where at = where(i, count, run);
    store_as((Word*)y + at.outer * stride_y + to + at.within, load_as<Word>((const Word*)x + at.outer * stride_x + from + at.within));
}

extern "C" __global__ void __launch_bounds__(256) place_runs(T* dx, const T* dy, i64 count, i64 record, i64 run, i64 start) {
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const Where at = where(i, count, record);
    const i64 place = at.within - start;
    Word v = Word();
    if (place >= 0 && place < run) v = load_as<Word>((const Word*)dy + at.outer * run + place);
    store_as((Word*)dx + i, v);
}
