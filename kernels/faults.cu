// faults.cu: numbers that decide where other kernels read, checked where they lie.       compiled once
//   maths    ids and labels lie in 0 … limit−1; offsets are 0 first, never fall and end at the number of rows
//   traffic  4 bytes a number, once: 16 KB for 4,096 tokens; some 3 µs, and the host need not wait for it
//   launch   one block of 256: a batch has a few thousand tokens, and one block needs no atomics to find the first that is wrong
//   care     what is wrong is noted in the device's record, the first of the first op that finds any, and mended where it lies (an id
//            becomes 0, a label is ignored, offsets that fall become one sequence of all rows), so that no kernel behind reads out
//            of bounds; the program throws at its next read. See engine/devices/cuda/CudaFaults.cs, which has the record's layout
//   see      engine/ops/Embedding.cs, CrossEntropy.cs, Packed.cs · CudaFaultsTests
#include "types.cuh"
#include "warp.cuh"

constexpr int THREADS = 256, NONE = 0x7fffffff;
constexpr int LABEL = 3, START = 4, FALL = 5, END = 6, EMPTY = 7, KEYS = 8; // as IndexFaultKind

/// The first number that a thread finds wrong: order is its rank among all of them.
struct Fault {
    int order, kind, position, value, limit, other;

    __device__ __forceinline__ void note(int rank, int what, int at, int is, int most, int beside) {
        if (rank < order) *this = Fault{rank, what, at, is, most, beside};
    }
};

__device__ __forceinline__ Fault no_fault() { return Fault{NONE, 0, 0, 0, 0, 0}; }

/// Notes the first fault that any thread found, unless an earlier op has noted one. Returns its rank, or NONE.
__device__ __forceinline__ int report(int* record, int op, const Fault& mine) {
    const int first = block_fold<THREADS>(mine.order, [](int a, int b) { return min(a, b); });
    if (first != NONE && first == mine.order && record[0] == 0) {
        record[0] = mine.kind;
        record[1] = op;
        record[2] = mine.position;
        record[3] = mine.value;
        record[4] = mine.limit;
        record[5] = mine.other;
    }
    return first;
}

extern "C" __global__ void __launch_bounds__(THREADS) check_picks(int* picks, int* record, int count, int limit, int kind, int op) {
    Fault mine = no_fault();
    for (int t = threadIdx.x; t < count; t += THREADS) {
        const int pick = picks[t];
        if ((u32)pick < (u32)limit) continue;
        mine.note(t, kind, t, pick, limit, 0);
        picks[t] = 0;
    }
    report(record, op, mine);
}

extern "C" __global__ void __launch_bounds__(THREADS) count_labels(
    int* counted, int* labels, int* record, int rows, int classes, int ignore, int op) {
    Fault mine = no_fault();
    int count = 0;
    for (int t = threadIdx.x; t < rows; t += THREADS) {
        const int label = labels[t];
        if (label == ignore) continue;
        if ((u32)label < (u32)classes) {
            count++;
            continue;
        }
        mine.note(t, LABEL, t, label, classes, ignore);
        labels[t] = ignore;
    }
    report(record, op, mine);
    count = block_fold<THREADS>(count, [](int a, int b) { return a + b; });
    if (threadIdx.x == 0) *counted = count;
}

// Faults in the order in which a reader would meet them: the first offset, one that falls, the last, an empty sequence. Offsets that are sound
// but for their end may be those of an earlier op with fewer rows: they are only cut off.
extern "C" __global__ void __launch_bounds__(THREADS) check_offsets(
    int* at, int* record, int count, int rows, int filled, int op) {
    Fault mine = no_fault();
    for (int b = threadIdx.x; b < count; b += THREADS) {
        const int here = at[b], before = b > 0 ? at[b - 1] : 0;
        if (b == 0 && here != 0) mine.note(0, START, b, here, 0, 0);
        if (here < before) mine.note(b, FALL, b, here, 0, before);
        if (b == count - 1 && here != rows) mine.note(count, END, b, here, rows, 0);
        if (filled != 0 && b > 0 && here == before) mine.note(count + b, EMPTY, b - 1, here, 0, 0);
    }
    const int first = report(record, op, mine);
    if (first > count) return;
    for (int b = threadIdx.x; b < count; b += THREADS) at[b] = first == count ? min(at[b], rows) : b == 0 ? 0 : rows;
}

// Reads no further than offsets that were checked allow, so there is nothing to mend.
extern "C" __global__ void __launch_bounds__(THREADS) check_keys(
    int* record, const int* queries, const int* keys, int count, int op) {
    Fault mine = no_fault();
    for (int b = threadIdx.x; b + 1 < count; b += THREADS)
        if (keys[b] == keys[b + 1] && queries[b] != queries[b + 1]) mine.note(b, KEYS, b, 0, 0, 0);
    report(record, op, mine);
}
